//! Between the host and the machine: the concurrent parts under tools that try what no run would show.
//!
//! loom runs every interleaving of small models, within the bounds that they name. Miri, where a nightly toolchain has
//! it, looks for undefined behaviour; it needs no other suppressions than `crossbeam-epoch` does, which keeps pointers
//! in words and so can be held neither to strict provenance nor to Stacked Borrows, and whose collector outlives a test.
use super::report::Report;
use super::{Options, suites};
use crate::error::Result;
use crate::shell;
use crate::workspace::Workspace;
use std::process::{Command, Stdio};

const REPEAT: &str = "cargo xtask test --ring models";

/// What suffices for code that goes through `crossbeam-epoch`.
const MIRI_WITH_EPOCHS: &str = "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks";
const MIRI_STRICT: &str = "-Zmiri-strict-provenance";

/// Flags and arguments of each run of Miri, and whether it is for `--long` alone.
const MIRI: &[(&str, &[&str], bool)] = &[
    (MIRI_STRICT, &["--package", "dispatcher", "--test", "strict"], false),
    (MIRI_WITH_EPOCHS, &["--package", "dispatcher", "--tests"], true),
    (MIRI_STRICT, &["--package", "waiting", "--test", "threads"], false),
    (MIRI_STRICT, &["--package", "memory"], true),
];

/// The packages with models, and where these stand.
const LOOM: &[&[&str]] = &[
    &["--package", "dispatcher", "--package", "sched", "--test", "loom"],
    &["--package", "sched", "--test", "loom_slots"],
    &["--package", "dispatcher", "--test", "loom_post"],
    &["--package", "dispatcher", "--test", "loom_plans"],
    &["--package", "dispatcher", "--test", "loom_observe"],
    &["--package", "sched", "--test", "loom_policy"],
    &["--package", "sched", "--test", "loom_packages"],
    &["--package", "smp", "--lib"],
    &["--package", "waiting", "--test", "loom"],
];

/// Runs the models, and Miri where it is to be had.
pub fn run(workspace: &Workspace, options: &Options, report: &mut Report) -> Result<()> {
    for arguments in LOOM {
        suites::run(workspace, loom(workspace, arguments, options), "models", REPEAT, report)?;
    }
    if !is_there(Command::new("cargo").args(["+nightly", "miri", "--version"])) {
        println!(
            "models  Miri is skipped: no nightly toolchain here has it (rustup +nightly component add miri)"
        );
        return Ok(());
    }
    for (flags, arguments, _) in MIRI.iter().filter(|(_, _, is_long)| options.long || !is_long) {
        suites::run(workspace, miri(workspace, flags, arguments, options), "models", REPEAT, report)?;
    }
    Ok(())
}

fn loom(workspace: &Workspace, arguments: &[&str], options: &Options) -> Command {
    let mut cargo = shell::cargo(&workspace.root);
    // A folder of its own, or everything would be compiled anew for each change of flags.
    cargo.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace.root.join("target/loom"));
    cargo.args(["test", "--release", "--no-fail-fast", "--color=never"]).args(arguments);
    cargo.args(&options.filter);
    cargo
}

fn miri(workspace: &Workspace, flags: &str, arguments: &[&str], options: &Options) -> Command {
    let mut cargo = Command::new("cargo");
    // The toolchain in use must not win over the nightly.
    cargo.current_dir(&workspace.root).env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS");
    cargo.env("MIRIFLAGS", flags);
    cargo.args(["+nightly", "miri", "test", "--no-fail-fast", "--color=never"]).args(arguments);
    cargo.args(&options.filter);
    cargo
}

fn is_there(command: &mut Command) -> bool {
    let quiet = command.env_remove("RUSTUP_TOOLCHAIN").stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
