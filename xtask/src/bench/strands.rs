//! What strands cost, beside what is wanted: a share of what Linux 6.1 costs in the same machine.
use super::measurement::{Measurement, Mode};
use std::collections::HashMap;
use std::fmt::Write;
use tinyjson::JsonValue;

struct Row {
    title: &'static str,
    case: &'static str,
    /// Counted instructions, at most.
    wanted: Wanted,
    /// What Linux takes.
    linux: &'static str,
}

/// What is wanted of a case.
#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    /// So many.
    Most(f64),
    /// So many times what another case takes.
    Times(f64, &'static str),
}

const ROWS: &[Row] = &[
    Row { title: "fork and join", case: "fork and join", wanted: Wanted::Most(1660.0), linux: "33293" },
    Row { title: "ping-pong, a round trip", case: "ping-pong", wanted: Wanted::Most(660.0), linux: "8568" },
    Row {
        title: "the same through cthreads",
        case: "ping-pong, cthreads",
        wanted: Wanted::Times(1.5, "ping-pong"),
        linux: "",
    },
    Row { title: "direct hand-off", case: "hand-off", wanted: Wanted::Most(100.0), linux: "" },
    Row { title: "yield to an equal", case: "yield", wanted: Wanted::Nothing, linux: "" },
];

/// Cases on many cores, and by what share a core's instructions may grow.
const GROWTH: &[(&str, f64)] = &[("yield", 0.05), ("fork and join", 0.1)];

/// The table of costs and of growth, and how many figures fall short of what is wanted.
pub fn table(all: &[Measurement]) -> (String, usize) {
    let (mut text, mut missed) = (String::new(), 0);
    let find = |case: &str, mode: Mode, cores: u32| {
        all.iter().find(|of| of.case == case && of.mode == mode && of.cores == cores)
    };
    let _ =
        writeln!(text, "{:<34} {:>12} {:>10} {:>12}  Linux 6.1", "", "instructions", "wanted", "TCG cycles");
    // The recorder's one sample holds what the first strand alone costs: it is there to be compared with other cores'.
    let is_recorded = |of: &&Measurement| of.mode == Mode::Icount && of.samples.len() == of.cores as usize;
    for row in ROWS {
        let counted = find(row.case, Mode::Icount, 1).filter(|of| !is_recorded(of)).map(Measurement::median);
        let timed = find(row.case, Mode::Tcg, 1).map(Measurement::median);
        let wanted = match row.wanted {
            Wanted::Nothing => None,
            Wanted::Most(most) => Some(most),
            Wanted::Times(times, case) => find(case, Mode::Icount, 1).map(|of| times * of.median()),
        };
        let is_short = matches!((counted, wanted), (Some(counted), Some(wanted)) if counted > wanted);
        missed += usize::from(is_short);
        let _ = writeln!(
            text,
            "{:<34} {:>12} {:>10} {:>12}  {:<9} {}",
            row.title,
            shown(counted, 1),
            shown(wanted, 0),
            shown(timed, 0),
            row.linux,
            verdict(counted.and(wanted).map(|_| is_short))
        );
    }
    for (case, limit) in GROWTH {
        let worst_of = |of: &Measurement| of.samples.iter().copied().fold(0.0, f64::max);
        let Some(alone) =
            all.iter().find(|of| of.case == *case && of.cores == 1 && is_recorded(of)).map(worst_of)
        else {
            continue;
        };
        for of in all.iter().filter(|of| of.case == *case && of.cores > 1).filter(is_recorded) {
            let cores = of.cores;
            let growth = worst_of(of) / alone - 1.0;
            let is_short = growth > *limit;
            missed += usize::from(is_short);
            let title = format!("{case}, {cores} cores to one");
            let _ = writeln!(
                text,
                "{title:<34} {:>10.2} % {:>8.0} %  {:>12} {:<10}{}",
                growth * 100.0,
                limit * 100.0,
                "",
                "",
                verdict(Some(is_short))
            );
        }
    }
    (text, missed)
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

fn verdict(is_short: Option<bool>) -> &'static str {
    match is_short {
        None => "",
        Some(false) => "ok",
        Some(true) => "SHORT",
    }
}

