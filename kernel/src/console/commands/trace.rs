//! `trace`: raises one by one, while they happen.

use alloc::vec::Vec;
use core::fmt;

use dispatcher::observe::Trace;
use shell::{
    Call, Command, CommandError,
    units::{Nanoseconds, Thousands},
};

use super::{
    event::seconds,
    events::{begin_watch, complete_event, find},
};
use crate::{console::Kernel, events::watch::Watch};

/// How often to look.
const LOOK_MS: u32 = 100;
/// The most raises that are shown of each look: what a person can bear and a slow line can carry.
const MOST_SHOWN: usize = 12;

pub const TRACE: Command<Kernel> = Command {
    name: "trace",
    summary: "follow an event's raises one by one",
    usage: "trace EVENT [SECONDS]",
    example: "trace Demo.Hello 10",
    help: "Shows a line for each raise that is over: when it began, since the kernel did; the core, and how many \
           raises of that core came before it; how long it took; and whether a handler answered. It ends after \
           SECONDS, at the console also by q or Ctrl-C; there SECONDS may be left out. Ten times a second it shows \
           the 12 oldest raises that are new, and counts the rest; each core remembers 64, so in a storm most are \
           lost, and counted too. One at a time can watch or trace an event.",
    run,
    complete: complete_event,
};

/// What became of the raises of one core.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The first that was not looked at.
    next: u64,
    /// How many were looked at.
    read: u64,
    /// How many there were. What was not looked at of them is lost, once nobody looks any more.
    end: u64,
}

/// A raise, and where.
struct Line {
    core: usize,
    trace: Trace,
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { core, trace } = self;
        let microseconds = trace.began_ns / 1000;
        let (seconds, rest) = (microseconds / 1_000_000, microseconds % 1_000_000);
        let answer = if trace.is_answered { "answered" } else { "unanswered" };
        let (number, took) = (Thousands(trace.number), Nanoseconds(trace.took_ns));
        write!(out, "{seconds:>6}.{rest:06} s  {core:>4}  {number:>11}  {took:>8}  {answer}")
    }
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let name = call.arguments.word("EVENT")?;
    let limit = call.arguments.optional_number("SECONDS")?.map(seconds).transpose()?;
    call.arguments.end()?;
    let event = find(name)?;
    if limit.is_none() && !call.out.has_reader() {
        let reason = "SECONDS is missing: nobody is at a keyboard here to end it";
        return Err(CommandError::usage(reason));
    }
    // Whatever fails below, dropping it ends the watch.
    let watch = begin_watch(&event)?;
    let ends = if call.out.has_reader() { "; q or Ctrl-C ends it" } else { "" };
    match limit {
        Some(limit) => writeln!(call.out, "following {name} for {limit} s{ends}")?,
        None => writeln!(call.out, "following {name}{ends}")?,
    }
    writeln!(call.out, "{:>15}  core  {:>11}  {:>8}", "began", "raise", "took")?;
    let limit_ns = limit.map_or(u64::MAX, |limit| u64::from(limit) * 1_000_000_000);
    let mut follower = Follower::new(&watch);
    loop {
        let elapsed_ns = watch.elapsed_ns();
        let left_ms = limit_ns.saturating_sub(elapsed_ns).div_ceil(1_000_000);
        let is_over = left_ms == 0 || call.out.wait(left_ms.min(u64::from(LOOK_MS)) as u32);
        follower.look(&watch);
        let passed = follower.found.len().saturating_sub(MOST_SHOWN);
        for line in follower.found.iter().take(MOST_SHOWN) {
            writeln!(call.out, "{line}")?;
        }
        if passed > 0 {
            writeln!(call.out, "{:>15}  and {} more", "", Thousands(passed as u64))?;
        }
        follower.shown += follower.found.len().min(MOST_SHOWN) as u64;
        if is_over {
            break;
        }
    }
    let elapsed_ns = watch.elapsed_ns();
    drop(watch);
    let sum = |count: fn(&Cursor) -> u64| follower.cursors.iter().map(count).sum::<u64>();
    let (raises, read, shown) = (sum(|cursor| cursor.end), sum(|cursor| cursor.read), follower.shown);
    writeln!(
        call.out,
        "{} raises in {}: {} shown, {} passed over, {} lost",
        Thousands(raises),
        Nanoseconds(elapsed_ns),
        Thousands(shown),
        Thousands(read - shown),
        Thousands(raises - read)
    )?;
    Ok(())
}

/// What looks again and again.
struct Follower {
    cursors: Vec<Cursor>,
    /// What the last look found, oldest first.
    found: Vec<Line>,
    shown: u64,
}

impl Follower {
    fn new(watch: &Watch) -> Self {
        let cursors = watch.seen().iter().map(|_| Cursor::default()).collect();
        Self { cursors, found: Vec::new(), shown: 0 }
    }

    /// Finds what is new. A raise that is just being noted is found by the next look, unless later ones
    /// of its core are found by this one: then it is lost.
    fn look(&mut self, watch: &Watch) {
        self.found.clear();
        let ends = watch.seen().into_iter().map(|seen| seen.raises);
        for (core, (cursor, end)) in self.cursors.iter_mut().zip(ends).enumerate() {
            for trace in watch.observation().traces(core, cursor.next) {
                cursor.next = trace.number + 1;
                cursor.read += 1;
                self.found.push(Line { core, trace });
            }
            cursor.end = end.max(cursor.next);
        }
        self.found.sort_by_key(|line| line.trace.began_ns);
    }
}
