//! Ring 1: the crates' own tests, on this machine.
use super::report::Report;
use super::{Options, suites};
use crate::error::Result;
use crate::shell;
use crate::workspace::Workspace;

/// Runs the tests of every crate that runs on the host.
pub fn run(workspace: &Workspace, options: &Options, report: &mut Report) -> Result<()> {
    let mut compile = shell::cargo(&workspace.root);
    compile.args(["test", "--no-run", shell::color()]);
    workspace.shell.run("compiling the host tests", &mut compile, "mend what the compiler says above")?;

    let mut cargo = shell::cargo(&workspace.root);
    cargo.args(["test", "--no-fail-fast", "--color=never"]).args(&options.filter);
    if options.long {
        cargo.args(["--", "--include-ignored"]);
    }
    suites::run(workspace, cargo, "host", "cargo xtask test --ring host", report)
}
