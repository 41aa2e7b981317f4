//! `events` and `raise`.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};

use dispatcher::{Processor, RaiseError, plan::PlanKind};
use sched::Machine;
use shell::{
    Call, Command, CommandError, Hint, no_completion,
    table::{Column, Table},
    units::{Nanoseconds, Thousands},
};

use crate::{
    console::Kernel,
    domains,
    events::{self, Raised},
    strands::{Cpu, Handle},
};

pub const EVENTS: Command<Kernel> = Command {
    name: "events",
    summary: "show the events and who handles them",
    usage: "events",
    example: "events",
    help: "Shows every event with its plan (what a raise runs: just the intrinsic handler, a single handler, \
           or a list) and its handlers: the number of each binding and the domain that it belongs to.",
    run: show,
    complete: no_completion,
};

fn show(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let mut table = Table::new([
        Column::left("event"),
        Column::left("plan"),
        Column::right("handlers"),
        Column::left("by"),
    ]);
    for event in events::all() {
        let info = event.info();
        let by: Vec<String> = info
            .bindings
            .iter()
            .map(|binding| {
                let (id, owner) = (binding.id, binding.domain);
                let owner = match owner {
                    None => "the core".to_owned(),
                    Some(domain) => {
                        domains::name_of(domain).unwrap_or_else(|| "a domain that is going".into())
                    }
                };
                format!("{owner} ({id})")
            })
            .collect();
        let plan = match info.kind {
            PlanKind::Intrinsic => "intrinsic",
            PlanKind::Empty => "empty",
            PlanKind::Single => "single",
            PlanKind::Few => "few",
            PlanKind::Keyed => "keyed",
            PlanKind::General => "general",
        };
        table.row(&[&info.name, &plan, &info.bindings.len(), &by.join(", ")]);
    }
    write!(call.out, "{table}")?;
    Ok(())
}

pub const RAISE: Command<Kernel> = Command {
    name: "raise",
    summary: "raise an event on every core at once",
    usage: "raise EVENT [COUNT]",
    example: "raise Demo.Hello 1000",
    help: "Raises the event COUNT times (once, if it is left out) on every core at the same time, by a strand \
           on each, and shows how many raises were answered by a handler. Events that carry more than a number \
           cannot be raised by hand.",
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
    call.arguments.end()?;
    let Some((_, raise)) = events::by_hand().find(|(event, _)| *event == name) else {
        return Err(CommandError::failed(unknown(name)));
    };
    let mut strands = Vec::new();
    for core in Cpu::scheduler().cores().map(sched::Core::id) {
        let tally = alloc::sync::Arc::new(spin::Mutex::new(Tally::default()));
        let result = tally.clone();
        let strand = crate::strands::spawn_on(core, "raise", move || {
            let tally = raise_on(core, count, raise);
            Cpu::unpreempted(|| *result.lock() = tally);
        })
        .map_err(|error| CommandError::failed(error.to_string()))?;
        strands.push((core, strand, tally));
    }
    report(call, strands)
}

fn raise_on(core: usize, count: u64, raise: fn(u64, u32) -> Raised) -> Tally {
    let mut tally = Tally::default();
    let begun = Cpu::now_ns();
    for number in 0..count {
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
    }
    tally.nanoseconds = Cpu::now_ns() - begun;
    tally
}

type Strands = Vec<(usize, Handle, alloc::sync::Arc<spin::Mutex<Tally>>)>;

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

fn unknown(name: &str) -> String {
    let known: Vec<&str> = events::by_hand().map(|(event, _)| event).collect();
    let known = known.join(", ");
    match events::number_of(name) {
        Some(_) => format!("{name} cannot be raised by hand; these can: {known}"),
        None => format!("no event '{name}' (`events` shows all); these can be raised by hand: {known}"),
    }
}
