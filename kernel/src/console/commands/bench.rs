//! `bench`.

use alloc::string::ToString;

use shell::{
    Call, Command, CommandError,
    table::{Column, Table},
};
use stress::bench::{Samples, costs, parallel};

use crate::{console::Kernel, torment::Victim};

/// How many raises each core makes in each phase of `bench parallel`, if nothing is said.
const TIMES: u64 = 20_000;

pub const BENCH: Command<Kernel> = Command {
    name: "bench",
    summary: "measure what a raise costs",
    usage: "bench dispatch [raw] | bench parallel [TIMES] [raw]",
    example: "bench dispatch",
    help: "`bench dispatch` measures raises of many kinds on one core, in ticks of the time-stamp counter for one \
           raise. `bench parallel` lets 1, 2, 4 and all cores raise at once, TIMES times each (20,000, if it is left \
           out). With `raw` each result is a line of JSON with every sample: `cargo xtask bench dispatch` reads \
           those, on machines that count time and on machines that count instructions.",
    run,
    complete: |hint| match hint.arguments.len() {
        0 => ["dispatch".to_string(), "parallel".to_string()].into(),
        _ => ["raw".to_string()].into(),
    },
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    match call.arguments.word("WHICH")? {
        "dispatch" => dispatch(call),
        "parallel" => in_parallel(call),
        other => {
            let text = alloc::format!("there is no bench '{other}'; there are: dispatch, parallel");
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

fn dispatch(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let is_raw = is_raw(call.arguments.optional_word())?;
    call.arguments.end()?;
    let mut table = table();
    let done = quietly(|| {
        costs::run(&Victim, &mut |samples| {
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

fn in_parallel(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let mut word = call.arguments.optional_word();
    let times = word.and_then(|word| word.replace(['_', ','], "").parse().ok());
    if times.is_some() {
        word = call.arguments.optional_word();
    }
    let is_raw = is_raw(word)?;
    call.arguments.end()?;
    let mut table = table();
    let done = quietly(|| {
        parallel::run(&Victim, times.unwrap_or(TIMES), &mut |phase| {
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
    done.map_err(CommandError::failed)?;
    if !is_raw {
        write!(call.out, "{table}")?;
    }
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
