//! What cargo knows about a spindle's crate.
use super::{check_name, environment};
use crate::error::{Error, Result};
use crate::files;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use tinyjson::JsonValue;

/// A spindle's crate as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The package's name, which is the spindle's.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// The folder of its Cargo.toml.
    pub folder: PathBuf,
    /// The file with the crate's head, `src/lib.rs` mostly.
    pub root_file: PathBuf,
    /// It has a build script, which may not be.
    pub has_build_script: bool,
    /// It depends on the crate `spindle`: without it nothing is a spindle.
    pub uses_sdk: bool,
    /// The folders of the crates that it depends on by their paths.
    pub neighbours: Vec<PathBuf>,
}

impl Manifest {
    /// Asks cargo about the crate in `path` (its folder, or its Cargo.toml) and refuses what cannot be a spindle.
    pub fn read(workspace: &Workspace, path: &Path) -> Result<Manifest> {
        let file = if path.file_name().is_some_and(|name| name == "Cargo.toml") {
            path.to_path_buf()
        } else {
            path.join("Cargo.toml")
        };
        let file = file.canonicalize().map_err(|_| {
            Error::new(
                format!("no spindle at {}: there is no {}", path.display(), file.display()),
                "name the folder of a spindle's crate, or make one: cargo xtask spindle new NAME",
            )
        })?;
        let folder = file.parent().unwrap_or(&file);
        let manifest = library(workspace, &file)?;
        if !manifest.uses_sdk {
            return Err(Error::new(
                format!("{} is no spindle: it does not depend on the crate `spindle`", folder.display()),
                format!("add to its [dependencies]: spindle = {{ path = {:?} }}", workspace.sdk()),
            ));
        }
        check_name(&manifest.name)?;
        Ok(manifest)
    }

    /// The crates that it is compiled with and that stand in folders, as it does: those that it depends on by their
    /// paths, and those that these depend on, but the kit, each once.
    pub fn neighbourhood(&self, workspace: &Workspace) -> Result<Vec<Manifest>> {
        let mut found: Vec<Manifest> = Vec::new();
        let mut to_visit = self.neighbours.clone();
        while let Some(folder) = to_visit.pop() {
            let is_known = |manifest: &Manifest| manifest.folder == folder;
            if folder == workspace.sdk() || is_known(self) || found.iter().any(is_known) {
                continue;
            }
            let manifest = library(workspace, &folder.join("Cargo.toml"))?;
            to_visit.extend(manifest.neighbours.iter().cloned());
            found.push(manifest);
        }
        Ok(found)
    }

    /// Every spindle of the repository: those in `extensions/` and in `stress/`, sorted by folder.
    pub fn of_repository(workspace: &Workspace) -> Result<Vec<Manifest>> {
        let known = libraries(workspace, &workspace.root.join("Cargo.toml"))?;
        let mut spindles = Vec::new();
        for home in ["extensions", "stress"] {
            for folder in files::folders_in(&workspace.root.join(home)) {
                if folder == workspace.sdk() || !folder.join("Cargo.toml").is_file() {
                    continue;
                }
                match known.iter().find(|manifest| manifest.folder == folder) {
                    Some(manifest) if manifest.uses_sdk => spindles.push(manifest.clone()),
                    // A member that is something else, such as a crate of macros.
                    Some(_) => {}
                    // No member of the workspace; cargo says so if that is a mistake.
                    None => spindles.push(Manifest::read(workspace, &folder)?),
                }
            }
        }
        Ok(spindles)
    }
}

/// The library that this Cargo.toml describes.
fn library(workspace: &Workspace, file: &Path) -> Result<Manifest> {
    let folder = file.parent().unwrap_or(file);
    let found = libraries(workspace, file)?.into_iter().find(|manifest| manifest.folder == folder);
    found.ok_or_else(|| {
        Error::new(
            format!("{} describes no library crate", file.display()),
            "a spindle is a library, and so is what it depends on: give it a [package] and a src/lib.rs",
        )
    })
}

