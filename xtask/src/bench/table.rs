//! The figures beside what is wanted and what SPIN published.
use super::measurement::{Measurement, Mode};
use std::fmt::Write;

/// What a row must not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// Natively, as a ratio to the row's base.
    Ratio(f64),
    /// Counted instructions beyond the row's base.
    Instructions(f64),
    /// Natively, in nanoseconds.
    Nanoseconds(f64),
}

/// How a row's figure comes from what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    /// The case itself.
    Case,
    /// The price of each further one: this case, less the one named, by so many.
    Each(&'static str, u32),
}

struct Row {
    title: &'static str,
    case: &'static str,
    figure: Figure,
    base: &'static str,
    goals: &'static [Goal],
    spin: &'static str,
}

const CALL: &str = "call";

const fn row(title: &'static str, case: &'static str, goals: &'static [Goal], spin: &'static str) -> Row {
    Row { title, case, figure: Figure::Case, base: CALL, goals, spin }
}

/// SPIN's figures: "Dynamic Binding for an Extensible System" (OSDI '96), table 1, without arguments, as ratios to its
/// procedure call of 0.10 us, out of line and inlined, a true guard with each handler; without guards those of its
/// report of 1995, page 5.
const ROWS: &[Row] = &[
    row("an empty loop of the same shape", "loop", &[], ""),
    row("a call through a function pointer", CALL, &[], "1"),
    row("intrinsic handler only", "intrinsic", &[Goal::Ratio(1.2), Goal::Instructions(4.0)], "1"),
    row("one trusted handler", "trusted", &[Goal::Ratio(2.0), Goal::Instructions(14.0)], "1 (1995)"),
    row(
        "one foreign handler, landing included",
        "foreign",
        &[Goal::Ratio(5.0), Goal::Instructions(36.0)],
        "",
    ),
    row("one handler of a spindle (Demo.Hello)", "spindle", &[Goal::Instructions(36.0)], ""),
    Row {
        title: "a raise by a spindle (Demo.Heard in Demo.Hello)",
        case: "spindle that raises",
        figure: Figure::Each("spindle", 1),
        base: CALL,
        goals: &[Goal::Instructions(80.0)],
        spin: "",
    },
    Row {
        title: "a raise of another spindle's event (Server.Add in Demo.Hello)",
        case: "spindle that uses another",
        figure: Figure::Each("spindle", 1),
        base: CALL,
        goals: &[],
        spin: "",
    },
    row("one handler behind a true key guard", "guarded", &[Goal::Ratio(3.0)], "3.7 (2.3 inlined)"),
    row("one asynchronous handler, for the raiser", "posted", &[Goal::Ratio(15.0)], ""),
    row("2 unguarded handlers", "2 handlers", &[], ""),
    row("5 unguarded handlers", "5 handlers", &[], "6.3 (1995)"),
    row("10 unguarded handlers", "10 handlers", &[], "11 (1995)"),
    row("50 unguarded handlers", "50 handlers", &[], "117 (25 inlined), guarded"),
    Row {
        title: "each further unguarded handler",
        case: "50 handlers",
        figure: Figure::Each("trusted", 49),
        base: CALL,
        goals: &[Goal::Ratio(1.5)],
        spin: "2.3 (0.5 inlined), guarded",
    },
    row("50 keys, one true", "50 keys", &[Goal::Ratio(4.0)], "117 (25 inlined)"),
    Row {
        title: "10,000 keys, one true, always the same (to 50 keys)",
        case: "10000 keys, hot",
        figure: Figure::Case,
        base: "50 keys",
        goals: &[Goal::Ratio(1.5)],
        spin: "",
    },
    row("10,000 keys, one true, at random", "10000 keys, random", &[], ""),
    row("asynchronous raise, same core", "post", &[Goal::Ratio(15.0)], "380 to 900"),
    row(
        "install and remove, 10 handlers",
        "install and remove",
        &[Goal::Nanoseconds(20_000.0)],
        "1500 (install)",
    ),
    row("install and remove drained", "install and remove drained", &[], ""),
];

/// The measurements of one run, to be looked up.
struct Figures<'m>(&'m [Measurement]);

