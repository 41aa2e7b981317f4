//! System tests as data: one file for each in `xtask/tests/system/`, lines of `key: value`.
//!
//! | key | meaning |
//! | --- | --- |
//! | `#` | what the test shows; the first line of the file |
//! | `cores`, `memory`, `log` | the machine (default 8, 512M, the kernel's own level) |
//! | `timeout` | seconds that it may take (default 120) |
//! | `long` | `yes`: only with `--long` |
//! | `spindle` | a further spindle for the boot archive, from this folder |
//! | `broken` | `NAME: HOW of SPINDLE`: a damaged object for the boot archive; see the module `broken` |
//! | `run` | a console command of the script; may be repeated |
//! | `kernel` | `tests`: the kernel with its own tests in it, which can fall over on command |
//! | `option` | a word for the kernel's command line, such as `fault=page`; may be repeated |
//! | `type` | a line typed at the interactive console, where `\t` is Tab, `\s` Space, `\e` Escape and `\^x` Control-X; may be repeated |
//! | `ahead` | a line typed, as by `type`, before the machine is switched on; goes with `type`; may be repeated |
//! | `tool` | a `cargo xtask` command line instead of a machine; may be repeated; `{scratch}` is an empty folder |
//! | `ends` | `well` (default), `failed`, `panicked`; of tools the last one ends so, those before it well |
//! | `says` | output must hold this text, after the one of the `says` before; may be repeated |
//! | `same` | table rows of this name must be there more than once, and all the same; may be repeated |
//! | `never` | output must not hold this text anywhere; may be repeated |
use crate::error::{Error, Result};
use crate::qemu::Ending;
use std::time::Duration;

/// One system test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Virtual cores.
    pub cores: u32,
    /// RAM.
    pub memory: String,
    /// Log level.
    pub log: Option<String>,
    /// The time that it may take.
    pub timeout: Duration,
    /// Not by default.
    pub long: bool,
    /// With the kernel's own tests in it.
    pub has_tests: bool,
    /// Words for the kernel's command line.
    pub options: Vec<String>,
    /// Further spindles.
    pub spindles: Vec<String>,
    /// Damaged objects.
    pub broken: Vec<String>,
    /// Lines typed before the machine is switched on.
    pub ahead: Vec<String>,
    /// What happens.
    pub steps: Steps,
    /// How it ends.
    pub ends: Ending,
    /// What the output says, in this order.
    pub says: Vec<String>,
    /// The first cells of table rows that are the same each time.
    pub same: Vec<String>,
    /// What the output never says.
    pub never: Vec<String>,
}

/// What happens in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Console commands given to the kernel.
    Run(Vec<String>),
    /// Lines typed at the console.
    Type(Vec<String>),
    /// Command lines of this tool.
    Tool(Vec<String>),
}

impl Script {
    /// Reads a script.
    pub fn parse(text: &str) -> Result<Script> {
        let (mut run, mut typed, mut tool) = (Vec::new(), Vec::new(), Vec::new());
        let mut script = Script {
            cores: 8,
            memory: "512M".into(),
            log: None,
            timeout: Duration::from_secs(120),
            long: false,
            has_tests: false,
            options: Vec::new(),
            spindles: Vec::new(),
            broken: Vec::new(),
            ahead: Vec::new(),
            steps: Steps::Run(Vec::new()),
            ends: Ending::Success,
            says: Vec::new(),
            same: Vec::new(),
            never: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || mistake(number, line);
            let (key, value) = line.split_once(": ").ok_or_else(wrong)?;
            let value = value.trim_start().to_string();
            match key {
                "cores" => script.cores = value.parse().map_err(|_| wrong())?,
                "memory" => script.memory = value,
                "log" => script.log = Some(value),
                "timeout" => script.timeout = Duration::from_secs(value.parse().map_err(|_| wrong())?),
                "long" if value == "yes" => script.long = true,
                "spindle" => script.spindles.push(value),
                "broken" => script.broken.push(value),
                "run" => run.push(value),
                "kernel" if value == "tests" => script.has_tests = true,
                "option" => script.options.push(value),
                "type" => typed.push(keys(&value).ok_or_else(wrong)?),
                "ahead" => script.ahead.push(keys(&value).ok_or_else(wrong)?),
                "tool" => tool.push(value),
                "says" => script.says.push(value),
                "same" => script.same.push(value),
                "never" => script.never.push(value),
                "ends" => {
                    script.ends = match value.as_str() {
                        "well" => Ending::Success,
                        "failed" => Ending::Failed,
                        "panicked" => Ending::Panicked,
                        _ => return Err(wrong()),
                    }
                }
                _ => return Err(wrong()),
            }
        }
        script.steps = match (run.is_empty(), typed.is_empty(), tool.is_empty()) {
            (false, true, true) => Steps::Run(run),
            (true, false, true) => Steps::Type(typed),
            (true, true, false) => Steps::Tool(tool),
            _ => {
                return Err(Error::new(
                    "a script has `run` lines, `type` lines or `tool` lines: one kind of them",
                    "split it in two, or give it something to do",
                ));
            }
        };
        if !script.ahead.is_empty() && !matches!(script.steps, Steps::Type(_)) {
            return Err(Error::new("nobody reads what is typed `ahead`", "add a line `type: TEXT`"));
        }
        // A test that looks at nothing would pass whatever happens.
        if script.says.is_empty() && script.ends == Ending::Success {
            return Err(Error::new("the script expects nothing", "add a line `says: TEXT`"));
        }
        Ok(script)
    }

