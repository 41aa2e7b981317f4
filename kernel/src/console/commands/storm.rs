//! `storm`.

use alloc::{format, string::ToString, vec::Vec};
use core::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering},
};

use dispatcher::Processor;
use shell::{
    Call, Command, CommandError,
    table::{Column, Table},
    units::Thousands,
};
use stress::{Level, loads, registrations};

use crate::{console::Kernel, strands::Cpu, torment::Victim};

pub const STORM: Command<Kernel> = Command {
    name: "storm",
    summary: "torment the kernel, and count",
    usage: "storm loads [ROUNDS] | storm registrations [SECONDS [SEED]]",
    example: "storm loads 1000",
    help: "`storm loads` loads and unloads the spindle `echo` ROUNDS times (100, if it is left out) while every \
           other core raises Demo.Hello without pause. It fails if a raise was lost or handled twice.\n\
           `storm registrations` raises events on every core for SECONDS (5, if they are left out), while \
           handlers are installed, removed, replaced and changed by transactions from every core and from \
           inside of handlers. It fails if a raise did not see exactly one set of handlers. SEED repeats the \
           dice of an earlier storm, not how its strands interleaved.\n\
           Both fail if one frame or one byte of the heap does not come back.",
    run,
    complete: |hint| {
        let names = if hint.arguments.is_empty() { &["loads", "registrations"][..] } else { &[] };
        names.iter().map(ToString::to_string).collect()
    },
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    match call.arguments.word("WHICH")? {
        "loads" => loads(call),
        "registrations" => registrations(call),
        which => {
            let why = format!("there is no storm '{which}'; there are: loads, registrations");
            Err(CommandError::failed(why))
        }
    }
}

fn loads(call: &mut Call<Kernel>) -> Result<(), CommandError> {
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
    let tallies = report.tallies.iter().map(|(core, tally)| {
        let loads::Tally { answered, unanswered, lost, doubled, failed } = &**tally;
        row(*core, [answered, unanswered, lost, doubled, failed])
    });
    show(call, &["answered", "unanswered", "lost", "doubled", "failed"], tallies.collect(), report.levels)?;
    result.map_err(|failure| CommandError::failed(failure.to_string()))
}

fn registrations(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let seconds: u64 = call.arguments.optional_number("SECONDS")?.unwrap_or(5);
    let seed: u64 = call.arguments.optional_number("SEED")?.unwrap_or_else(|| Cpu::now_ns() % 1_000_000);
    call.arguments.end()?;
    // Now, for whoever has to repeat it after a crash.
    crate::println!("seed {seed}");
    let (report, result) = registrations::storm::<Cpu>(&Victim, seconds, seed, &mut |over, tallies| {
        let sum: u64 = tallies.iter().map(|tally| tally.raises.load(Ordering::Relaxed)).sum();
        crate::println!("  {over} of {seconds} s: {} raises", Thousands(sum));
    });
    let tallies = (0..).zip(&report.tallies).map(|(core, tally)| {
        let registrations::Tally {
            raises,
            calls,
            slept,
            installed,
            removed,
            drained,
            replaced,
            refused,
            wrong,
        } = &**tally;
        row(core, [raises, calls, slept, installed, removed, drained, replaced, refused, wrong])
    });
    let columns =
        ["raises", "calls", "slept", "installed", "removed", "drained", "replaced", "refused", "wrong"];
    show(call, &columns, tallies.collect(), report.levels)?;
    let why = |failure: registrations::Failure| {
        format!("{failure}; to repeat it: storm registrations {seconds} {}", report.seed)
    };
    result.map_err(|failure| CommandError::failed(why(failure)))
}

/// One core's counters, with its number.
fn row<const N: usize>(core: u32, counters: [&AtomicU64; N]) -> (u32, [u64; N]) {
    // Relaxed: the strands that count have ended.
    (core, counters.map(|counter| counter.load(Ordering::Relaxed)))
}

fn show<const N: usize>(
    call: &mut Call<Kernel>,
    names: &[&'static str; N],
    rows: Vec<(u32, [u64; N])>,
    (before, after): (Level, Level),
) -> Result<(), CommandError> {
    let columns = ["core"].into_iter().chain(names.iter().copied());
    let mut table = Table::new(columns.map(Column::right));
    for (core, counts) in rows {
        let counts = counts.map(Thousands);
        let cells =
            [&core as &dyn Display].into_iter().chain(counts.iter().map(|count| count as &dyn Display));
        table.row(&cells.collect::<Vec<_>>());
    }
    write!(call.out, "{table}")?;
    writeln!(
        call.out,
        "free frames {} before, {} after; heap bytes {} before, {} after; participants {} before, {} after",
        Thousands(before.free_frames as u64),
        Thousands(after.free_frames as u64),
        Thousands(before.heap_bytes as u64),
        Thousands(after.heap_bytes as u64),
        before.participants,
        after.participants
    )?;
    Ok(())
}
