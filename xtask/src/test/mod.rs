//! `cargo xtask test`: every test of the project, in rings from the fastest outwards.
mod broken;
mod host;
mod kernel;
mod models;
mod readme;
mod report;
mod script;
mod suites;
mod system;

use crate::error::{Error, Result};
use crate::options::{self, Common};
use crate::setup;
use crate::shell::Shell;
use crate::workspace::Workspace;
use lexopt::{Arg, Parser};
use report::Report;

/// The manual.
pub const HELP: &str = "\
Run every test of the project; the last line is `N passed, N failed`.

Usage: cargo xtask test [FILTER] [OPTIONS]

  FILTER         only tests whose name contains this
  --ring RING    only this ring:
                   host    what needs no machine: the crates' own tests
                   models  the concurrent parts under loom, and under Miri where a nightly has it
                   kernel  inside the booted kernel, at 1, 2, 4 and 8 cores (debug: 1 and 8),
                           and tests of time where instructions are counted instead, at 1
                   system  over the console: xtask/tests/system/*.script, and the README's session
  --cores N      in ring kernel: only at this number of cores
  --long         also what takes minutes
  --verbose      print each command, and all that is said

Examples:
  cargo xtask test
  cargo xtask test frames --ring kernel --cores 8
";

const COMMAND: &str = "test";

/// A ring of tests, from the fastest outwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    Host,
    Models,
    Kernel,
    System,
}

/// Which tests the user wants.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    common: Common,
    filter: Option<String>,
    ring: Option<Ring>,
    cores: Option<u32>,
    long: bool,
}

impl Options {
    /// True if a test of this name is wanted.
    fn takes(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

fn parse(words: &mut Parser) -> Result<Options> {
    let mut options = Options::default();
    while let Some(arg) = options::next(words, COMMAND)? {
        match arg {
            Arg::Long("ring") => options.ring = Some(ring(&options::text(words, COMMAND)?)?),
            Arg::Long("cores") => options.cores = Some(options::number(words, "--cores", 1..=64, COMMAND)?),
            Arg::Long("long") => options.long = true,
            Arg::Value(value) if options.filter.is_none() => {
                options.filter = Some(value.to_string_lossy().into_owned());
            }
            other => options.common.take(other, COMMAND)?,
        }
    }
    Ok(options)
}

fn ring(name: &str) -> Result<Ring> {
    match name {
        "host" => Ok(Ring::Host),
        "models" => Ok(Ring::Models),
        "kernel" => Ok(Ring::Kernel),
        "system" => Ok(Ring::System),
        other => Err(Error::new(
            format!("there is no ring {other:?}; there are: host, models, kernel, system"),
            options::manual(COMMAND),
        )),
    }
}

/// Runs the subcommand. An error means that a test failed, or that not even the set-up worked.
pub fn main(words: &mut Parser) -> Result<()> {
    let options = parse(words)?;
    if options.common.help {
        print!("{HELP}");
        return Ok(());
    }
    let workspace = Workspace::new(Shell { verbose: options.common.verbose });
    let mut report = Report::default();
    let wants = |ring| options.ring.is_none_or(|wanted| wanted == ring);
    // Where a ring cannot run at all, the others still say what they find.
    if wants(Ring::Host) {
        let outcome = host::run(&workspace, &options, &mut report);
        report.guard("host", outcome);
    }
    if wants(Ring::Models) {
        let outcome = models::run(&workspace, &options, &mut report);
        report.guard("models", outcome);
    }
    if wants(Ring::Kernel) {
        let outcome =
            machine_setup(&workspace).and_then(|qemu| kernel::run(&workspace, &qemu, &options, &mut report));
        report.guard("kernel", outcome);
    }
    if wants(Ring::System) {
        let outcome =
            machine_setup(&workspace).and_then(|qemu| system::run(&workspace, &qemu, &options, &mut report));
        report.guard("system", outcome);
    }
    report.finish(options.filter.as_deref())
}

fn machine_setup(workspace: &Workspace) -> Result<std::path::PathBuf> {
    setup::toolchain(workspace)?;
    setup::qemu(workspace, None)
}

#[cfg(test)]
mod tests {
    use super::{Options, Ring, parse};

    fn words(words: &[&str]) -> crate::error::Result<Options> {
        parse(&mut lexopt::Parser::from_args(words))
    }

    #[test]
    fn options_are_taken() {
        let options = words(&["frames", "--ring", "kernel", "--cores", "8", "--long"]).unwrap();
        assert_eq!((options.ring, options.cores, options.long), (Some(Ring::Kernel), Some(8), true));
        assert!(options.takes("frames_return") && !options.takes("heap"));
        assert!(words(&[]).unwrap().takes("anything"));
    }

    #[test]
    fn mistakes_are_errors() {
        for mistake in [&["--ring", "fourth"][..], &["--cores", "0"], &["one", "two"], &["--lnog"]] {
            assert!(words(mistake).is_err(), "{mistake:?}");
        }
    }
}
