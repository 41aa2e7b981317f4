//! `events`, and what the other commands about events share.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use dispatcher::{event::BindingInfo, plan::PlanKind};
use shell::{
    Call, Command, CommandError, Hint, no_completion, suggestion,
    table::{Column, Table},
};

use crate::{
    console::Kernel,
    domains,
    events::{
        self, EventRef,
        watch::{Watch, WatchError},
    },
};

/// So many owners are named, before the rest is counted.
const MOST_OWNERS: usize = 4;

pub const EVENTS: Command<Kernel> = Command {
    name: "events",
    summary: "show the events and who handles them",
    usage: "events",
    example: "events",
    help: "Shows every event: whose it is, its plan (what a raise runs: just the intrinsic handler, a single one, a few without \
           conditions, those under a key, or any mixture), whose result counts, how many handlers it has and \
           whose they are, and whether somebody watches it. `event NAME` tells more of one.",
    run: show,
    complete: no_completion,
};

fn show(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let mut table = Table::new([
        Column::left("event"),
        Column::left("of"),
        Column::left("plan"),
        Column::right("handlers"),
        Column::left("by"),
        Column::left("result"),
        Column::left("watched"),
    ]);
    for event in events::all() {
        let info = event.info();
        table.row(&[
            &event.name(),
            &owner_of(event.owner()),
            &plan(info.kind),
            &info.bindings.len(),
            &owners(&info.bindings),
            &info.merge,
            &if info.is_observed { "yes" } else { "no" },
        ]);
    }
    write!(call.out, "{table}")?;
    Ok(())
}

/// The event of that name.
pub fn find(name: &str) -> Result<EventRef, CommandError> {
    events::by_name(name).ok_or_else(|| CommandError::failed(unknown(name)))
}

/// Begins to watch it.
pub fn begin_watch(event: &EventRef) -> Result<Watch, CommandError> {
    Watch::begin(event).map_err(|error| match error {
        WatchError::Busy => CommandError::failed(format_args!("{} {error}", event.name())),
        _ => CommandError::failed(error),
    })
}

/// That there is no event of that name, and which one may be meant.
pub fn unknown(name: &str) -> String {
    let all: Vec<EventRef> = events::all().collect();
    let near = suggestion(name, all.iter().map(|event| event.name()));
    format!("no event '{}'{near} (`events` shows all)", name.escape_debug())
}

/// The first argument is an event, of the others nothing is known.
pub fn complete_event(hint: &Hint<Kernel>) -> Vec<String> {
    let names = events::all().map(|event| event.name().to_owned());
    if hint.arguments.is_empty() { names.collect() } else { Vec::new() }
}

/// A kind of plan in a word.
pub fn plan(kind: PlanKind) -> &'static str {
    match kind {
        PlanKind::Intrinsic => "intrinsic",
        PlanKind::Empty => "empty",
        PlanKind::Single => "single",
        PlanKind::Few => "few",
        PlanKind::Keyed => "keyed",
        PlanKind::General => "general",
    }
}

/// The name of a domain, or of the core.
pub fn owner_of(domain: Option<u32>) -> String {
    match domain {
        None => "the core".into(),
        Some(domain) => domains::name_of(domain).unwrap_or_else(|| "a domain that is going".into()),
    }
}

/// Whose a binding is.
pub fn owner(binding: &BindingInfo) -> String {
    owner_of(binding.domain)
}

/// Whose they are, each owner named once, in the order in which they run.
fn owners(bindings: &[BindingInfo]) -> String {
    let mut counts: Vec<(Option<u32>, &BindingInfo, usize)> = Vec::new();
    let mut others = 0;
    for binding in bindings {
        match counts.iter().position(|(domain, ..)| *domain == binding.domain) {
            Some(at) => counts[at].2 += 1,
            None if counts.len() < MOST_OWNERS => counts.push((binding.domain, binding, 1)),
            None => others += 1,
        }
    }
    let name = |(_, binding, count): &(_, &BindingInfo, usize)| match count {
        1 => owner(binding),
        _ => format!("{} ({count})", owner(binding)),
    };
    let mut names: Vec<String> = counts.iter().map(name).collect();
    if others > 0 {
        names.push(format!("{others} of others"));
    }
    names.join(", ")
}