impl Figures<'_> {
    fn median(&self, case: &str, mode: Mode, cores: u32) -> Option<f64> {
        let is_it = |of: &&Measurement| of.case == case && of.mode == mode && of.cores == cores;
        self.0.iter().find(is_it).map(Measurement::median)
    }

    fn of(&self, row: &Row, mode: Mode) -> Option<f64> {
        let value = self.median(row.case, mode, 1)?;
        match row.figure {
            Figure::Case => Some(value),
            Figure::Each(less, count) => Some((value - self.median(less, mode, 1)?) / f64::from(count)),
        }
    }

    /// To the row's base. Natively each sample of a case has one of a call beside it, taken at the same time: the
    /// median of their ratios suffers less from whatever else the machine does than the ratio of medians.
    fn ratio(&self, row: &Row, mode: Mode) -> Option<f64> {
        if mode == Mode::Host && row.figure == Figure::Case && row.base == CALL {
            let find =
                |case: &str| self.0.iter().find(|of| of.case == case && of.mode == mode && of.cores == 1);
            if let (Some(of), Some(beside)) = (find(row.case), find(&format!("{CALL}, beside {}", row.case)))
            {
                return Some(median_ratio(&of.samples, &beside.samples));
            }
        }
        Some(self.of(row, mode)? / self.median(row.base, mode, 1)?)
    }

    /// Instructions beyond the base; all of them where the row is a difference already.
    fn beyond(&self, row: &Row) -> Option<f64> {
        let value = self.of(row, Mode::Icount)?;
        match row.figure {
            Figure::Case => Some(value - self.median(row.base, Mode::Icount, 1)?),
            Figure::Each(..) => Some(value),
        }
    }

    /// Is the goal met, if it was measured?
    fn meets(&self, row: &Row, goal: Goal) -> Option<bool> {
        Some(match goal {
            Goal::Ratio(most) => self.ratio(row, Mode::Host)? <= most,
            // A count over many raises has a rest of the loop's beginning and end in it.
            Goal::Instructions(most) => self.beyond(row)? <= most + 0.1,
            Goal::Nanoseconds(most) => self.of(row, Mode::Host)? <= most,
        })
    }
}

impl Goal {
    fn text(self) -> String {
        match self {
            Goal::Ratio(most) => format!("{most} x"),
            Goal::Instructions(most) => format!("{most:+}"),
            Goal::Nanoseconds(most) => format!("{} us", most / 1000.0),
        }
    }
}

/// The table of all rows that were measured, and how many goals are missed.
pub fn table(all: &[Measurement]) -> (String, usize) {
    let figures = Figures(all);
    let mut cells = vec![
        ["", "host", "host", "TCG", "instructions", "", "", "SPIN '96"].map(String::from),
        ["one raise", "ns", "to a call", "to a call", "beyond a call", "wanted", "", "to a call"]
            .map(String::from),
    ];
    let mut missed = 0;
    let shown = |value: Option<f64>, decimals: usize| {
        value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
    };
    for row in ROWS {
        if ![Mode::Host, Mode::Tcg, Mode::Icount].iter().any(|mode| figures.of(row, *mode).is_some()) {
            continue;
        }
        let met: Vec<_> = row.goals.iter().filter_map(|goal| figures.meets(row, *goal)).collect();
        let short = met.iter().filter(|met| !**met).count();
        missed += short;
        let verdict = if met.is_empty() {
            ""
        } else if short == 0 {
            "ok"
        } else {
            "SHORT"
        };
        let wanted: Vec<String> = row.goals.iter().map(|goal| goal.text()).collect();
        cells.push([
            row.title.to_string(),
            shown(figures.of(row, Mode::Host), 2),
            shown(figures.ratio(row, Mode::Host), 2),
            shown(figures.ratio(row, Mode::Tcg), 2),
            shown(figures.beyond(row), 1),
            wanted.join(", "),
            verdict.to_string(),
            row.spin.to_string(),
        ]);
    }
    (lay_out(&cells), missed)
}

