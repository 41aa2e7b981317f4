//! Where things lie: the repository, what the tool makes in it, and the toolchain.
use crate::error::{Error, Result};
use crate::shell::Shell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of the kernel and of spindles.
pub const TARGET: &str = "x86_64-unknown-none";

/// The repository and how its commands are shown.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The folder that holds the workspace's Cargo.toml.
    pub root: PathBuf,
    /// How commands run.
    pub shell: Shell,
}

impl Workspace {
    /// The repository that this tool was built in.
    pub fn new(shell: Shell) -> Workspace {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        Workspace { root: own.parent().unwrap_or(own).to_path_buf(), shell }
    }

    /// Cargo's own folder of built things.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// What the tool itself makes: kernels, symbols, boot archives, spindles.
    pub fn products(&self) -> PathBuf {
        self.target().join("whorl")
    }

    /// What a spindle's author depends on.
    pub fn sdk(&self) -> PathBuf {
        self.root.join("extensions/spindle")
    }
}

/// The folder of the toolchain in use.
pub fn sysroot() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("CARGO").and_then(|cargo| sysroot_of(Path::new(&cargo))) {
        return Ok(folder);
    }
    let mut rustc = Command::new("rustc");
    let output = rustc.args(["--print", "sysroot"]).output();
    match output {
        Ok(done) if done.status.success() => {
            Ok(PathBuf::from(String::from_utf8_lossy(&done.stdout).trim().to_string()))
        }
        _ => Err(Error::new(
            "cannot run rustc",
            "install Rust from https://rustup.rs, then open a new shell or add ~/.cargo/bin to PATH",
        )),
    }
}

/// The toolchain that a cargo lies in, unless it is rustup's stand-in, which lies in none.
fn sysroot_of(cargo: &Path) -> Option<PathBuf> {
    let folder = cargo.parent()?.parent()?;
    folder.join("lib/rustlib").is_dir().then(|| folder.to_path_buf())
}

/// The linker that comes with the toolchain.
pub fn linker() -> Result<PathBuf> {
    let sysroot = sysroot()?;
    crate::files::folders_in(&sysroot.join("lib/rustlib"))
        .into_iter()
        .map(|host| host.join("bin/rust-lld"))
        .find(|linker| linker.is_file())
        .ok_or_else(|| {
            Error::new(
                format!("no rust-lld in the toolchain {}", sysroot.display()),
                "install the toolchain by rustup (https://rustup.rs), which ships it: rustup toolchain install",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::{Workspace, linker, sysroot_of};
    use crate::shell::Shell;
    use std::path::Path;

    #[test]
    fn the_repository_is_found() {
        let workspace = Workspace::new(Shell::default());
        assert!(workspace.root.join("rust-toolchain.toml").is_file());
        assert!(workspace.sdk().join("Cargo.toml").is_file());
    }

    #[test]
    fn the_linker_is_found() {
        assert!(linker().unwrap().ends_with("bin/rust-lld"));
    }

    #[test]
    fn a_stand_in_for_cargo_is_in_no_toolchain() {
        assert_eq!(sysroot_of(Path::new("/nowhere/bin/cargo")), None);
    }
}
