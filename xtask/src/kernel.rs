//! Building the kernel, in the flavours that are run.
use crate::error::{Error, Result};
use crate::files;
use crate::shell;
use crate::symbols;
use crate::workspace::{TARGET, Workspace};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Which kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flavour {
    /// Unoptimised, with every assertion.
    pub debug: bool,
    /// With its own tests in it (feature `ktest`).
    pub tests: bool,
}

impl Flavour {
    /// What its files are called: `whorl`, `whorl-debug-ktest`.
    pub fn file_name(self, base: &str) -> String {
        let debug = if self.debug { "-debug" } else { "" };
        let tests = if self.tests { "-ktest" } else { "" };
        format!("{base}{debug}{tests}")
    }

    /// As it is shown.
    pub fn profile(self) -> &'static str {
        if self.debug { "debug" } else { "release" }
    }
}

/// A built kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What QEMU boots.
    pub elf: PathBuf,
    /// The text of its function symbols.
    pub symbols: PathBuf,
}

/// Builds the kernel and lists its symbols. Costs a fraction of a second where nothing changed.
pub fn build(workspace: &Workspace, flavour: Flavour) -> Result<Kernel> {
    let mut cargo = shell::cargo(&workspace.root);
    cargo.args(["build", "--package", "kernel", "--target", TARGET, shell::color()]);
    cargo.arg("--target-dir").arg(workspace.target());
    if !flavour.debug {
        cargo.arg("--release");
    }
    if flavour.tests {
        cargo.args(["--features", "ktest"]);
    }
    // They would replace the flags of .cargo/config.toml, without which there are no backtraces.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let with_tests = if flavour.tests { " with its tests" } else { "" };
    let step = format!("building the kernel{with_tests}, {}", flavour.profile());
    workspace.shell.run(&step, &mut cargo, "mend what the compiler says above")?;
    // Cargo puts every flavour at the same place; what QEMU gets is a copy of its own.
    let built = workspace.target().join(TARGET).join(flavour.profile()).join("whorl");
    let elf = workspace.products().join(flavour.file_name("whorl"));
    let symbols = workspace.products().join(flavour.file_name("symbols"));
    let identity = identity(&built);
    if !symbols.is_file() || identity.is_none() || identity != self::identity(&elf) {
        let bytes = files::read(&built)?;
        let text = symbols::extract(&bytes)?;
        files::write(&symbols, text.as_bytes())?;
        files::write(&elf, &bytes)?;
        // Dated last: an interrupted copy is not taken for a whole one.
        if let Some((_, time)) = identity {
            let copy = std::fs::File::options().write(true).open(&elf);
            copy.and_then(|copy| copy.set_modified(time))
                .map_err(|error| Error::file("date", &elf, &error))?;
        }
    }
    Ok(Kernel { elf, symbols })
}

/// What tells one build from another.
fn identity(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Flavour;

    #[test]
    fn each_flavour_has_files_of_its_own() {
        let mut names = Vec::new();
        for debug in [false, true] {
            for tests in [false, true] {
                names.push(Flavour { debug, tests }.file_name("whorl"));
            }
        }
        assert_eq!(names, ["whorl", "whorl-ktest", "whorl-debug", "whorl-debug-ktest"]);
    }
}