fn numbers<const N: usize>(value: &JsonValue, keys: [&str; N]) -> Option<[f64; N]> {
    let object = value.get::<HashMap<String, JsonValue>>()?;
    let mut numbers = [0.0; N];
    for (number, key) in numbers.iter_mut().zip(keys) {
        *number = *object.get(key)?.get::<f64>()?;
    }
    Some(numbers)
}

/// What the kernel says of wake-ups on halted cores: one interrupt each is wanted.
pub fn wakes(lines: &[JsonValue]) -> Option<String> {
    let [wakes, kicks] = lines.iter().find_map(|line| numbers(line, ["wakes", "kicks"]))?;
    Some(format!("{wakes:.0} wake-ups of cores that halt: {:.3} interrupts each (wanted 1)", kicks / wakes))
}

/// What the kernel says of a great many strands. An error if one of them was lost.
pub fn many(lines: &[JsonValue]) -> Result<String, String> {
    let keys = ["many", "ended", "bytes", "ticks_to_park", "ticks_to_end", "fresh_stacks"];
    let Some([many, ended, bytes, park, end, fresh]) = lines.iter().find_map(|line| numbers(line, keys))
    else {
        return Err("the kernel says nothing of its many strands".into());
    };
    if ended < many {
        return Err(format!("of {many:.0} strands only {ended:.0} have ended"));
    }
    Ok(format!(
        "{many:.0} live strands: {bytes:.0} bytes each while parked, {park:.0} cycles to make and park one, {end:.0} to \
         wake, end and join it; 1000 more took {fresh:.0} fresh stacks"
    ))
}

#[cfg(test)]
mod tests {
    use super::{many, table, wakes};
    use crate::bench::measurement::{Measurement, Mode, parse};

    fn of(case: &str, cores: u32, samples: &[f64]) -> Measurement {
        Measurement {
            suite: "strands",
            case: case.into(),
            mode: Mode::Icount,
            cores,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn what_costs_too_much_is_marked() {
        let (text, missed) = table(&[of("fork and join", 1, &[1700.0; 3]), of("hand-off", 1, &[99.5; 3])]);
        assert_eq!(missed, 1, "{text}");
        let line = |title: &str| text.lines().find(|line| line.starts_with(title)).unwrap().to_string();
        assert!(line("fork").ends_with("SHORT") && line("direct").ends_with("ok"), "{text}");
        assert!(!line("ping").contains("ok"), "what was not measured is neither: {text}");
    }

    #[test]
    fn growth_is_that_of_the_worst_core() {
        let all = [
            of("yield", 1, &[100.0]),
            of("yield", 2, &[100.0, 104.0]),
            of("yield", 4, &[100.0, 106.0, 1.0, 1.0]),
        ];
        let (text, missed) = table(&all);
        assert_eq!(missed, 1, "{text}");
        assert!(text.contains("yield, 2 cores to one") && text.contains("4.00 %"), "{text}");
        let fork = of("fork and join", 1, &[1700.0]);
        let timed = Measurement { mode: Mode::Tcg, ..of("yield", 2, &[100.0, 200.0]) };
        let (text, missed) = table(&[of("yield", 1, &[100.0]), of("yield", 2, &[100.0, 104.0]), timed, fork]);
        assert_eq!(
            (missed, text.matches("cores to one").count()),
            (0, 1),
            "neither times nor a first strand: {text}"
        );
    }

    #[test]
    fn further_lines_are_read() {
        let line = |text: &str| [parse(text).unwrap()];
        assert!(wakes(&line(r#"{"wakes":200,"kicks":100}"#)).unwrap().contains("0.500"));
        assert!(wakes(&line(r#"{"wakes":200}"#)).is_none());
        let text = |ended: u32| {
            format!(
                r#"{{"many":10,"ended":{ended},"bytes":5,"ticks_to_park":1,"ticks_to_end":2,"fresh_stacks":0}}"#
            )
        };
        assert!(many(&line(&text(10))).unwrap().contains("10 live strands: 5 bytes"));
        assert!(many(&line(&text(9))).unwrap_err().contains("only 9"));
    }
}
