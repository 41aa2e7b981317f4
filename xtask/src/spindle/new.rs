//! `cargo xtask spindle new NAME`: a crate to begin with, written from the greeter, the spindle worth copying.
use super::check_name;
use crate::error::{Error, Result};
use crate::files;
use crate::options::{self, Common};
use crate::shell::{self, Shell};
use crate::workspace::Workspace;
use lexopt::Arg;
use std::path::{Component, Path, PathBuf};

/// The manual.
pub const HELP: &str = "\
Write a new spindle, ready to be built: a copy of the greeter under another name.

Usage: cargo xtask spindle new NAME [--package] [--path FOLDER]

  NAME           a-z, 0-9, _ and -, at most 32, the first a letter
  --package      a thread package: a copy of the README's tutorial instead
  --path FOLDER  the folder to put it in (default: extensions/ of this repository)
  --verbose      print each command

Example: cargo xtask spindle new packet-filter --path ..
";

const COMMAND: &str = "spindle new";
/// The spindle that every author begins with.
const TEMPLATE_SOURCE: &str = include_str!("../../../extensions/greeter/src/lib.rs");
const TEMPLATE_MANIFEST: &str = include_str!("../../../extensions/greeter/Cargo.toml");

/// And the one that authors of thread packages begin with.
const PACKAGE_SOURCE: &str = include_str!("../../../extensions/tutorial/src/lib.rs");
const PACKAGE_MANIFEST: &str = include_str!("../../../extensions/tutorial/Cargo.toml");

/// What a new spindle is written from.
struct Template {
    name: &'static str,
    source: &'static str,
    manifest: &'static str,
}

const GREETER: Template = Template { name: "greeter", source: TEMPLATE_SOURCE, manifest: TEMPLATE_MANIFEST };
const TUTORIAL: Template = Template { name: "tutorial", source: PACKAGE_SOURCE, manifest: PACKAGE_MANIFEST };

/// Runs the subcommand.
pub fn main(words: &mut lexopt::Parser) -> Result<()> {
    let (mut common, mut name, mut home) = (Common::default(), None, None);
    let mut template = GREETER;
    while let Some(arg) = options::next(words, COMMAND)? {
        match arg {
            Arg::Long("path") => home = Some(PathBuf::from(options::text(words, COMMAND)?)),
            Arg::Long("package") => template = TUTORIAL,
            Arg::Value(value) if name.is_none() => name = Some(value.to_string_lossy().into_owned()),
            other => common.take(other, COMMAND)?,
        }
    }
    if common.help {
        print!("{HELP}");
        return Ok(());
    }
    let name = name.ok_or_else(|| options::missing("NAME", COMMAND))?;
    let workspace = Workspace::new(Shell { verbose: common.verbose });
    let home = home.unwrap_or_else(|| workspace.root.join("extensions"));
    let folder = write(&template, &home, &name, &workspace.sdk())?;
    let shown = shell::quote(shortest(&folder).as_os_str());
    println!("Wrote {shown}. Next:");
    println!("  cargo xtask spindle build {shown}");
    let option =
        if folder.starts_with(&workspace.root) { String::new() } else { format!("--spindle {shown} ") };
    println!("  cargo xtask run {option}-c \"load {name}; domains\"");
    Ok(())
}

/// Writes the crate `name` into the folder `home`, with the SDK at `sdk`, and gives its folder.
fn write(template: &Template, home: &Path, name: &str, sdk: &Path) -> Result<PathBuf> {
    check_name(name)?;
    files::make_folder(home)?;
    let home = home.canonicalize().map_err(|error| Error::file("find", home, &error))?;
    let folder = home.join(name);
    if folder.exists() {
        return Err(Error::new(
            format!("{} already exists", folder.display()),
            "take another name, or remove that folder if you no longer need it",
        ));
    }
    files::write(&folder.join("Cargo.toml"), manifest(template, name, &path_to(sdk, &folder)).as_bytes())?;
    files::write(&folder.join("src/lib.rs"), source(template, name).as_bytes())?;
    Ok(folder)
}

/// The template's manifest with other name, description and SDK.
fn manifest(template: &Template, name: &str, sdk: &Path) -> String {
    let mut text = String::new();
    for line in template.manifest.lines() {
        match line.split_once(" = ").map_or(line, |(key, _)| key) {
            "name" => text += &format!("name = {name:?}"),
            "description" => text += &format!("description = \"The spindle {name}\""),
            "spindle" => text += &format!("spindle = {{ path = {sdk:?} }}"),
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

/// The template's source, which says its name nowhere but where it names itself.
fn source(template: &Template, name: &str) -> String {
    template.source.replace(template.name, name)
}

/// How `folder` names `target`: by a relative path where the two share more than the root of all files, so that both
/// can move together.
fn path_to(target: &Path, folder: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), target.components().collect());
    let shared = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
    if shared <= 1 {
        return target.to_path_buf();
    }
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    up.chain(to[shared..].iter().copied()).collect()
}

/// The path as it is typed from here.
fn shortest(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{GREETER, TEMPLATE_SOURCE, TUTORIAL, manifest, path_to, source, write};
    use std::path::Path;

    #[test]
    fn the_manifest_bears_the_new_name_and_the_path() {
        let text = manifest(&GREETER, "ticker", Path::new("../sdk"));
        assert!(text.contains("name = \"ticker\"\n"), "{text}");
        assert!(text.contains("spindle = { path = \"../sdk\" }\n"), "{text}");
        assert!(text.contains("[workspace]\n"), "{text}");
        assert!(!text.contains("greet"), "{text}");
    }

    #[test]
    fn the_source_is_the_greeters() {
        assert_eq!(source(&GREETER, "greeter"), TEMPLATE_SOURCE);
        assert!(source(&GREETER, "ticker").contains("#![forbid(unsafe_code)]"));
    }

    #[test]
    fn a_package_is_the_tutorials() {
        let text = source(&TUTORIAL, "mine");
        assert!(text.contains("Builder::new(\"mine\")") && !text.contains("tutorial"), "{text}");
        let text = manifest(&TUTORIAL, "mine", Path::new("../sdk"));
        assert!(text.contains("spin = {") && text.contains("name = \"mine\"\n"), "{text}");
    }

    #[test]
    fn paths_are_relative_where_that_lasts() {
        let sdk = Path::new("/home/me/whorl/extensions/spindle");
        for (folder, expected) in [
            ("/home/me/whorl/extensions/ticker", "../spindle"),
            ("/home/me/ticker", "../whorl/extensions/spindle"),
            ("/srv/ticker", "/home/me/whorl/extensions/spindle"),
        ] {
            assert_eq!(path_to(sdk, Path::new(folder)), Path::new(expected), "{folder}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_bad_names_write_nothing() {
        let home = std::env::temp_dir().join(format!("whorl-new-{}", std::process::id()));
        let sdk = Path::new("/sdk");
        let folder = write(&GREETER, &home, "ticker", sdk).unwrap();
        assert!(folder.join("src/lib.rs").is_file());
        let error = write(&GREETER, &home, "ticker", sdk).unwrap_err().to_string();
        assert!(error.contains("already exists"), "{error}");
        assert!(write(&GREETER, &home, "../ticker", sdk).is_err());
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
        std::fs::remove_dir_all(home).unwrap();
    }
}
