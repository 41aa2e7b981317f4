//! What `cargo test` says, suite by suite: shared by the rings that run on this machine.
use super::report::Report;
use crate::error::{Error, Result};
use crate::shell::{self, cannot_start};
use crate::workspace::Workspace;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs `cargo`, a test command, and counts its suites for `ring`; `repeat` is what runs just them again.
pub fn run(
    workspace: &Workspace,
    mut cargo: Command,
    ring: &str,
    repeat: &str,
    report: &mut Report,
) -> Result<()> {
    workspace.shell.announce(&cargo);
    // One pipe for both: cargo names a suite on one stream, libtest reports it on the other.
    let piped = |error| cannot_start(&shell::cargo(&workspace.root), &error);
    let (output, writer) = std::io::pipe().map_err(piped)?;
    let errors = writer.try_clone().map_err(piped)?;
    let mut child = cargo.stdin(Stdio::null()).stdout(writer).stderr(errors).spawn().map_err(piped)?;
    drop(cargo);

    let mut suites = Suites::default();
    let (mut begun, mut failed) = (Instant::now(), 0);
    let mut show = |suite: &Suite, report: &mut Report| {
        failed += suite.failed;
        suite.show(ring, repeat, begun, report);
        begun = Instant::now();
    };
    let mut said = String::new();
    for line in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if workspace.shell.verbose {
            println!("{line}");
        }
        if let Some(suite) = suites.line(&line) {
            show(&suite, report);
        }
        said += &line;
        said.push('\n');
    }
    if let Some(suite) = suites.end() {
        show(&suite, report);
    }
    let status = child.wait().map_err(piped)?;
    if !status.success() && failed == 0 {
        print!("{said}");
        return Err(Error::new(
            format!("cargo test failed ({status}), though no test did"),
            "mend what it says above",
        ));
    }
    Ok(())
}

/// One test program, or the examples in one crate's documentation.
#[derive(Debug, Default, PartialEq, Eq)]
struct Suite {
    name: String,
    passed: usize,
    failed: usize,
    failures: Vec<String>,
    output: String,
}

/// Reads what `cargo test` says.
#[derive(Debug, Default)]
struct Suites {
    current: Option<Suite>,
}

impl Suite {
    fn show(&self, ring: &str, repeat: &str, begun: Instant, report: &mut Report) {
        if (self.passed, self.failed) == (0, 0) {
            return;
        }
        report.add(ring, &self.name, (self.passed, self.failed), begun.elapsed());
        if self.failed > 0 {
            let filter = match self.failures.as_slice() {
                [only] => format!(" {}", shell::quote(only.as_ref())),
                _ => String::new(),
            };
            report.explain(&self.output, format!("{repeat}{filter}"));
        }
    }
}

impl Suites {
    /// Takes a line; gives the suite that it ends.
    fn line(&mut self, line: &str) -> Option<Suite> {
        if let Some(name) = suite_name(line) {
            let before = self.end();
            self.current = Some(Suite { name, ..Suite::default() });
            return before;
        }
        let suite = self.current.as_mut()?;
        if let Some((passed, failed)) = counts(line) {
            (suite.passed, suite.failed) = (passed, failed);
            return self.current.take();
        }
        suite.output += line;
        suite.output.push('\n');
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            suite.failures.push(name.to_string());
        }
        None
    }

    /// At the end of all output, or when another suite begins: one that is still under way never said how it ended,
    /// which counts as a failure.
    fn end(&mut self) -> Option<Suite> {
        let mut suite = self.current.take()?;
        suite.failed = 1;
        suite.output += "The test program ended without a result.\n";
        Some(suite)
    }
}

/// `     Running unittests src/lib.rs (target/debug/deps/memory-0123)` or `   Doc-tests memory`.
fn suite_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name}, its examples"));
    }
    let (what, program) = line.strip_prefix("Running ")?.rsplit_once(" (")?;
    let program = program.strip_suffix(')')?.rsplit('/').next()?;
    let name = program.rsplit_once('-').map_or(program, |(name, _)| name);
    Some(format!("{name}, {}", what.strip_prefix("unittests ").unwrap_or(what)))
}

/// `test result: ok. 3 passed; 0 failed; 0 ignored; ...`
fn counts(line: &str) -> Option<(usize, usize)> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count =
        |word| numbers.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse::<usize>().ok());
    Some((count("passed")?, count("failed")?))
}

#[cfg(test)]
mod tests {
    use super::{Suite, Suites, counts, suite_name};

    fn suites(text: &str) -> Vec<Suite> {
        let mut reader = Suites::default();
        let mut found: Vec<_> = text.lines().filter_map(|line| reader.line(line)).collect();
        found.extend(reader.end());
        found
    }

    #[test]
    fn suites_are_named_for_their_crates() {
        assert_eq!(
            suite_name("     Running unittests src/lib.rs (target/debug/deps/memory-12ab)").unwrap(),
            "memory, src/lib.rs"
        );
        assert_eq!(
            suite_name("     Running tests/rules.rs (/t/debug/deps/rules-12ab)").unwrap(),
            "rules, tests/rules.rs"
        );
        assert_eq!(suite_name("   Doc-tests memory").unwrap(), "memory, its examples");
        assert_eq!(suite_name("running 3 tests"), None);
    }

    #[test]
    fn results_are_counted() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(line), Some((3, 1)));
        assert_eq!(counts("test result is fine"), None);
    }

    #[test]
    fn failures_are_named_and_shown() {
        let found = suites(
            "     Running unittests src/lib.rs (target/debug/deps/a-1)\nrunning 2 tests\ntest x ... ok\n\
             test y::z ... FAILED\nwhy\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n   Doc-tests a\n\
             test result: ok. 4 passed; 0 failed; 0 ignored\n",
        );
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].passed, found[0].failed), (1, 1));
        assert_eq!(found[0].failures, ["y::z"]);
        assert!(found[0].output.contains("why"));
        assert_eq!((found[1].passed, found[1].failed), (4, 0));
    }

    #[test]
    fn a_program_that_dies_is_a_failure() {
        let found =
            suites("     Running tests/a.rs (target/debug/deps/a-1)\ntest x ... ok\n   Doc-tests b\n");
        assert_eq!(found.iter().map(|suite| suite.failed).collect::<Vec<_>>(), [1, 1]);
    }
}
