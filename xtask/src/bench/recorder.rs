//! What the recorder, a plugin in QEMU, has seen, and what follows from it: do cores that raise at once
//! share nothing that one of them writes, and does each execute what a lone one does?
use super::machine::Phase;
use super::measurement::{Measurement, Mode};
use crate::error::{Error, Result};
use crate::shell;
use crate::symbols::Names;
use crate::workspace::Workspace;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The case that shares on purpose, as crate `stress` names it.
pub const CONTROL: &str = "control";

/// Builds the plugin; where it lies.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = shell::cargo(&workspace.root);
    cargo.args(["build", "--release", "--package", "recorder", shell::color()]);
    cargo.arg("--target-dir").arg(workspace.target());
    workspace.shell.run("building the recorder", &mut cargo, "mend what the compiler says above")?;
    Ok(workspace.target().join("release/librecorder.so"))
}

/// The options by which QEMU loads the plugin that writes its report to `out`.
pub fn options(plugin: &Path, out: &Path) -> Vec<OsString> {
    // QEMU reads two commas as one that divides nothing.
    let path = |path: &Path| path.to_string_lossy().replace(',', ",,");
    vec!["-plugin".into(), format!("{},out={}", path(plugin), path(out)).into()]
}

/// The recorder's report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    cores: Vec<CoreRecord>,
    shared: Vec<Shared>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct CoreRecord {
    phase: u32,
    core: u32,
    instructions: u64,
    lines_read: u64,
    lines_written: u64,
}

/// A line that one core wrote and another touched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shared {
    phase: u32,
    writer: u32,
    stored: u64,
    stored_by: u64,
    other: u32,
    touched: u64,
    touched_by: u64,
    how: String,
}

impl Report {
    /// Reads the report; its form stands in the plugin's `report.rs`.
    pub fn parse(text: &str) -> Result<Report> {
        let mut report = Report::default();
        let mut is_whole = false;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let is_known = match words[..] {
                ["core", ..] => core(&words).map(|record| report.cores.push(record)).is_some(),
                ["shared", ..] => shared(&words).map(|finding| report.shared.push(finding)).is_some(),
                ["end"] => {
                    is_whole = true;
                    true
                }
                _ => false,
            };
            if !is_known {
                return Err(unreadable(line));
            }
        }
        if is_whole { Ok(report) } else { Err(unreadable("no last line")) }
    }

    /// What each core executed in that phase.
    pub fn instructions(&self, phase: u32) -> Vec<u64> {
        self.cores.iter().filter(|record| record.phase == phase).map(|record| record.instructions).collect()
    }
}

fn unreadable(what: &str) -> Error {
    Error::new(
        format!("the recorder's report cannot be read: {what}"),
        "do the plugin and this tool come from the same sources? Build both again",
    )
}

fn core(words: &[&str]) -> Option<CoreRecord> {
    let [_, phase, core, instructions, read, written] = words[..] else { return None };
    Some(CoreRecord {
        phase: phase.parse().ok()?,
        core: core.parse().ok()?,
        instructions: instructions.parse().ok()?,
        lines_read: read.parse().ok()?,
        lines_written: written.parse().ok()?,
    })
}

fn shared(words: &[&str]) -> Option<Shared> {
    let [_, phase, writer, stored, stored_by, other, touched, touched_by, how] = words[..] else {
        return None;
    };
    let address = |word: &str| u64::from_str_radix(word, 16).ok();
    Some(Shared {
        phase: phase.parse().ok()?,
        writer: writer.parse().ok()?,
        stored: address(stored)?,
        stored_by: address(stored_by)?,
        other: other.parse().ok()?,
        touched: address(touched)?,
        touched_by: address(touched_by)?,
        how: how.into(),
    })
}

/// What follows from a recorded run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Instructions for one time, a sample for each core.
    pub counts: Vec<Measurement>,
    /// A line for each case on each number of cores, for people.
    pub lines: Vec<String>,
    /// What is wrong; nothing if all is as it should be.
    pub problems: Vec<String>,
}

/// What is wrong with a case on several cores.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By what share of a lone core's instructions a core's may differ.
    pub tolerance: f64,
    /// May the cores touch what another writes? It is shown all the same.
    pub may_share: bool,
}

/// Cores that raise at once.
pub const RAISES: Limits = Limits { tolerance: 0.01, may_share: false };

