//! Ring 2: tests inside the booted kernel, at several numbers of cores.
use super::Options;
use super::report::Report;
use crate::error::{Error, Result};
use crate::image;
use crate::kernel::Flavour;
use crate::qemu::{Accelerator, Ending, Machine};
use crate::shell;
use crate::workspace::Workspace;
use std::path::Path;
use std::time::{Duration, Instant};

/// The numbers of cores to test with where the user names none, optimised and not.
const CORES: [(&[u32], bool); 2] = [(&[1, 2, 4, 8], false), (&[1, 8], true)];
/// The numbers of cores for tests of time, on a machine that counts instructions instead. With several, QEMU
/// before 8.1 lets one core run until the next timer of any, whatever the others have to do: a core that computes
/// without ticks keeps the others waiting for seconds. (QEMU's change "ensure fairness with icount" tells of it.)
const VIRTUAL_CORES: &[u32] = &[1];
/// What the names of those tests contain: see `kernel/src/ktest.rs`.
const VIRTUAL: &str = "in_virtual_time";
/// What makes an instruction take a nanosecond, and each run the same.
const ICOUNT: [&str; 6] =
    ["-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01T00:00:00,clock=vm", "-seed", "1"];
/// How long all tests may take on one of them.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs the kernel's tests on each machine.
pub fn run(workspace: &Workspace, qemu: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let filter = options.filter.as_deref().unwrap_or_default();
    // The kernel reads its options as words; no test of its own has a space in its name.
    if filter.contains(char::is_whitespace) {
        return Ok(());
    }
    let spindles = image::spindles(workspace, &[])?;
    let suites = CORES.map(|(cores, debug)| (cores, debug, false));
    for (default_cores, debug, is_virtual) in suites.into_iter().chain([(VIRTUAL_CORES, false, true)]) {
        if !is_virtual && filter.contains(VIRTUAL) {
            continue;
        }
        let flavour = Flavour { debug, tests: true };
        let image = image::assemble(workspace, flavour, &spindles)?;
        let chosen = options.cores.as_ref().map_or(default_cores, std::slice::from_ref);
        for &cores in chosen.iter().filter(|cores| !is_virtual || VIRTUAL_CORES.contains(cores)) {
            let machine = Machine {
                qemu: qemu.to_path_buf(),
                image: image.clone(),
                cores,
                memory: "512M".into(),
                accelerator: if is_virtual { Accelerator::OneThread } else { Accelerator::Auto },
                command_line: command_line(filter, is_virtual),
                gdb: false,
                further: if is_virtual { ICOUNT.map(Into::into).to_vec() } else { Vec::new() },
            };
            run_on(workspace, &machine, flavour, options, report)?;
        }
    }
    Ok(())
}

/// What the kernel is told: all parts of a filter must be in a test's name.
fn command_line(filter: &str, is_virtual: bool) -> String {
    match (filter, is_virtual) {
        ("", false) => "test".into(),
        ("", true) => format!("test={VIRTUAL}"),
        (filter, false) => format!("test={filter}"),
        (filter, true) => format!("test={VIRTUAL}+{filter}"),
    }
}

fn run_on(
    workspace: &Workspace,
    machine: &Machine,
    flavour: Flavour,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let cores = if machine.cores == 1 { "1 core".into() } else { format!("{} cores", machine.cores) };
    let time = if machine.further.is_empty() { "" } else { ", virtual time" };
    let place = format!("{cores}, {}{time}", flavour.profile());
    let mut findings = Findings::default();
    let begun = Instant::now();
    let mut last = begun;
    let ending = machine.run_with_output(workspace.shell, Some(TIMEOUT), &mut |piece| {
        for line in findings.take(piece) {
            if options.common.verbose {
                println!("        | {line}");
            }
            if let Some((name, passed)) = verdict(&line) {
                let count = if passed { (1, 0) } else { (0, 1) };
                report.add("kernel", &format!("{name} ({place})"), count, last.elapsed());
                last = Instant::now();
            }
        }
    })?;
    if ending == Ending::Interrupted {
        return Err(Error::interruption());
    }
    let name = match findings.failures.as_slice() {
        [only] => format!("{} ", shell::quote(only.as_ref())),
        _ => options.filter.as_ref().map(|filter| format!("{filter} ")).unwrap_or_default(),
    };
    let repeat = format!("cargo xtask test {name}--ring kernel --cores {}", machine.cores);
    if let Some(problem) = findings.problem(ending, options.filter.is_some()) {
        report.add("kernel", &format!("(the run as a whole: {place})"), (0, 1), begun.elapsed());
        report.explain(&format!("{}{problem}", findings.output), repeat);
    } else if !findings.failures.is_empty() {
        report.explain(&findings.output, repeat);
    }
    Ok(())
}

/// What the kernel has said.
#[derive(Debug, Default)]
struct Findings {
    output: String,
    unfinished: Vec<u8>,
    passed: usize,
    failures: Vec<String>,
    sum: Option<(usize, usize)>,
}

