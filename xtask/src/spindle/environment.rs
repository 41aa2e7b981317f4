//! The builder's own environment: a spindle comes out the same whoever builds it.
//!
//! Variables and configuration change what cargo compiles: `RUSTFLAGS`, `RUSTC_BOOTSTRAP` (which would unlock unstable
//! features), wrappers around the compiler, profiles. So nothing is inherited but what is listed here, and cargo runs
//! in a folder of the builder's, where no `.cargo/config.toml` of the spindle's is read.
use crate::error::Result;
use crate::files;
use crate::shell;
use crate::workspace::Workspace;
use std::ffi::OsStr;
use std::process::Command;

/// What may be inherited: where programs, caches and toolchains are.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "TERM",
    "LANG",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];
/// And how crates are fetched.
const KEPT_PREFIXES: &[&str] = &["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];

/// Cargo in the builder's folder, with nothing inherited that changes a build.
pub fn cargo(workspace: &Workspace) -> Result<Command> {
    let folder = workspace.products().join("spindles");
    files::make_folder(&folder)?;
    let mut cargo = Command::new(shell::cargo(&folder).get_program());
    cargo.current_dir(&folder);
    for (name, _) in std::env::vars_os().filter(|(name, _)| !is_kept(name)) {
        cargo.env_remove(name);
    }
    // Configuration files above the builder's folder (cargo's home, mostly) still say how crates are fetched; what
    // they could say about the compiler is overruled here.
    cargo.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    cargo.env("CARGO_TARGET_DIR", folder.join("target")).env("CARGO_INCREMENTAL", "0");
    // Backtraces in the kernel walk frame pointers. Paths in panic messages begin at the repository.
    let flags =
        ["-Cforce-frame-pointers=yes", &format!("--remap-path-prefix={}/=", workspace.root.display())];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(cargo)
}

fn is_kept(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::{cargo, is_kept};
    use crate::shell::Shell;
    use crate::workspace::Workspace;

    #[test]
    fn what_changes_a_build_is_not_inherited() {
        for name in [
            "RUSTFLAGS",
            "RUSTC_BOOTSTRAP",
            "RUSTC",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "LD_PRELOAD",
        ] {
            assert!(!is_kept(name.as_ref()), "{name}");
        }
        assert!(is_kept("PATH".as_ref()) && is_kept("CARGO_NET_OFFLINE".as_ref()));
    }

    #[test]
    fn cargo_runs_in_the_builders_folder() {
        let workspace = Workspace::new(Shell::default());
        let cargo = cargo(&workspace).unwrap();
        assert_eq!(cargo.get_current_dir(), Some(&*workspace.products().join("spindles")));
    }
}
