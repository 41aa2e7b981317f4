//! The generated crate around a spindle: the only place in it with an allocator, a panic handler and an exported symbol.
use super::manifest::Manifest;
use crate::error::Result;
use crate::files;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// A glue crate, written.
#[derive(Debug)]
pub struct Glue {
    /// Its Cargo.toml.
    pub manifest_path: PathBuf,
    /// The file name of the static library that it becomes.
    pub library: String,
}

/// Writes the glue crate of `spindle` into the builder's folder; files that are already right are left alone.
pub fn write(workspace: &Workspace, spindle: &Manifest) -> Result<Glue> {
    let folder = workspace.products().join("spindles/glue").join(&spindle.name);
    files::write_if_changed(&folder.join("Cargo.toml"), cargo_toml(spindle, &workspace.sdk()).as_bytes())?;
    files::write_if_changed(&folder.join("lib.rs"), source(spindle).as_bytes())?;
    lock(workspace, &folder)?;
    Ok(Glue {
        manifest_path: folder.join("Cargo.toml"),
        library: format!("lib{}_glue.a", spindle.name.replace('-', "_")),
    })
}

/// Starts from the repository's own locked versions, so that what the SDK needs is what the kernel was tested with.
fn lock(workspace: &Workspace, folder: &Path) -> Result<()> {
    let base = folder.join("Cargo.lock.base");
    let locked = files::read(&workspace.root.join("Cargo.lock"))?;
    if std::fs::read(&base).is_ok_and(|old| old == locked) {
        return Ok(());
    }
    files::write_if_changed(&folder.join("Cargo.lock"), &locked)?;
    files::write_if_changed(&base, &locked)
}

fn cargo_toml(spindle: &Manifest, sdk: &Path) -> String {
    let Manifest { name, folder, .. } = spindle;
    format!(
        r#"# Made by `cargo xtask spindle build`; changes are overwritten.
[package]
name = "{name}-glue"
version = "0.0.0"
edition = "2024"

# A workspace of its own, so that none above has a say.
[workspace]

[lib]
path = "lib.rs"
crate-type = ["staticlib"]

[dependencies]
spindle = {{ path = {sdk:?} }}
extension = {{ package = "{name}", path = {folder:?} }}

[profile.release]
opt-level = 3
lto = "fat"
codegen-units = 1
panic = "abort"
debug = false
overflow-checks = false
debug-assertions = false
"#
    )
}

fn source(spindle: &Manifest) -> String {
    format!(
        r#"//! Made by `cargo xtask spindle build`; changes are overwritten.
#![no_std]
spindle::glue!(extension, {:?}, {:?});
// An empty piece of the table of imports that the linker keeps (R), so that the table's two ends are defined for a
// spindle that imports nothing. Imports that nobody uses are left out of it.
core::arch::global_asm!(".pushsection whorl_imports, \"awR\", @progbits", ".popsection");
"#,
        spindle.name, spindle.version
    )
}

#[cfg(test)]
mod tests {
    use super::{cargo_toml, source};
    use crate::spindle::manifest::Manifest;
    use std::path::{Path, PathBuf};

    fn greeter() -> Manifest {
        Manifest {
            name: "greeter".into(),
            version: "0.1.0".into(),
            folder: PathBuf::from("/tmp/my spindles/greeter"),
            root_file: PathBuf::from("/tmp/my spindles/greeter/src/lib.rs"),
            has_build_script: false,
            uses_sdk: true,
            neighbours: Vec::new(),
        }
    }

    #[test]
    fn the_glue_names_spindle_and_version() {
        assert!(source(&greeter()).contains("spindle::glue!(extension, \"greeter\", \"0.1.0\");"));
    }

    #[test]
    fn the_manifest_is_a_workspace_of_its_own() {
        let text = cargo_toml(&greeter(), Path::new("/sdk"));
        assert!(text.contains("\n[workspace]\n"));
        assert!(text.contains(r#"extension = { package = "greeter", path = "/tmp/my spindles/greeter" }"#));
    }
}
