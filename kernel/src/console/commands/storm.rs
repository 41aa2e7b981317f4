//! `storm`.

use alloc::string::ToString;
use core::sync::atomic::{AtomicU64, Ordering};

use shell::{
    Call, Command, CommandError,
    table::{Column, Table},
    units::Thousands,
};
use stress::loads::{self, Report, Tally};

use crate::{console::Kernel, torment::Victim};

pub const STORM: Command<Kernel> = Command {
    name: "storm",
    summary: "torment the kernel, and count",
    usage: "storm loads [ROUNDS]",
    example: "storm loads 1000",
    help: "`storm loads` loads and unloads the spindle `echo` ROUNDS times (100, if it is left out) while every \
           other core raises Demo.Hello without pause. It fails if a raise was lost or handled twice, or if one \
           frame or one byte of the heap does not come back.",
    run,
    complete: |hint| if hint.arguments.is_empty() { ["loads".to_string()].into() } else { [].into() },
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let which = call.arguments.word("WHICH")?;
    if which != "loads" {
        return Err(CommandError::failed(alloc::format!("there is no storm '{which}'; there is: loads")));
    }
    let rounds = call.arguments.optional_number("ROUNDS")?.unwrap_or(100);
    call.arguments.end()?;
    let level = ::log::max_level();
    // A line for each load and unload would drown the storm.
    ::log::set_max_level(level.min(::log::LevelFilter::Warn));
    let (report, result) = loads::storm(&Victim, rounds, &mut |round| {
        if rounds >= 10 && round.is_multiple_of(rounds / 10) {
            crate::println!("  {round} of {rounds} rounds");
        }
    });
    ::log::set_max_level(level);
    show(call, &report)?;
    result.map_err(|failure| CommandError::failed(failure.to_string()))
}

fn show(call: &mut Call<Kernel>, report: &Report) -> Result<(), CommandError> {
    let mut table = Table::new([
        Column::right("core"),
        Column::right("answered"),
        Column::right("unanswered"),
        Column::right("lost"),
        Column::right("doubled"),
        Column::right("failed"),
    ]);
    let count = |counter: &AtomicU64| Thousands(counter.load(Ordering::Relaxed));
    for (core, tally) in &report.tallies {
        let Tally { answered, unanswered, lost, doubled, failed } = &**tally;
        table.row(&[
            core,
            &count(answered),
            &count(unanswered),
            &count(lost),
            &count(doubled),
            &count(failed),
        ]);
    }
    write!(call.out, "{table}")?;
    let (before, after) = report.levels;
    writeln!(
        call.out,
        "free frames {} before, {} after; heap bytes {} before, {} after",
        Thousands(before.free_frames as u64),
        Thousands(after.free_frames as u64),
        Thousands(before.heap_bytes as u64),
        Thousands(after.heap_bytes as u64)
    )?;
    Ok(())
}
