//! The kernel's command line: `OPTION... -- COMMAND; COMMAND`.

use core::fmt;

use log::LevelFilter;

/// What the command line asks for. Unknown words change nothing; [`problems`] lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// `log=LEVEL`: how much is logged; `info` unless told.
    pub log: LevelFilter,
    /// `test` or `test=FILTER`: run the tests whose names contain the filter, and exit.
    pub test: Option<&'a str>,
    /// `interactive=no`: no console even without a script.
    pub is_interactive: bool,
    /// `fault=NAME`: fall over in this way, to see how it is told (kernels with tests).
    pub fault: Option<&'a str>,
    /// All behind `--`: console commands to run, separated by `;`.
    pub script: Option<&'a str>,
}

/// A word of the command line that means nothing to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'a> {
    /// No option has this name.
    Unknown(&'a str),
    /// The option cannot take this value.
    Value(&'a str),
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = "log=error|warn|info|debug|trace, test[=FILTER], interactive=yes|no";
        match self {
            Self::Unknown(word) => write!(f, "ignored the unknown option `{word}`: there are {options}"),
            Self::Value(word) => write!(f, "ignored `{word}`, which has no such value: there are {options}"),
        }
    }
}

/// What one word asks for.
enum Setting<'a> {
    Log(LevelFilter),
    Test(&'a str),
    Interactive(bool),
    Fault(&'a str),
}

impl<'a> Options<'a> {
    /// Reads a command line. The last word on a subject holds.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let (words, script) = split(line);
        let mut options =
            Self { log: LevelFilter::Info, test: None, is_interactive: true, fault: None, script };
        for setting in settings(words).flatten() {
            match setting {
                Setting::Log(level) => options.log = level,
                Setting::Test(filter) => options.test = Some(filter),
                Setting::Interactive(is_interactive) => options.is_interactive = is_interactive,
                Setting::Fault(name) => options.fault = Some(name),
            }
        }
        options
    }
}

/// The words of a command line that [`Options::parse`] ignored.
pub fn problems(line: &str) -> impl Iterator<Item = Problem<'_>> {
    settings(split(line).0).filter_map(Result::err)
}

/// Options and script: `--` is a word of its own and may be first or last.
fn split(line: &str) -> (&str, Option<&str>) {
    let mut rest = 0;
    for word in line.split(' ') {
        if word == "--" {
            return (&line[..rest], Some(line[rest + 2..].trim()));
        }
        rest += word.len() + 1;
    }
    (line, None)
}

fn settings(words: &str) -> impl Iterator<Item = Result<Setting<'_>, Problem<'_>>> {
    words.split_whitespace().map(|word| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        match (name, value) {
            ("log", Some(level)) => level.parse().map(Setting::Log).map_err(|_| Problem::Value(word)),
            ("test", filter) => Ok(Setting::Test(filter.unwrap_or(""))),
            ("interactive", Some("yes")) => Ok(Setting::Interactive(true)),
            ("interactive", Some("no")) => Ok(Setting::Interactive(false)),
            ("fault", Some(name)) => Ok(Setting::Fault(name)),
            ("log" | "interactive" | "fault", _) => Err(Problem::Value(word)),
            _ => Err(Problem::Unknown(word)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn an_empty_line_means_the_console() {
        let options = Options::parse("");
        assert_eq!((options.log, options.is_interactive), (LevelFilter::Info, true));
        assert_eq!((options.test, options.script), (None, None));
    }

    #[test]
    fn options_stand_before_the_script() {
        let options = Options::parse("log=trace  test=memory interactive=no -- load a; echo -- log=off ");
        assert_eq!(options.log, LevelFilter::Trace);
        assert_eq!(options.test, Some("memory"));
        assert!(!options.is_interactive);
        assert_eq!(options.script, Some("load a; echo -- log=off"));
    }

    #[test]
    fn a_script_may_stand_alone_or_be_empty() {
        assert_eq!(Options::parse("-- help").script, Some("help"));
        assert_eq!(Options::parse("test --").script, Some(""));
        assert_eq!(Options::parse("test --").test, Some(""));
        assert_eq!(Options::parse("test --x").script, None);
    }

    #[test]
    fn unknown_words_are_told_and_change_nothing() {
        let line = "log=loud quiet interactive log=warn -- strange";
        assert_eq!(Options::parse(line).log, LevelFilter::Warn);
        let found: Vec<_> = problems(line).collect();
        let expected = [Problem::Value("log=loud"), Problem::Unknown("quiet"), Problem::Value("interactive")];
        assert_eq!(found, expected);
    }
}