impl Findings {
    /// Takes a piece of output and gives the lines that it completes.
    fn take(&mut self, piece: &[u8]) -> Vec<String> {
        self.unfinished.extend_from_slice(piece);
        let Some(end) = self.unfinished.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let rest = self.unfinished.split_off(end + 1);
        let whole = std::mem::replace(&mut self.unfinished, rest);
        let lines: Vec<String> = String::from_utf8_lossy(&whole)
            .lines()
            .map(|line| line.trim_end_matches('\r').to_string())
            .collect();
        for line in &lines {
            self.output += line;
            self.output.push('\n');
            match verdict(line) {
                Some((_, true)) => self.passed += 1,
                Some((name, false)) => self.failures.push(name.to_string()),
                None => self.sum = sum(line).or(self.sum),
            }
        }
        lines
    }

    /// What is wrong with the run beyond the tests that failed, if anything.
    fn problem(&self, ending: Ending, is_filtered: bool) -> Option<String> {
        let Some((passed, failed)) = self.sum else {
            let why = ending.check().err().map_or("the machine ended".into(), |error| error.to_string());
            return Some(format!("The kernel did not say `N passed, N failed`: {why}"));
        };
        if (passed, failed) != (self.passed, self.failures.len()) {
            return Some(format!(
                "The kernel counts {passed} passed, {failed} failed; its lines say {} and {}.",
                self.passed,
                self.failures.len()
            ));
        }
        if (passed, failed) == (0, 0) {
            // A kernel in which no test has the wanted name may call that a failure.
            let is_none_wanted = is_filtered && matches!(ending, Ending::Success | Ending::Failed);
            return (!is_none_wanted).then(|| "The kernel ran no test.".into());
        }
        let expected = if failed == 0 { Ending::Success } else { Ending::Failed };
        (ending != expected)
            .then(|| format!("After its tests the machine did not end as it should: {ending:?}"))
    }
}

/// `test NAME ... ok` or `test NAME ... FAILED`.
fn verdict(line: &str) -> Option<(&str, bool)> {
    let rest = line.strip_prefix("test ")?;
    match rest.strip_suffix(" ... ok") {
        Some(name) => Some((name, true)),
        None => rest.strip_suffix(" ... FAILED").map(|name| (name, false)),
    }
}

/// `N passed, N failed`.
fn sum(line: &str) -> Option<(usize, usize)> {
    let (passed, failed) = line.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Findings, command_line, sum, verdict};
    use crate::qemu::Ending;

    #[test]
    fn tests_of_time_are_asked_for_by_name() {
        assert_eq!(command_line("", false), "test");
        assert_eq!(command_line("queue", false), "test=queue");
        assert_eq!(command_line("", true), "test=in_virtual_time");
        assert_eq!(command_line("queue", true), "test=in_virtual_time+queue");
    }

    fn problem(output: &str, ending: Ending, is_filtered: bool) -> Option<String> {
        let mut findings = Findings::default();
        // In pieces that end anywhere, as a serial line gives them.
        output.as_bytes().chunks(7).for_each(|piece| {
            findings.take(piece);
        });
        findings.problem(ending, is_filtered)
    }

    #[test]
    fn lines_are_read() {
        assert_eq!(verdict("test a::b ... ok"), Some(("a::b", true)));
        assert_eq!(verdict("test a::b ... FAILED"), Some(("a::b", false)));
        assert_eq!(verdict("test a::b ... maybe"), None);
        assert_eq!(sum("12 passed, 1 failed"), Some((12, 1)));
        assert_eq!(sum("12 passed, none failed"), None);
    }

    #[test]
    fn a_complete_run_has_no_problem() {
        assert_eq!(problem("test a ... ok\r\n1 passed, 0 failed\r\n", Ending::Success, false), None);
        assert_eq!(problem("test a ... FAILED\n0 passed, 1 failed\n", Ending::Failed, false), None);
        assert_eq!(problem("0 passed, 0 failed\n", Ending::Success, true), None);
        assert_eq!(problem("0 passed, 0 failed\n", Ending::Failed, true), None);
        assert!(problem("0 passed, 0 failed\n", Ending::Panicked, true).is_some());
    }

    #[test]
    fn a_run_that_did_not_end_well_is_a_problem() {
        for (output, ending, word) in [
            ("test a ... ok\n", Ending::Success, "did not say"),
            ("test a ... ok\npanicked\n", Ending::Panicked, "panicked"),
            ("test a ... ok\n", Ending::TimedOut, "time was up"),
            ("test a ... ok\n2 passed, 0 failed\n", Ending::Success, "counts 2"),
            ("0 passed, 0 failed\n", Ending::Success, "no test"),
            ("test a ... ok\n1 passed, 0 failed\n", Ending::Panicked, "Panicked"),
            ("test a ... FAILED\n0 passed, 1 failed\n", Ending::Success, "Success"),
        ] {
            let problem =
                problem(output, ending, false).unwrap_or_else(|| panic!("{output:?} has a problem"));
            assert!(problem.contains(word), "{problem}");
        }
    }
}
