//! Other programs, run for the user: each command is printed with `--verbose`, and its output is shown when it fails.
use crate::error::{Error, Result};
use crate::progress::Step;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// How commands are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shell {
    /// Print each command before it runs, and its output as it comes.
    pub verbose: bool,
}

impl Shell {
    /// Prints `command` where the user asked for that.
    pub fn announce(self, command: &Command) {
        if self.verbose {
            eprintln!("$ {}", display(command));
        }
    }

    /// Runs `command` as a step with this name and gives its standard output. What it writes to standard error is
    /// progress; the user reads it when the command fails or warns.
    pub fn run(self, step: &str, command: &mut Command, next: &str) -> Result<Vec<u8>> {
        self.announce(command);
        let (status, output, errors) = if self.verbose {
            command.stdin(Stdio::null()).stderr(Stdio::inherit());
            let done = command.output().map_err(|error| cannot_start(command, &error))?;
            (done.status, done.stdout, String::new())
        } else {
            self.run_quietly(step, command)?
        };
        if !status.success() {
            eprint!("{errors}");
            eprint!("{}", String::from_utf8_lossy(&output));
            return Err(Error::new(format!("{step} failed ({status}): {}", words(command)), next));
        }
        if errors.contains("warning") {
            errors.lines().filter(|line| !is_progress(line)).for_each(|line| eprintln!("{line}"));
        }
        Ok(output)
    }

    fn run_quietly(self, step: &str, command: &mut Command) -> Result<(ExitStatus, Vec<u8>, String)> {
        let step = Step::begin(step);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
        let (Some(mut output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for above")
        };
        let details = step.details();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(errors).split(b'\n').map_while(std::result::Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if let Some(details) = &details {
                    // The step may already have ended; then nobody needs to know.
                    let _ = details.send(line.to_string());
                }
                text += &line;
                text.push('\n');
            }
            text
        });
        let mut bytes = Vec::new();
        let read = output.read_to_end(&mut bytes);
        let status = child.wait().and_then(|status| read.map(|_| status));
        let errors = reader.join().unwrap_or_default();
        Ok((status.map_err(|error| cannot_start(command, &error))?, bytes, errors))
    }
}

/// Cargo as it called this tool, in `folder`, without what it told the tool about the tool itself: those variables
/// would make the same build look different from here and from the user's own shell.
pub fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if is_of_the_tool(&name) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// What makes a cargo whose output is captured write as it would to this terminal.
pub fn color() -> &'static str {
    if std::io::stderr().is_terminal() { "--color=always" } else { "--color=never" }
}

fn is_of_the_tool(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || name.starts_with("CARGO_BIN_")
        || matches!(&*name, "OUT_DIR" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE")
}

/// True for what cargo says of work that goes well: `   Compiling log v0.4.27`.
fn is_progress(line: &str) -> bool {
    // Without colours: each begins with an escape and ends with an m.
    let mut parts = line.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_string();
    plain.extend(parts.filter_map(|part| part.split_once('m')).map(|(_, text)| text));
    [
        "Compiling ",
        "Checking ",
        "Finished ",
        "Executable ",
        "Downloading ",
        "Downloaded ",
        "Locking ",
        "Adding ",
    ]
    .iter()
    .any(|verb| plain.starts_with("  ") && plain.trim_start().starts_with(verb))
}

/// The file that `program` means: itself where it is a path, else the first of that name in PATH.
pub fn find_program(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The command as one could paste it into a shell.
pub fn display(command: &Command) -> String {
    let mut prefix = String::new();
    if let Some(folder) = command.get_current_dir() {
        prefix += &format!("cd {} && ", quote(folder.as_os_str()));
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            prefix += &format!("{}={} ", name.to_string_lossy(), quote(value));
        }
    }
    prefix + &words(command)
}

/// The command's program and arguments.
fn words(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
    words.join(" ")
}

/// A word as a shell reads it back.
pub fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into_owned()
    } else if word.contains(|letter: char| letter.is_control()) {
        // What bash reads back: `$'a\u{1f}b'` as `$'a\x1fb'`.
        let escape = |letter: char| match letter {
            '\'' | '\\' => format!("\\{letter}"),
            letter if letter.is_ascii_control() => format!("\\x{:02x}", letter as u32),
            letter => letter.to_string(),
        };
        format!("$'{}'", word.chars().map(escape).collect::<String>())
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The error for a command that did not even start.
pub fn cannot_start(command: &Command, error: &std::io::Error) -> Error {
    Error::new(
        format!("cannot run {}: {error}", command.get_program().display()),
        "check that the program is installed and in PATH",
    )
}

#[cfg(test)]
mod tests {
    use super::{Shell, display, find_program, is_of_the_tool, is_progress};
    use std::process::Command;

    #[test]
    fn commands_can_be_pasted() {
        let mut command = Command::new("echo");
        command.arg("plain").arg("it's two; words").arg("a\x1fb'").env("A", "b c").current_dir("/tmp");
        let pasted = r"cd /tmp && A='b c' echo plain 'it'\''s two; words' $'a\x1fb\''";
        assert_eq!(display(&command), pasted);
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let quiet = Shell::default();
        assert_eq!(quiet.run("saying", Command::new("echo").arg("hi"), "").unwrap(), b"hi\n");
        let error = quiet.run("failing", Command::new("false").arg("now"), "pray").unwrap_err();
        assert!(error.to_string().contains("false now"), "{error}");
        assert!(error.to_string().contains("next: pray"), "{error}");
        assert!(quiet.run("missing", &mut Command::new("/no/such/program"), "").is_err());
    }

    #[test]
    fn programs_are_found_by_path_and_by_name() {
        assert!(find_program("sh").is_some());
        assert!(find_program("/bin/sh").is_some());
        assert!(find_program("no-such-program-anywhere").is_none());
        assert!(find_program("/bin").is_none());
    }

    #[test]
    fn warnings_are_no_progress() {
        assert!(is_progress("   Compiling log v0.4.27"));
        assert!(is_progress("\x1b[1m\x1b[92m    Finished\x1b[0m `release` profile"));
        assert!(!is_progress("warning: unused import: `Ordering`"));
        assert!(!is_progress("  --> src/lib.rs:9:39"));
    }

    #[test]
    fn only_variables_about_the_tool_are_dropped() {
        assert!(is_of_the_tool("CARGO_PKG_NAME".as_ref()));
        assert!(!is_of_the_tool("CARGO_HOME".as_ref()));
        assert!(!is_of_the_tool("CARGO_NET_OFFLINE".as_ref()));
    }
}
