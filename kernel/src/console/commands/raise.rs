//! `raise`.

use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::{Processor, RaiseError};
use sched::{Machine, State};
use shell::{
    Call, Command, CommandError, Hint,
    table::{Column, Table},
    units::{Nanoseconds, Thousands},
};

use super::events::unknown;
use crate::{
    console::Kernel,
    events::{self, Raised},
    strands::{Cpu, Handle},
};

pub const RAISE: Command<Kernel> = Command {
    name: "raise",
    summary: "raise an event on every core at once",
    usage: "raise EVENT [COUNT [every MS]]",
    example: "raise Demo.Hello 1000",
    help: "Raises the event COUNT times (once, if it is left out) on every core at the same time, by a strand \
           on each, and shows how many raises were answered by a handler. With `every`, each core sleeps MS \
           milliseconds after each raise. Ctrl-C ends it. Events that carry more than a number cannot be raised by hand.",
    run: raise,
    complete: complete_event,
};

fn complete_event(hint: &Hint<Kernel>) -> Vec<String> {
    if hint.arguments.is_empty() {
        events::by_hand().map(|(name, _)| name.into()).collect()
    } else {
        Vec::new()
    }
}

/// How often to look whether all have raised, in milliseconds.
const LOOK_MS: u32 = 1;
/// How long a core sleeps at most before it looks whether the command was stopped, in nanoseconds.
const LONGEST_NAP_NS: u64 = 100_000_000;

/// What came of the raises on one core.
#[derive(Default)]
struct Tally {
    answered: u64,
    unanswered: u64,
    failed: u64,
    wrong: u64,
    error: Option<RaiseError>,
    nanoseconds: u64,
}

fn raise(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let name = call.arguments.word("EVENT")?;
    let count: u64 = call.arguments.optional_number("COUNT")?.unwrap_or(1);
    let pause_ms: u32 = match call.arguments.optional_word() {
        None => 0,
        Some("every") => call.arguments.number("MS")?,
        Some(other) => {
            let other = other.escape_debug();
            return Err(CommandError::usage(format_args!(
                "after COUNT comes `every` or nothing, not `{other}`"
            )));
        }
    };
    call.arguments.end()?;
    let Some((_, raise)) = events::by_hand().find(|(event, _)| *event == name) else {
        let known: Vec<&str> = events::by_hand().map(|(event, _)| event).collect();
        let reason = match events::by_name(name) {
            Some(_) => format!("{name} cannot be raised by hand"),
            None => unknown(name),
        };
        return Err(CommandError::failed(format!(
            "{reason}; these can be raised by hand: {}",
            known.join(", ")
        )));
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let mut strands = Vec::new();
    for core in Cpu::scheduler().cores().map(sched::Core::id) {
        let tally = Arc::new(spin::Mutex::new(Tally::default()));
        let (result, is_over) = (tally.clone(), is_over.clone());
        let strand = crate::strands::spawn_on(core, "raise", move || {
            let tally = raise_on(core, count, pause_ms, raise, &is_over);
            Cpu::unpreempted(|| *result.lock() = tally);
        })
        .map_err(|error| CommandError::failed(error.to_string()))?;
        strands.push((core, strand, tally));
    }
    let has_ended = |strand: &Handle| strand.strand().state() == State::Ended;
    while !strands.iter().all(|(_, strand, _)| has_ended(strand)) {
        if call.out.wait(LOOK_MS) {
            // They end by themselves: nobody waits here for a handler that does not return.
            is_over.store(true, Ordering::Relaxed);
            return Err(CommandError::Stopped);
        }
    }
    report(call, strands)
}

fn raise_on(
    core: usize,
    count: u64,
    pause_ms: u32,
    raise: fn(u64, u32) -> Raised,
    is_over: &AtomicBool,
) -> Tally {
    let mut tally = Tally::default();
    let begun_ns = Cpu::now_ns();
    let mut slept_ns = 0;
    for number in 0..count {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        match raise(number, core as u32) {
            Raised::Answered(answer) => {
                tally.answered += 1;
                tally.wrong += u64::from(answer != number + 1);
            }
            Raised::Unanswered => tally.unanswered += 1,
            Raised::Failed(error) => {
                tally.failed += 1;
                tally.error = Some(error);
            }
        }
        if pause_ms > 0 {
            let asleep_ns = Cpu::now_ns();
            let until_ns = asleep_ns + u64::from(pause_ms) * 1_000_000;
            while Cpu::now_ns() < until_ns && !is_over.load(Ordering::Relaxed) {
                sched::sleep_ns::<Cpu>((until_ns - Cpu::now_ns().min(until_ns)).min(LONGEST_NAP_NS));
            }
            slept_ns += Cpu::now_ns() - asleep_ns;
        }
    }
    tally.nanoseconds = Cpu::now_ns() - begun_ns - slept_ns;
    tally
}

type Strands = Vec<(usize, Handle, Arc<spin::Mutex<Tally>>)>;

fn report(call: &mut Call<Kernel>, strands: Strands) -> Result<(), CommandError> {
    let mut table = Table::new([
        Column::right("core"),
        Column::right("answered"),
        Column::right("unanswered"),
        Column::right("failed"),
        Column::right("each"),
    ]);
    let mut all = Tally::default();
    for (core, strand, tally) in strands {
        strand.join();
        let tally = Cpu::unpreempted(|| core::mem::take(&mut *tally.lock()));
        let raises = tally.answered + tally.unanswered + tally.failed;
        let each = Nanoseconds(tally.nanoseconds.checked_div(raises).unwrap_or(0));
        table.row(&[
            &core,
            &Thousands(tally.answered),
            &Thousands(tally.unanswered),
            &Thousands(tally.failed),
            &each,
        ]);
        all.answered += tally.answered;
        all.unanswered += tally.unanswered;
        all.failed += tally.failed;
        all.wrong += tally.wrong;
        all.error = all.error.or(tally.error);
    }
    write!(call.out, "{table}")?;
    writeln!(call.out, "{} answers, {} of them not the number plus one", Thousands(all.answered), all.wrong)?;
    if all.unanswered > 0 && all.answered == 0 {
        writeln!(call.out, "nobody handles the event: load a spindle that does, for example `load greeter`")?;
    }
    match all.error {
        Some(error) => Err(CommandError::failed(format!("{} raises failed: {error}; see `log`", all.failed))),
        None => Ok(()),
    }
}
