//! `event`: one event, and what its raises are like.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use dispatcher::{
    Order,
    event::{BindingInfo, EventInfo, GuardInfo},
    observe::{CLASSES, Seen},
    post::Counts,
};
use shell::{
    Call, Command, CommandError, Hint,
    histogram::Histogram,
    table::{Column, Table},
    units::{Nanoseconds, Thousands},
};

use super::events::{begin_watch, complete_event, find, owner, owner_of, plan};
use crate::{
    console::Kernel,
    events::{EventRef, KernelEvent},
};

pub const EVENT: Command<Kernel> = Command {
    name: "event",
    summary: "show an event's bindings, or watch its raises",
    usage: "event EVENT [watch [SECONDS]]",
    example: "event Demo.Hello watch 5",
    help: "Shows the bindings of one event in the order in which they run: whose they are, on what condition they \
           run, the place that they asked for, how long they may run at a time and how often they took longer, \
           how many strands sleep in them, and, of those that run later on a strand of the dispatcher, what became \
           of what was posted to them.\n\n\
           With `watch` it watches the event for SECONDS (1, if it is left out), then shows how often each core \
           raised it and how long the raises took, as a histogram. At the console, q or Ctrl-C ends it early. \
           One at a time can watch an event; an event that nobody watches is as fast as if it never had been.",
    run,
    complete,
};

fn complete(hint: &Hint<Kernel>) -> Vec<String> {
    match hint.arguments {
        [_] => ["watch".into()].into(),
        _ => complete_event(hint),
    }
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let name = call.arguments.word("EVENT")?;
    match call.arguments.optional_word() {
        None => show(&*find(name)?, call.out),
        Some("watch") => {
            let seconds = seconds(call.arguments.optional_number("SECONDS")?.unwrap_or(1))?;
            call.arguments.end()?;
            watch(&find(name)?, seconds, call)
        }
        Some(other) => {
            let other = other.escape_debug();
            Err(CommandError::usage(format_args!("after EVENT comes `watch` or nothing, not `{other}`")))
        }
    }
}

/// The longest that anybody may want to wait.
const MOST_SECONDS: u32 = 86_400;

/// A time that makes sense.
pub fn seconds(seconds: u32) -> Result<u32, CommandError> {
    match seconds {
        1..=MOST_SECONDS => Ok(seconds),
        _ => {
            Err(CommandError::usage(format_args!("SECONDS must be from 1 to {MOST_SECONDS}, not {seconds}")))
        }
    }
}

/// Shows an event as it is.
pub fn show(event: &dyn KernelEvent, out: &mut dyn shell::Output) -> Result<(), CommandError> {
    let info = event.info();
    // As people write it: the compiler sets blanks before colons.
    writeln!(out, "{}: {}", event.name(), event.signature().replace(" : ", ": "))?;
    if event.owner().is_some() {
        writeln!(out, "exported by {}", owner_of(event.owner()))?;
    }
    writeln!(out, "{}", summary(&info))?;
    if info.bindings.is_empty() {
        writeln!(out, "nobody handles it")?;
        return Ok(());
    }
    let mut table = Table::new([
        Column::right("binding"),
        Column::left("by"),
        Column::left("runs"),
        Column::left("place"),
        Column::right("bound"),
        Column::right("overruns"),
        Column::right("asleep"),
        Column::left("posted"),
    ]);
    for binding in &info.bindings {
        table.row(&[
            &binding.id,
            &owner(binding),
            &condition(binding, event.fields()),
            &wishes(&binding.orders),
            &binding.bound_ns.map_or("none".into(), |bound| format!("{}", Nanoseconds(bound))),
            &Thousands(binding.overruns),
            &Thousands(binding.sleepers as u64),
            &binding.posts.map_or("no".into(), posts),
        ]);
    }
    write!(out, "{table}")?;
    Ok(())
}

fn summary(info: &EventInfo) -> String {
    let handlers = match info.bindings.len() {
        1 => "1 handler".into(),
        count => format!("{} handlers", Thousands(count as u64)),
    };
    let watched = if info.is_observed { "watched" } else { "not watched" };
    format!("plan {}, {handlers}, result {}, {watched}", plan(info.kind), info.merge)
}

/// When it runs, and whether as a filter.
fn condition(binding: &BindingInfo, fields: &[(&str, usize, usize)]) -> String {
    let guards: Vec<String> = binding.guards.iter().map(|guard| guard_text(guard, fields)).collect();
    let runs = if guards.is_empty() { "always".into() } else { format!("if {}", guards.join(" and ")) };
    if binding.is_filter { format!("{runs}, as a filter") } else { runs }
}

