//! `bench`.

use alloc::string::{String, ToString};
use core::str::FromStr;

use shell::{
    Call, Command, CommandError,
    table::{Column, Table},
};
use stress::bench::{
    Samples, costs, jobs,
    parallel::{self, Phase},
    strands::{self, many},
};

use crate::{console::Kernel, torment::Victim};

/// How many raises each core makes in each phase of `bench parallel`, if nothing is said.
const TIMES: u64 = 20_000;

pub const BENCH: Command<Kernel> = Command {
    name: "bench",
    summary: "measure what raises and strands cost",
    usage: "bench dispatch [raw] | bench parallel [TIMES] [raw] | bench strands [raw] | bench weave [TIMES] [raw] | \
            bench jobs [raw] | bench many [COUNT] [raw]",
    example: "bench dispatch",
    help: "`bench dispatch` measures raises of many kinds on one core, in ticks of the time-stamp counter for one \
           raise. `bench parallel` lets 1, 2, 4 and all cores raise at once, TIMES times each (20,000, if it is left \
           out). `bench strands` measures what strands cost on one core, `bench weave` lets cores yield, make and wake \
           strands at once, `bench jobs` does parallel jobs by one worker and by one on each core, `bench many` makes COUNT strands (100,000, if it is left out) that live at the same time, \
           for which there must be memory. With `raw` each result is a line of JSON with every sample: `cargo xtask bench` reads \
           those, on machines that count time and on machines that count instructions.",
    run,
    complete: |hint| match hint.arguments.len() {
        0 => WHICH.map(ToString::to_string).into(),
        _ => ["raw".to_string()].into(),
    },
};

const WHICH: [&str; 6] = ["dispatch", "parallel", "strands", "weave", "jobs", "many"];

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    match call.arguments.word("WHICH")? {
        "dispatch" => on_one_core(call, |tell| costs::run(&Victim, tell)),
        "strands" => on_one_core(call, |tell| strands::run(&Victim, tell)),
        "parallel" => {
            let (times, is_raw) = number_and_raw(call)?;
            at_once(call, is_raw, |tell| parallel::run(&Victim, times.unwrap_or(TIMES), tell).map(|()| None))
        }
        "weave" => {
            let (times, is_raw) = number_and_raw(call)?;
            at_once(call, is_raw, |tell| strands::run_apart(&Victim, times.unwrap_or(TIMES), tell).map(Some))
        }
        "jobs" => {
            let is_raw = only_raw(call)?;
            at_once(call, is_raw, |tell| jobs::run(&Victim, tell).map(|()| None))
        }
        "many" => many(call),
        other => {
            let text = alloc::format!("there is no bench '{other}'; there are: {}", WHICH.join(", "));
            Err(CommandError::failed(text))
        }
    }
}

fn is_raw(word: Option<&str>) -> Result<bool, CommandError> {
    match word {
        None => Ok(false),
        Some("raw") => Ok(true),
        Some(other) => Err(CommandError::Usage(alloc::format!("`{other}` is not `raw`"))),
    }
}

/// Nothing follows but `raw`, perhaps.
fn only_raw(call: &mut Call<Kernel>) -> Result<bool, CommandError> {
    let is_raw = is_raw(call.arguments.optional_word())?;
    call.arguments.end()?;
    Ok(is_raw)
}

type Tell<'a, T> = &'a mut dyn FnMut(&T);

fn on_one_core(
    call: &mut Call<Kernel>,
    measure: impl FnOnce(Tell<Samples>) -> Result<(), String>,
) -> Result<(), CommandError> {
    let is_raw = only_raw(call)?;
    let mut table = table();
    let done = quietly(|| {
        measure(&mut |samples| {
            if is_raw {
                crate::println!("{samples}");
            } else {
                row(&mut table, samples);
            }
        })
    });
    done.map_err(CommandError::failed)?;
    if !is_raw {
        write!(call.out, "{table}")?;
    }
    Ok(())
}

/// A number, if one is given, and `raw`, if that is.
fn number_and_raw<N: FromStr>(call: &mut Call<Kernel>) -> Result<(Option<N>, bool), CommandError> {
    let mut word = call.arguments.optional_word();
    let number = word.and_then(|word| word.replace(['_', ','], "").parse().ok());
    if number.is_some() {
        word = call.arguments.optional_word();
    }
    let is_raw = is_raw(word)?;
    call.arguments.end()?;
    Ok((number, is_raw))
}

/// `measure` may say how many wake-ups there were, and for how many interrupts.
fn at_once(
    call: &mut Call<Kernel>,
    is_raw: bool,
    measure: impl FnOnce(Tell<Phase>) -> Result<Option<(u64, u64)>, String>,
) -> Result<(), CommandError> {
    let mut table = table();
    let done = quietly(|| {
        measure(&mut |phase| {
            if is_raw {
                crate::println!(
                    r#"{{"phase":{},"times":{},"of":{}}}"#,
                    phase.number,
                    phase.times,
                    phase.samples
                );
            } else {
                row(&mut table, &phase.samples);
            }
        })
    });
    let wakes = done.map_err(CommandError::failed)?;
    if !is_raw {
        write!(call.out, "{table}")?;
    }
    match wakes {
        Some((wakes, kicks)) if is_raw => crate::println!(r#"{{"wakes":{wakes},"kicks":{kicks}}}"#),
        Some((wakes, kicks)) => writeln!(call.out, "{wakes} wake-ups, {kicks} interrupts between cores")?,
        None => {}
    }
    Ok(())
}

fn many(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let (count, is_raw) = number_and_raw(call)?;
    let outcome = many::run(&Victim, count.unwrap_or(many::COUNT)).map_err(CommandError::failed)?;
    if is_raw {
        crate::println!("{outcome}");
        return Ok(());
    }
    let many::Outcome { count, ended, bytes, fresh_stacks, .. } = outcome;
    writeln!(
        call.out,
        "{count} strands lived at once, {bytes} bytes each while parked, and {ended} ran to their end"
    )?;
    writeln!(call.out, "1000 more took {fresh_stacks} fresh stacks")?;
    Ok(())
}

/// A line of the log for each spindle that comes and goes has no place between the results.
fn quietly<T>(body: impl FnOnce() -> T) -> T {
    let level = ::log::max_level();
    ::log::set_max_level(level.min(::log::LevelFilter::Warn));
    let result = body();
    ::log::set_max_level(level);
    result
}

fn table() -> Table {
    Table::new([
        Column::left("case"),
        Column::right("cores"),
        Column::right("median").unit("ticks"),
        Column::right("99 %").unit("ticks"),
    ])
}

fn row(table: &mut Table, samples: &Samples) {
    table.row(&[&samples.case, &samples.cores, &samples.percentile(50), &samples.percentile(99)]);
}