/// Cells in columns: the first and the last three to the left, numbers to the right.
fn lay_out(cells: &[[String; 8]]) -> String {
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in cells {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Writing to a string cannot fail, here and below.
            let _ = if (1..=4).contains(&column) {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// How many threads of the host get on beside each other: what two that raise reach of what two empty loops reach.
/// The lines to show, and how many are below 95 %.
pub fn side_by_side(all: &[Measurement]) -> (String, usize) {
    let (mut text, mut missed) = (String::new(), 0);
    for case in ["intrinsic", "trusted", "foreign"] {
        let Some(share) = share(all, case) else { continue };
        let is_met = share >= 0.95;
        missed += usize::from(!is_met);
        let verdict = if is_met { "ok" } else { "SHORT" };
        let _ = writeln!(
            text,
            "two threads, {case}: {:.1} % of what two empty loops reach (wanted 95 %)  {verdict}",
            share * 100.0
        );
    }
    (text, missed)
}

/// How much more two threads that raise do than one, by the same of empty loops: the median over rounds of all four.
fn share(all: &[Measurement], case: &str) -> Option<f64> {
    let find = |case: &str, cores| {
        all.iter().find(|of| of.case == case && of.mode == Mode::Host && of.cores == cores)
    };
    let gains = |case: &str| -> Option<Vec<f64>> {
        let (alone, together) = (find(case, 1)?, find(case, 2)?);
        Some(alone.samples.iter().zip(&together.samples).map(|(alone, together)| alone / together).collect())
    };
    let (raises, loops) = (gains(&format!("{case}, side by side"))?, gains(&format!("loop, beside {case}"))?);
    Some(median_ratio(&raises, &loops))
}

/// The median of the ratios of samples that were taken in pairs.
fn median_ratio(of: &[f64], to: &[f64]) -> f64 {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    super::measurement::median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::{side_by_side, table};
    use crate::bench::measurement::{Measurement, Mode};

    fn of(case: &str, mode: Mode, cores: u32, sample: f64) -> Measurement {
        Measurement { suite: "dispatch", case: case.into(), mode, cores, samples: vec![sample] }
    }

    #[test]
    fn ratios_are_to_the_call_of_the_same_mode() {
        let all = [
            of("call", Mode::Host, 1, 2.0),
            of("call", Mode::Tcg, 1, 100.0),
            of("call", Mode::Icount, 1, 12.0),
            of("intrinsic", Mode::Host, 1, 2.2),
            of("intrinsic", Mode::Tcg, 1, 150.0),
            of("intrinsic", Mode::Icount, 1, 17.0),
        ];
        let (text, missed) = table(&all);
        let line = text.lines().find(|line| line.starts_with("intrinsic")).unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(3).collect();
        assert_eq!(words, ["2.20", "1.10", "1.50", "5.0", "1.2", "x,", "+4", "SHORT", "1"], "{text}");
        assert_eq!(missed, 1);
        assert!(!text.contains("foreign"), "what was not measured is not shown: {text}");
    }

    #[test]
    fn samples_in_pairs_are_compared_in_pairs() {
        let many = |case: &str, samples: &[f64]| Measurement {
            samples: samples.to_vec(),
            ..of(case, Mode::Host, 1, 0.0)
        };
        // The machine was twice as slow during the last two pairs, and is not now.
        let all = [
            many("call", &[1.0]),
            many("trusted", &[3.0, 6.0, 6.0]),
            many("call, beside trusted", &[1.0, 2.0, 2.0]),
        ];
        let (text, _) = table(&all);
        let line = text.lines().find(|line| line.starts_with("one trusted")).unwrap();
        assert!(line.contains("6.00       3.00"), "{text}");
    }

    #[test]
    fn further_handlers_are_a_slope() {
        let all = [
            of("call", Mode::Host, 1, 2.0),
            of("trusted", Mode::Host, 1, 10.0),
            of("50 handlers", Mode::Host, 1, 10.0 + 49.0 * 3.0),
        ];
        let (text, missed) = table(&all);
        let line = text.lines().find(|line| line.starts_with("each further")).unwrap();
        assert!(line.contains("3.00") && line.contains("1.50") && line.contains("ok"), "{text}");
        // One trusted handler costs five calls here.
        assert_eq!(missed, 1);
    }

    #[test]
    fn two_threads_are_measured_by_two_that_do_nothing() {
        let all = |together: f64| {
            [
                of("loop, beside trusted", Mode::Host, 1, 10.0),
                of("loop, beside trusted", Mode::Host, 2, 20.0),
                of("trusted, side by side", Mode::Host, 1, 30.0),
                of("trusted, side by side", Mode::Host, 2, together),
            ]
        };
        // A host of one core: nobody gains anything, and nothing is lost.
        let (text, missed) = side_by_side(&all(60.0));
        assert!(text.contains("100.0 %") && missed == 0, "{text}");
        assert_eq!(side_by_side(&all(66.0)).1, 1);
        assert_eq!(side_by_side(&[]), (String::new(), 0));
    }
}
