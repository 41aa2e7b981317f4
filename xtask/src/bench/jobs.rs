//! How parallel jobs spread over the cores: the most that a core executes, beside what a lone worker's core does.
use super::machine::Phase;
use super::measurement::{Measurement, Mode};
use super::recorder::Report;
use crate::error::{Error, Result};
use std::fmt::Write;

/// The jobs, as crate `stress` names them.
const JOBS: [&str; 2] = ["13 queens", "sort"];
/// Of eight cores, the busiest shall execute at most this share of what a lone worker's core does.
const WANTED: f64 = 1.0 / 6.0;
const CORES: u32 = 8;

/// The name of a job that one worker does.
fn alone(job: &str) -> String {
    format!("{job} alone")
}

/// What each core executed in each phase.
pub fn measured(phases: &[Phase], report: &Report) -> Result<Vec<Measurement>> {
    phases
        .iter()
        .map(|phase| {
            let instructions = report.instructions(phase.number);
            let of = &phase.measurement;
            if instructions.len() != of.cores as usize {
                let what =
                    format!("{}: the recorder saw {} of {} cores", of.case, instructions.len(), of.cores);
                return Err(Error::new(what, "see whether the kernel sets its marks on each core"));
            }
            let samples = instructions.iter().map(|count| *count as f64).collect();
            Ok(Measurement { mode: Mode::Icount, samples, ..of.clone() })
        })
        .collect()
}

/// A line for each job, and how many fall short of what is wanted.
pub fn table(all: &[Measurement]) -> (String, usize) {
    let (mut text, mut missed) = (String::new(), 0);
    let most = |of: &Measurement| of.samples.iter().copied().fold(0.0, f64::max);
    let sum = |of: &Measurement| of.samples.iter().sum::<f64>();
    for job in JOBS {
        let find = |case: &str| all.iter().find(|of| of.case == case && of.mode == Mode::Icount);
        let mut runs: Vec<&Measurement> =
            all.iter().filter(|of| of.case == job && of.mode == Mode::Icount).collect();
        // The median run: machines whose cores get unequal shares of the host's spread a job unequally.
        runs.sort_by(|one, other| most(one).total_cmp(&most(other)));
        let (Some(lone), Some(shared)) = (find(&alone(job)), runs.get(runs.len() / 2)) else { continue };
        if text.is_empty() {
            let _ = writeln!(
                text,
                "\n{:<14} {:>14} {:>18} {:>14} {:>8} {:>8}",
                "instructions", "one worker", "a worker per core", "busiest core", "share", "wanted"
            );
        }
        let share = most(shared) / most(lone);
        // With another number of cores nothing is wanted.
        let is_judged = shared.cores == CORES;
        let is_short = is_judged && share > WANTED;
        missed += usize::from(is_short);
        let verdict = match (is_judged, is_short) {
            (false, _) => "",
            (true, false) => "ok",
            (true, true) => "SHORT",
        };
        let _ = writeln!(
            text,
            "{job:<14} {:>14.0} {:>18.0} {:>14.0} {share:>8.4} {:>8.4} {verdict}",
            most(lone),
            sum(shared),
            most(shared),
            WANTED
        );
    }
    (text, missed)
}

#[cfg(test)]
mod tests {
    use super::{measured, table};
    use crate::bench::machine::Phase;
    use crate::bench::measurement::{Measurement, Mode};
    use crate::bench::recorder::Report;

    fn of(case: &str, samples: &[f64]) -> Measurement {
        let cores = samples.len() as u32;
        Measurement {
            suite: "strands",
            case: case.into(),
            mode: Mode::Icount,
            cores,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn the_busiest_core_counts() {
        let lone = of("sort alone", &[5.0, 600.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let good = of("sort", &[100.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 100.0]);
        let (text, missed) = table(&[lone.clone(), good]);
        assert!(missed == 0 && text.contains("0.1667") && text.contains("680"), "{text}");
        let bad = of("sort", &[101.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 90.0]);
        assert_eq!(table(&[lone.clone(), bad]).1, 1);
        let fewer = of("sort", &[300.0, 300.0]);
        assert_eq!(table(&[lone, fewer]).1, 0, "of two cores nothing is wanted");
    }

    #[test]
    fn phases_have_each_cores_instructions() {
        let report = Report::parse("core 1 0 100 5 2\ncore 1 1 40 5 2\nend\n").unwrap();
        let phase = |number| Phase { number, times: 1, measurement: of("sort", &[1.0, 1.0]) };
        assert_eq!(measured(&[phase(1)], &report).unwrap()[0].samples, [100.0, 40.0]);
        assert!(measured(&[phase(2)], &report).is_err());
    }
}