/// Judges the phases by the report; `limits` says by case what is wrong.
pub fn judge(phases: &[Phase], report: &Report, names: &Names, limits: fn(&str) -> Limits) -> Verdict {
    let mut verdict = Verdict::default();
    for phase in phases {
        let (case, cores) = (&phase.measurement.case, phase.measurement.cores);
        let records: Vec<_> = report.cores.iter().filter(|record| record.phase == phase.number).collect();
        let findings: Vec<_> = report.shared.iter().filter(|shared| shared.phase == phase.number).collect();
        if records.len() != cores as usize || records.iter().any(|record| record.lines_written == 0) {
            verdict.problems.push(format!(
                "{case} on {cores} cores: the recorder saw {} cores, so this run shows nothing",
                records.len()
            ));
            continue;
        }
        let samples: Vec<f64> =
            records.iter().map(|record| record.instructions as f64 / phase.times as f64).collect();
        let alone = verdict.counts.iter().find(|of| of.case == *case).map_or(samples[0], |of| of.samples[0]);
        let worst = samples.iter().map(|count| (count / alone - 1.0).abs()).fold(0.0, f64::max);
        let is_control = case == CONTROL;
        let limits = if is_control { RAISES } else { limits(case) };
        if worst > limits.tolerance {
            verdict.problems.push(format!(
                "{case} on {cores} cores: a core executes {:.1} % more or less than a lone one",
                worst * 100.0
            ));
        }
        if is_control && findings.is_empty() {
            verdict.problems.push(format!(
                "{case} on {cores} cores: the recorder did not find the word that they share, so it finds nothing"
            ));
        }
        let told: Vec<String> = findings.iter().map(|finding| tell(finding, names)).collect();
        if !is_control && !limits.may_share {
            verdict.problems.extend(told.iter().map(|line| format!("{case} on {cores} cores: {line}")));
        }
        let sum = |of: fn(&CoreRecord) -> u64| records.iter().map(|record| of(record)).sum::<u64>();
        verdict.lines.push(format!(
            "{case:<14} {cores:>5} {:>13.3} {:>10.3} % {:>6} {:>8} {:>7}",
            super::measurement::median(&samples),
            worst * 100.0,
            sum(|record| record.lines_read),
            sum(|record| record.lines_written),
            findings.len()
        ));
        if is_control {
            verdict.lines.extend(told.iter().map(|line| format!("{:<14} as it must be: {line}", "")));
        } else {
            if limits.may_share {
                verdict.lines.extend(told.iter().map(|line| format!("{:<14} {line}", "")));
            }
            verdict.counts.push(Measurement {
                suite: phase.measurement.suite,
                case: case.clone(),
                mode: Mode::Icount,
                cores,
                samples,
            });
        }
    }
    if !phases.iter().any(|phase| phase.measurement.case == CONTROL) {
        verdict
            .problems
            .push("there was no control, so nobody knows whether the recorder sees anything".into());
    }
    verdict
}

/// The titles of [`Verdict::lines`].
pub const TITLES: &str = "case           cores  instructions    off by    read  written  shared";

fn tell(finding: &Shared, names: &Names) -> String {
    format!(
        "core {} writes {} in {}, and core {} {}s {} in {}",
        finding.writer,
        names.of(finding.stored),
        names.of(finding.stored_by),
        finding.other,
        finding.how,
        names.of(finding.touched),
        names.of(finding.touched_by)
    )
}

#[cfg(test)]
mod tests {
    use super::{CONTROL, RAISES, Report, judge, options};
    use crate::bench::machine::Phase;
    use crate::bench::measurement::{Measurement, Mode};
    use crate::symbols::Names;
    use std::path::Path;

    fn phase(number: u32, case: &str, cores: u32) -> Phase {
        let samples = vec![1.0; cores as usize];
        let case = case.to_string();
        Phase {
            number,
            times: 10,
            measurement: Measurement { suite: "dispatch", case, mode: Mode::Tcg, cores, samples },
        }
    }

    const GOOD: &str = "core 1 0 100 5 2\ncore 2 0 100 5 2\ncore 2 1 100 5 2\n\
        core 3 0 40 5 2\ncore 3 1 40 5 2\nshared 3 0 ffff800000001000 abc 1 ffff800000001008 def load\nend\n";

    fn problems(report: &str) -> Vec<String> {
        let phases = [phase(1, "raise", 1), phase(2, "raise", 2), phase(3, CONTROL, 2)];
        judge(&phases, &Report::parse(report).unwrap(), &Names::default(), |_| RAISES).problems
    }

    #[test]
    fn a_clean_run_has_no_problem() {
        assert_eq!(problems(GOOD), [""; 0]);
        let phases = [phase(1, "raise", 1), phase(2, "raise", 2), phase(3, CONTROL, 2)];
        let verdict = judge(&phases, &Report::parse(GOOD).unwrap(), &Names::default(), |_| RAISES);
        assert_eq!(verdict.counts.len(), 2);
        assert_eq!(verdict.counts[1].samples, [10.0, 10.0]);
    }

    #[test]
    fn each_problem_is_found() {
        for (report, word) in [
            (GOOD.replace("end", "shared 2 0 10 1 1 10 2 store\nend"), "raise on 2 cores: core 0 writes"),
            (GOOD.replace("core 2 1 100", "core 2 1 102"), "2.0 %"),
            (GOOD.replace("core 2 1 100 5 2\n", ""), "saw 1 cores"),
            (GOOD.replace("core 2 1 100 5 2", "core 2 1 100 5 0"), "shows nothing"),
            (
                GOOD.replace("shared 3 0 ffff800000001000 abc 1 ffff800000001008 def load\n", ""),
                "finds nothing",
            ),
        ] {
            let problems = problems(&report);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(word), "{problems:?}");
        }
        let without_control =
            judge(&[phase(1, "raise", 1)], &Report::parse(GOOD).unwrap(), &Names::default(), |_| RAISES);
        assert!(without_control.problems[0].contains("no control"));
    }

    #[test]
    fn a_report_that_is_cut_short_is_an_error() {
        for text in ["", "core 1 0 100 5 2\n", "core 1 0\nend\n", "strange\nend\n", "shared 1 2 3\nend\n"] {
            assert!(Report::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn commas_in_paths_reach_qemu() {
        let words = options(Path::new("/a,b/p.so"), Path::new("/o"));
        assert_eq!(words, ["-plugin", "/a,,b/p.so,out=/o"]);
    }
}
