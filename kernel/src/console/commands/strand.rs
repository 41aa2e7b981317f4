//! `priority`, `affinity` and `terminate`: what a strand is like, changed by hand.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sched::{Machine, State, set_affinity, set_priority, terminate, workers::PREFIX};
use shell::{Call, Command, CommandError, Hint, numbers::NumberSet};

use super::{
    background,
    strands::{no_strand, priority as shown},
};
use crate::{
    console::Kernel,
    strands::{Cpu, Strand},
};

pub const PRIORITY: Command<Kernel> = Command {
    name: "priority",
    summary: "make a strand more or less urgent",
    usage: "priority STRAND PRIORITY",
    example: "priority 17 8",
    help: "Gives the strand a priority of 0 to 31; 16 is normal, 31 the most urgent. One that is runnable takes the \
           core from any of lower priority, and equals share it in turn. What was lent to it, by somebody more \
           urgent who waits for it, counts on. STRAND is a number, as `strands` shows it, or a \
           name that nobody else bears.",
    run: change_priority,
    complete,
};

pub const AFFINITY: Command<Kernel> = Command {
    name: "affinity",
    summary: "say on which cores a strand may run",
    usage: "affinity STRAND CORES",
    example: "affinity 17 0,2-3",
    help: "From now on the strand runs only on CORES: numbers and ranges with commas between, or all. If it is on \
           another, it moves at once. Strands that belong to a core are refused. STRAND is a \
           number, as `strands` shows it, or a name that nobody else bears.",
    run: change_affinity,
    complete,
};

pub const TERMINATE: Command<Kernel> = Command {
    name: "terminate",
    summary: "ask a strand to end",
    usage: "terminate STRAND",
    example: "terminate 17",
    help: "Asks the strand to end. One that has not begun never does; one that waits where that can be cut short \
           goes on at once; one that computes ends when it asks. Nobody is stopped in the middle of something, so \
           one that never asks goes on, as most of the kernel's own do. Commands in the background end. STRAND is \
           a number, as `strands` shows it, or a name that nobody else bears.",
    run: end,
    complete,
};

/// For how long the command waits to see whether the strand has ended, in milliseconds, and how often it looks.
const PATIENCE_MS: u32 = 500;
const LOOK_MS: u32 = 10;

/// Strands of the core's own that put away what others leave.
const KEEPERS: [&str; 2] = ["housekeeper", "undertaker"];

fn end(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let strand = strand(call)?;
    call.arguments.end()?;
    let (id, name) = (strand.id(), strand.name());
    if Arc::ptr_eq(&strand, &sched::current::<Cpu>()) {
        return Err(CommandError::failed("that is the strand that would end itself here: `halt` ends all"));
    }
    if let Some(reason) = is_bound(&strand).filter(|_| strand.package().is_none()) {
        return Err(CommandError::failed(format_args!("strand {id}, {name}, must stay: {reason}")));
    }
    if strand.domain().is_none() && KEEPERS.contains(&name) {
        return Err(CommandError::failed(format_args!(
            "strand {id}, {name}, must stay: without it nothing that was unloaded or has ended gives back what it had"
        )));
    }
    let is_first = terminate(&strand);
    // One that waits where its thread package keeps it would wait on.
    sched::package::release(&strand);
    for _ in 0..PATIENCE_MS / LOOK_MS {
        if strand.state() == State::Ended {
            writeln!(call.out, "strand {id}, {name}, has ended")?;
            return Ok(());
        }
        if call.out.wait(LOOK_MS) {
            return Err(CommandError::Stopped);
        }
    }
    let before = if is_first { "" } else { ", and was before" };
    writeln!(call.out, "strand {id}, {name}, was asked to end{before}; it goes on until it asks or waits")?;
    Ok(())
}

/// The strands that there are.
fn complete(hint: &Hint<Kernel>) -> Vec<String> {
    match hint.arguments {
        [] => Cpu::scheduler().strands().iter().map(|strand| strand.id().to_string()).collect(),
        _ => Vec::new(),
    }
}

/// The strand whose number, or name if nobody else bears it, is the next word.
fn strand(call: &mut Call<Kernel>) -> Result<Arc<Strand>, CommandError> {
    let word = call.arguments.word("STRAND")?;
    let mut all = Cpu::scheduler().strands();
    all.retain(|strand| match word.parse::<u64>() {
        Ok(id) => strand.id() == id,
        Err(_) => strand.name() == word,
    });
    match &all[..] {
        [] => Err(no_strand(&word.escape_debug().to_string())),
        [strand] => Ok(strand.clone()),
        [first, second, ..] => Err(CommandError::failed(format_args!(
            "{} strands are called {word}, {} and {} among them: say which by its number",
            all.len(),
            first.id(),
            second.id()
        ))),
    }
}

fn change_priority(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let strand = strand(call)?;
    let wanted = background::priority(call)?;
    call.arguments.end()?;
    let before = strand.base_priority().number();
    set_priority(&strand, wanted);
    let (id, name, now) = (strand.id(), strand.name(), shown(&strand));
    writeln!(call.out, "strand {id}, {name}: priority {now}, which was {before}")?;
    Ok(())
}

/// Why the strand must stay where it is, if it must.
fn is_bound(strand: &Arc<Strand>) -> Option<&'static str> {
    let packages = Cpu::scheduler().packages().all();
    let mut carriers = packages.iter().flat_map(|package| package.seats()).filter_map(|seat| seat.carrier());
    if carriers.any(|carrier| Arc::ptr_eq(carrier, strand)) {
        Some("it is a package's virtual processor, and its package asked for that core")
    } else if strand.domain().is_none() && strand.name().starts_with(PREFIX) {
        Some("it delivers what is posted for its core")
    } else if strand.package().is_some_and(|package| !package.is_ejected()) {
        Some("its thread package says on which of its own cores it runs")
    } else {
        None
    }
}

fn change_affinity(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let strand = strand(call)?;
    let wanted = background::cores(call)?;
    call.arguments.end()?;
    if let Some(reason) = is_bound(&strand) {
        let (id, name) = (strand.id(), strand.name());
        return Err(CommandError::failed(format_args!("strand {id}, {name}, stays where it is: {reason}")));
    }
    let before = NumberSet(strand.affinity().0);
    set_affinity(&strand, wanted).map_err(CommandError::failed)?;
    let (id, name, now) = (strand.id(), strand.name(), NumberSet(wanted.0));
    writeln!(call.out, "strand {id}, {name}: may run on {now}; before: {before}")?;
    Ok(())
}