    /// Compares a run with what was expected; the error says the first difference.
    pub fn check(&self, ending: Ending, output: &str) -> std::result::Result<(), String> {
        let mut rest = output;
        for wanted in &self.says {
            let Some(at) = rest.find(wanted.as_str()) else {
                let where_ = if output.contains(wanted.as_str()) { "where it should be" } else { "at all" };
                return Err(format!("it did not say {wanted:?} {where_}"));
            };
            rest = &rest[at + wanted.len()..];
        }
        for name in &self.same {
            let is_row =
                |line: &&str| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with("  "));
            let lines: Vec<&str> = output.lines().map(str::trim).filter(is_row).collect();
            let Some(other) = lines.iter().skip(1).find(|line| **line != lines[0]) else {
                match lines.len() {
                    0 | 1 => return Err(format!("it did not show twice a row {name:?}")),
                    _ => continue,
                }
            };
            return Err(format!("it said {:?} and then {other:?}", lines[0]));
        }
        if let Some(unwanted) = self.never.iter().find(|unwanted| output.contains(unwanted.as_str())) {
            return Err(format!("it said {unwanted:?}"));
        }
        if ending != self.ends {
            return Err(format!("it should have ended {:?}, but ended {ending:?}", self.ends));
        }
        Ok(())
    }
}

/// The keys that a `type` line names.
fn keys(line: &str) -> Option<String> {
    let mut typed = String::new();
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        typed.push(match sign {
            '\\' => match signs.next()? {
                't' => '\t',
                's' => ' ',
                'e' => '\x1b',
                '^' => char::from(u8::try_from(signs.next()?).ok()? & 0x1f),
                '\\' => '\\',
                _ => return None,
            },
            sign => sign,
        });
    }
    Some(typed)
}

fn mistake(number: usize, line: &str) -> Error {
    Error::new(
        format!("line {number} is no line of a script: {line:?}"),
        "write `key: value` with a key of the table at the head of xtask/src/test/script.rs",
    )
}

#[cfg(test)]
mod tests {
    use super::{Script, Steps};
    use crate::qemu::Ending;

    #[test]
    fn a_script_is_read() {
        let script = Script::parse(
            "# Shows it.\ncores: 2\nrun: load greeter\nrun: load greeter\nsays: a: b\nnever: c\nends: failed\n",
        )
        .unwrap();
        assert_eq!(script.cores, 2);
        assert_eq!(script.steps, Steps::Run(vec!["load greeter".into(), "load greeter".into()]));
        assert_eq!((script.says[0].as_str(), script.never[0].as_str()), ("a: b", "c"));
        assert_eq!(script.ends, Ending::Failed);
    }

    #[test]
    fn mistakes_are_not_overlooked() {
        for text in [
            "",
            "run: cores\n",
            "run: cores\ntool: run\nsays: x\n",
            "run: cores\nsay: x\n",
            "run cores\nsays: x\n",
            "run: cores\ncores: many\nsays: x\n",
            "run: cores\nends: somehow\n",
            "type: \\q\nsays: x\n",
            "says: x\n",
            "ahead: cores\nrun: cores\nsays: x\n",
        ] {
            assert!(Script::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn keys_have_names() {
        let script = Script::parse("type: lo\\t\\e[A\\^a\\\\\nsays: x\n").unwrap();
        assert_eq!(script.steps, Steps::Type(vec!["lo\t\x1b[A\x01\\".into()]));
        let script = Script::parse("ahead: \\e\ntype: halt\nsays: x\n").unwrap();
        assert_eq!(script.ahead, ["\x1b"]);
    }

    #[test]
    fn what_must_be_the_same_is_compared() {
        let script = Script::parse("run: memory\nsays: free\nsame: free\n").unwrap();
        assert!(script.check(Ending::Success, "  free   12\nx\n  free   12\nfree frames 13").is_ok());
        for output in ["free  12", "free  12\nfree  13", "free  12\nfree  12\nfree  11"] {
            assert!(script.check(Ending::Success, output).is_err(), "{output}");
        }
    }

    #[test]
    fn the_order_of_what_is_said_counts() {
        let script = Script::parse("run: x\nsays: one\nsays: two\nnever: three\n").unwrap();
        assert!(script.check(Ending::Success, "zero one and two").is_ok());
        for (ending, output, word) in [
            (Ending::Success, "two one", "where it should be"),
            (Ending::Success, "one", "at all"),
            (Ending::Success, "one two three", "three"),
            (Ending::Failed, "one two", "Failed"),
            (Ending::TimedOut, "one two", "TimedOut"),
        ] {
            let difference = script.check(ending, output).unwrap_err();
            assert!(difference.contains(word), "{difference}");
        }
    }
}