/// A guard in words: by the name of the field where it is one.
fn guard_text(guard: &GuardInfo, fields: &[(&str, usize, usize)]) -> String {
    let GuardInfo::Key(key, value) = guard else { return "its predicate holds".into() };
    let (start, width) = (key.offset as usize, key.width as usize);
    match fields.iter().find(|(_, offset, size)| *offset <= start && start + width <= offset + size) {
        Some((name, _, size)) if *size == width => format!("{name} = {value}"),
        Some((name, offset, _)) => {
            format!("bytes {}..{} of {name} = {value}", start - offset, start - offset + width)
        }
        None => format!("{key} = {value}"),
    }
}

fn wishes(orders: &[Order]) -> String {
    let wish = |order: &Order| match order {
        Order::First => "first".into(),
        Order::Last => "last".into(),
        Order::Before(id) => format!("before {id}"),
        Order::After(id) => format!("after {id}"),
    };
    let wishes: Vec<String> = orders.iter().map(wish).collect();
    if wishes.is_empty() { "any".into() } else { wishes.join(", ") }
}

/// What became of what was posted to a binding; of what can go wrong only what did.
fn posts(counts: Counts) -> String {
    let Counts { posted, refused, dropped, delivered, discarded } = counts;
    // Not read in one instant: what was delivered a moment ago may be missing in `posted`.
    let waiting = posted.saturating_sub(delivered + discarded);
    let mut text = format!("{} run, {} waiting", Thousands(delivered as u64), Thousands(waiting as u64));
    for (count, what) in [(refused, "refused"), (dropped, "dropped"), (discarded, "discarded")] {
        if count > 0 {
            text += &format!(", {} {what}", Thousands(count as u64));
        }
    }
    text
}

/// How often progress is shown to a person, and to nobody in particular.
const PERSON_NS: u64 = 1_000_000_000;
const NOBODY_NS: u64 = 10_000_000_000;

fn watch(event: &EventRef, seconds: u32, call: &mut Call<Kernel>) -> Result<(), CommandError> {
    // Whatever fails below, dropping it ends the watch.
    let watch = begin_watch(event)?;
    let has_reader = call.out.has_reader();
    let ends = if has_reader { "; q or Ctrl-C ends it" } else { "" };
    writeln!(call.out, "watching {} for {seconds} s{ends}", event.name())?;
    let (step_ns, total_ns) =
        (if has_reader { PERSON_NS } else { NOBODY_NS }, u64::from(seconds) * 1_000_000_000);
    let mut next_ns = step_ns;
    loop {
        let elapsed_ns = watch.elapsed_ns();
        if elapsed_ns >= total_ns {
            break;
        }
        if elapsed_ns >= next_ns {
            let raises = Thousands(watch.raises());
            // A person sees one line that changes.
            let (start, end) = if has_reader { ("\r", "\x1b[K") } else { ("", "\n") };
            write!(call.out, "{start}  {raises} raises in {}{end}", Nanoseconds(elapsed_ns))?;
            next_ns = elapsed_ns - elapsed_ns % step_ns + step_ns;
        }
        let pause_ms = (next_ns.min(total_ns) - elapsed_ns).div_ceil(1_000_000);
        if call.out.wait(pause_ms as u32) {
            break;
        }
    }
    let elapsed_ns = watch.elapsed_ns();
    if has_reader {
        call.out.write_str("\r\x1b[K")?;
    }
    let seen = watch.seen();
    // Told at leisure: raises are fast again meanwhile.
    drop(watch);
    tell(&seen, elapsed_ns, call.out)
}

fn tell(seen: &[Seen], elapsed_ns: u64, out: &mut dyn shell::Output) -> Result<(), CommandError> {
    let mut table = Table::new([
        Column::right("core"),
        Column::right("raises"),
        Column::right("unanswered"),
        Column::right("a second"),
    ]);
    let a_second =
        |raises: u64| Thousands((u128::from(raises) * 1_000_000_000 / u128::from(elapsed_ns.max(1))) as u64);
    let mut row = |core: &dyn fmt::Display, raises, unanswered| {
        table.row(&[core, &Thousands(raises), &Thousands(unanswered), &a_second(raises)]);
    };
    let (mut raises, mut unanswered, mut classes) = (0, 0, [0_u64; CLASSES]);
    for (core, seen) in seen.iter().enumerate() {
        row(&core, seen.raises, seen.unanswered);
        (raises, unanswered) = (raises + seen.raises, unanswered + seen.unanswered);
        classes.iter_mut().zip(seen.classes).for_each(|(sum, count)| *sum += count);
    }
    row(&"all", raises, unanswered);
    write!(out, "{table}")?;
    if raises == 0 {
        writeln!(out, "nobody raised it in {}", Nanoseconds(elapsed_ns))?;
        return Ok(());
    }
    write!(out, "\n{}", Histogram::new(&classes))?;
    let answered = raises - unanswered;
    writeln!(
        out,
        "{} raises in {}: {} answered, {} unanswered",
        Thousands(raises),
        Nanoseconds(elapsed_ns),
        Thousands(answered),
        Thousands(unanswered)
    )?;
    Ok(())
}
