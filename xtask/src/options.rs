//! Words of the command line: what all subcommands share.
use crate::error::{Error, Result};
use lexopt::{Arg, Parser, ValueExt};

/// The options that every subcommand takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// `--help`: print the manual and do nothing.
    pub help: bool,
    /// `--verbose`: print each command.
    pub verbose: bool,
}

impl Common {
    /// Takes a shared option, or says that `arg` is none that `command` has.
    pub fn take(&mut self, arg: Arg<'_>, command: &str) -> Result<()> {
        match arg {
            Arg::Long("help") | Arg::Short('h') => self.help = true,
            Arg::Long("verbose") | Arg::Short('v') => self.verbose = true,
            other => return Err(wrong(other.unexpected(), command)),
        }
        Ok(())
    }
}

/// The next word for `command`, or `None` at the end.
pub fn next<'a>(words: &'a mut Parser, command: &str) -> Result<Option<Arg<'a>>> {
    words.next().map_err(|error| wrong(error, command))
}

/// The value of the option just read, as text.
pub fn text(words: &mut Parser, command: &str) -> Result<String> {
    words.value().and_then(ValueExt::string).map_err(|error| wrong(error, command))
}

/// The value of the option just read, as a number within `range`.
pub fn number(
    words: &mut Parser,
    name: &str,
    range: std::ops::RangeInclusive<u32>,
    command: &str,
) -> Result<u32> {
    let value = text(words, command)?;
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        Error::new(
            format!("{name} is {value:?}, not a number from {} to {}", range.start(), range.end()),
            manual(command),
        )
    })
}

/// A mistake in the words of a command.
pub fn wrong(error: lexopt::Error, command: &str) -> Error {
    Error::new(error.to_string(), manual(command))
}

/// A word that `command` cannot do without.
pub fn missing(word: &str, command: &str) -> Error {
    Error::new(format!("{word} is missing"), manual(command))
}

/// Where the command's manual is.
pub fn manual(command: &str) -> String {
    format!("see: cargo xtask {command} --help").replace("  ", " ")
}

#[cfg(test)]
mod tests {
    use super::{Common, next, number};

    #[test]
    fn shared_options_and_strangers() {
        let mut words = lexopt::Parser::from_args(["--verbose", "-h", "--strange"]);
        let mut common = Common::default();
        for _ in 0..2 {
            common.take(next(&mut words, "run").unwrap().unwrap(), "run").unwrap();
        }
        assert_eq!(common, Common { help: true, verbose: true });
        let error = common.take(next(&mut words, "run").unwrap().unwrap(), "run").unwrap_err();
        assert!(error.to_string().contains("--strange"), "{error}");
        assert!(error.to_string().contains("cargo xtask run --help"), "{error}");
    }

    #[test]
    fn numbers_have_a_range() {
        for (value, expected) in [("8", Some(8)), ("0", None), ("65", None), ("many", None)] {
            let mut words = lexopt::Parser::from_args(["--cores", value]);
            words.next().unwrap();
            assert_eq!(number(&mut words, "--cores", 1..=64, "run").ok(), expected);
        }
    }
}