/// The packages that cargo knows of in the workspace of this Cargo.toml, those that are libraries.
fn libraries(workspace: &Workspace, file: &Path) -> Result<Vec<Manifest>> {
    let mut cargo = environment::cargo(workspace)?;
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"]).arg(file);
    let next = format!("mend {} as cargo says above", file.display());
    let output = workspace.shell.run("reading manifests", &mut cargo, &next)?;
    parse(&String::from_utf8_lossy(&output)).ok_or_else(|| {
        Error::new("cannot read what cargo metadata says", "use the toolchain that rust-toolchain.toml names")
    })
}

fn parse(metadata: &str) -> Option<Vec<Manifest>> {
    let metadata: JsonValue = metadata.parse().ok()?;
    let packages = list(&metadata, "packages")?;
    Some(packages.iter().filter_map(package).collect())
}

fn package(package: &JsonValue) -> Option<Manifest> {
    let targets = list(package, "targets")?;
    let is_kind = |target: &JsonValue, kind: &str| {
        list(target, "kind")
            .is_some_and(|kinds| kinds.iter().any(|is| is.get().is_some_and(|is: &String| is == kind)))
    };
    let library = targets
        .iter()
        .find(|target| ["lib", "rlib", "proc-macro"].iter().any(|kind| is_kind(target, kind)))?;
    let dependencies = list(package, "dependencies")?;
    Some(Manifest {
        name: text(package, "name")?.to_string(),
        version: text(package, "version")?.to_string(),
        folder: Path::new(text(package, "manifest_path")?).parent()?.to_path_buf(),
        root_file: PathBuf::from(text(library, "src_path")?),
        has_build_script: targets.iter().any(|target| is_kind(target, "custom-build")),
        uses_sdk: !is_kind(library, "proc-macro")
            && dependencies.iter().any(|dependency| text(dependency, "name") == Some("spindle")),
        // Those of tests are left out: they are in no object.
        neighbours: dependencies
            .iter()
            .filter(|dependency| text(dependency, "kind") != Some("dev"))
            .filter_map(|dependency| text(dependency, "path").map(PathBuf::from))
            .collect(),
    })
}

fn member<'a>(value: &'a JsonValue, name: &str) -> Option<&'a JsonValue> {
    value.get::<std::collections::HashMap<String, JsonValue>>()?.get(name)
}

fn list<'a>(value: &'a JsonValue, name: &str) -> Option<&'a Vec<JsonValue>> {
    member(value, name)?.get()
}

fn text<'a>(value: &'a JsonValue, name: &str) -> Option<&'a str> {
    member(value, name)?.get::<String>().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::path::Path;

    const METADATA: &str = r#"{"packages":[
        {"name":"tool","version":"1.0.0","manifest_path":"/w/tool/Cargo.toml","dependencies":[],
         "targets":[{"kind":["bin"],"src_path":"/w/tool/src/main.rs"}]},
        {"name":"macros","version":"1.0.0","manifest_path":"/w/macros/Cargo.toml","dependencies":[{"name":"spindle"}],
         "targets":[{"kind":["proc-macro"],"src_path":"/w/macros/src/lib.rs"}]},
        {"name":"greeter","version":"0.1.0","manifest_path":"/w/greeter/Cargo.toml",
         "dependencies":[{"name":"spindle","kind":null,"path":"/w/spindle"},
                         {"name":"help","kind":"dev","path":"/w/help"}],
         "targets":[{"kind":["custom-build"],"src_path":"/w/greeter/build.rs"},
                    {"kind":["lib"],"src_path":"/w/greeter/src/lib.rs"}]}]}"#;

    #[test]
    fn libraries_are_found_among_programs() {
        let manifests = parse(METADATA).unwrap();
        let [macros, greeter] = manifests.as_slice() else { panic!("{manifests:?}") };
        assert_eq!((greeter.name.as_str(), greeter.version.as_str()), ("greeter", "0.1.0"));
        assert_eq!(greeter.folder, Path::new("/w/greeter"));
        assert_eq!(greeter.root_file, Path::new("/w/greeter/src/lib.rs"));
        assert!(greeter.has_build_script && greeter.uses_sdk);
        assert_eq!(greeter.neighbours, [Path::new("/w/spindle")], "what tests need is in no object");
        assert!(!macros.has_build_script && !macros.uses_sdk, "macros of the SDK are no spindle");
    }

    #[test]
    fn what_is_not_metadata_is_none() {
        assert_eq!(parse("not JSON"), None);
        assert_eq!(parse("{}"), None);
    }
}
