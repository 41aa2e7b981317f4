//! `cargo xtask`: the one tool.
#![forbid(unsafe_code)]

mod archive;
mod bench;
mod error;
mod files;
mod image;
mod kernel;
mod options;
mod progress;
mod qemu;
mod run;
mod setup;
mod shell;
mod spindle;
mod symbols;
mod test;
mod workspace;

use error::{Error, Result};
use lexopt::{Arg, Parser};
use options::Common;
use std::process::ExitCode;

const HELP: &str = "\
Whorl's one tool.

Usage: cargo xtask COMMAND [OPTIONS]

  run                   build what is missing, boot Whorl under QEMU, open its console
  test [FILTER]         run every test of the project
  bench SUITE           measure what things cost: dispatch, strands
  spindle new NAME      write a new spindle to begin with
  spindle build PATH    build a spindle to one object file
  build                 build the kernel, every spindle and the boot archive

Each has a manual: cargo xtask COMMAND --help
Example: cargo xtask run -c \"cores; load greeter; raise Demo.Hello 3\"
";

const SPINDLE_HELP: &str = "\
Spindles: what extends Whorl while it runs.

Usage: cargo xtask spindle COMMAND [OPTIONS]

  new NAME      write a new spindle to begin with
  build PATH    build a spindle to one object file

Each has a manual: cargo xtask spindle COMMAND --help
Example: cargo xtask spindle new ticker
";

fn main() -> ExitCode {
    match dispatch(&mut Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_told() {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &mut Parser) -> Result<()> {
    match subcommand(words, HELP, "")?.as_deref() {
        None => Ok(()),
        Some("run") => run::main(words),
        Some("test") => test::main(words),
        Some("bench") => bench::main(words),
        Some("build") => image::main(words),
        Some("spindle") => spindle(words),
        Some(other) => Err(unknown(other, "run, test, bench, spindle, build", "")),
    }
}

fn spindle(words: &mut Parser) -> Result<()> {
    match subcommand(words, SPINDLE_HELP, "spindle")?.as_deref() {
        None => Ok(()),
        Some("build") => spindle::build::main(words),
        Some("new") => spindle::new::main(words),
        Some(other) => Err(unknown(other, "new, build", "spindle")),
    }
}

/// The next subcommand; `None` where the manual was printed instead.
fn subcommand(words: &mut Parser, manual: &str, command: &str) -> Result<Option<String>> {
    match options::next(words, command)? {
        Some(Arg::Value(name)) => Ok(Some(name.to_string_lossy().into_owned())),
        None => {
            print!("{manual}");
            Ok(None)
        }
        Some(other) => {
            Common::default().take(other, command)?;
            print!("{manual}");
            Ok(None)
        }
    }
}

fn unknown(name: &str, known: &str, command: &str) -> Error {
    Error::new(format!("there is no command {name:?}; there are: {known}"), options::manual(command))
}
