//! The storm of registrations: handlers come, go and are replaced everywhere at once, and every raise
//! meanwhile is accounted for.
//!
//! On each core one strand raises without pause and one changes what is installed; handlers change
//! things, raise and sleep too. What is installed is divided into *units*: handlers of one event, one or
//! three, that are only changed together, in one step. Each unit counts its changes, once when a change
//! begins and once when it has returned; each handler knows the number of the change that it came with.
//! So a raise that reads the numbers before it begins and after it is over knows what it may have seen:
//!
//! - of a unit all handlers or none, all of the same number, each once;
//! - a number that was not overtaken before the raise began, and no other if nothing was changed meanwhile;
//! - of a unit that is only ever replaced, one;
//! - only handlers whose guards hold, in the order that they asked for, and a result that counts them.
//!
//! Some handlers of a unit may be missing only if the raise slept: then it passes over what was removed
//! meanwhile. A handler that was drained must not run any more, nor one whose closure was freed.
//! Afterwards every closure is gone, and the machine's [`Level`] is as it was.

mod filters;
mod unit;
mod witness;

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use dispatcher::{Event, Merge, Processor};

use crate::{
    Dice,
    kernel::{Join, Kernel, Level},
};
use filters::Filters;
use unit::{EVENTS, UNITS, Unit, units};
use witness::Args;

/// How deep handlers raise.
const DEEPEST: u32 = 2;
/// A stretch of the storm, after which everything is gone and the level is compared; in nanoseconds.
const LEG_NS: u64 = 1_000_000_000;
/// So many stretches at most: longer storms have longer ones.
const MOST_LEGS: u64 = 12;
/// A storm goes on until everything was done once, but no longer than so many times its length.
const MOST_PATIENCE: u64 = 10;

/// What one core has done and seen.
#[derive(Default)]
pub struct Tally {
    /// Raises of all kinds, those inside of handlers too.
    pub raises: AtomicU64,
    /// Handlers that were called.
    pub calls: AtomicU64,
    /// Raises that slept.
    pub slept: AtomicU64,
    /// Units that came.
    pub installed: AtomicU64,
    /// Units that were removed, now.
    pub removed: AtomicU64,
    /// Units that were removed, drained.
    pub drained: AtomicU64,
    /// Units that were replaced.
    pub replaced: AtomicU64,
    /// Changes that were rightly refused: all of a transaction for one step, or a handler that would
    /// have waited for itself.
    pub refused: AtomicU64,
    /// What should not have been.
    pub wrong: AtomicU64,
}

/// What came of it.
pub struct Report {
    /// By which it can be repeated, as far as the dice go.
    pub seed: u64,
    /// A tally for each core, by its number.
    pub tallies: Vec<Arc<Tally>>,
    /// Before the storm, and after it.
    pub levels: (Level, Level),
}

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// No strand for a core, and why.
    Spawn(String),
    /// So many times something was wrong, and what it was at first.
    Wrong(u64, String),
    /// So many closures were never dropped.
    Closures(u64),
    /// Something did not come back: the level before a stretch, and after it.
    Leak(Level, Level),
    /// The pool of participants grew in the last stretch too, so nobody can say what did not come back.
    Growth(Level, Level),
    /// No raise, or no change of some kind: it was no storm.
    Calm,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(why) => out.write_str(why),
            Self::Wrong(count, first) => write!(out, "wrong {count} times, at first: {first}"),
            Self::Closures(count) => write!(out, "{count} closures were never dropped"),
            Self::Leak(before, after) => {
                write!(out, "something did not come back: {before:?}, now {after:?}")
            }
            Self::Growth(before, after) => {
                write!(out, "the pool of participants grows and grows: {before:?}, now {after:?}")
            }
            Self::Calm => out.write_str("it was no storm: something was never done, see the table"),
        }
    }
}

impl core::error::Error for Failure {}

/// A storm while it rages.
struct Storm<P> {
    kernel: &'static dyn Kernel,
    events: [Event<Args, u64, P>; EVENTS],
    units: [Unit; UNITS],
    filters: Filters<P>,
    /// Closures that are alive.
    citizens: Arc<AtomicU64>,
    is_over: AtomicBool,
    tallies: Vec<Arc<Tally>>,
    /// What was wrong first.
    complaint: spin::Mutex<Option<String>>,
}

/// The result of an intrinsic handler, which tells it from the others': each of these answers 1.
const INTRINSIC: u64 = 1 << 32;

impl<P: Processor> Storm<P> {
    fn new(kernel: &'static dyn Kernel, tallies: &[Arc<Tally>]) -> Self {
        let event = |name, intrinsic: Option<fn(&Args) -> u64>| {
            Event::new(name, intrinsic).open().merging(Merge::Fold(|one: u64, other| one + other))
        };
        Self {
            kernel,
            events: [
                event("Storm.Single", None),
                event("Storm.Replaced", Some(|_| INTRINSIC)),
                event("Storm.Grouped", None),
                event("Storm.Keyed", None),
            ],
            units: units(),
            filters: Filters::new(),
            citizens: Arc::default(),
            is_over: AtomicBool::new(false),
            tallies: tallies.to_vec(),
            complaint: spin::Mutex::new(None),
        }
    }

    fn is_over(&self) -> bool {
        // Relaxed: only to stop some time.
        self.is_over.load(Ordering::Relaxed)
    }

    fn has_complaint(&self) -> bool {
        P::unpreempted(|| self.complaint.lock().is_some())
    }

    /// Something is not as it should be.
    fn wrong(&self, core: u32, what: impl FnOnce() -> String) {
        if add(&self.tallies[core as usize].wrong) == 0 {
            let what = what();
            P::unpreempted(|| self.complaint.lock().get_or_insert(what).len());
        }
    }
}

/// Counts one more; says how many there were.
fn add(counter: &AtomicU64) -> u64 {
    // Relaxed: who reads it has waited for the strands that count, or only shows it.
    counter.fetch_add(1, Ordering::Relaxed)
}

/// Rages for `seconds` on every core of the processor `P`, which is the kernel's. `tell` hears how many
/// of them are over, and the tallies so far.
///
/// # Errors
///
/// See [`Failure`]; the report's tallies are right in any case.
pub fn storm<P: Processor>(
    kernel: &'static dyn Kernel,
    seconds: u64,
    seed: u64,
    tell: &mut dyn FnMut(u64, &[Arc<Tally>]),
) -> (Report, Result<(), Failure>) {
    let tallies: Vec<_> = (0..kernel.cores()).map(|_| Arc::new(Tally::default())).collect();
    let first = kernel.level();
    let mut report = Report { seed, tallies, levels: (first, first) };
    let length_ns = seconds.max(1).saturating_mul(1_000_000_000);
    let leg_ns = LEG_NS.max(length_ns / MOST_LEGS);
    let began = P::now_ns();
    let end = began.saturating_add(length_ns);
    let mut result = Ok(());
    for leg in 0.. {
        let now = P::now_ns();
        let is_enough =
            |now: u64| now >= end && (!is_calm(&report.tallies) || now - began >= MOST_PATIENCE * length_ns);
        if result.is_err() || is_enough(now) {
            break;
        }
        let before = kernel.level();
        result = rage::<P>(
            kernel,
            now + leg_ns.min(end.saturating_sub(now).max(LEG_NS)),
            seed.wrapping_add(leg << 32),
            &report.tallies,
        );
        let after = kernel.level();
        report.levels.1 = after;
        let is_last = is_enough(P::now_ns());
        result = result.and_then(|()| match before {
            _ if before == after => Ok(()),
            // It keeps what it grew by, on purpose, so memory cannot be compared; in the next stretch it
            // can, unless it grows for ever.
            _ if before.pool == after.pool => Err(Failure::Leak(before, after)),
            _ if before.participants != after.participants => Err(Failure::Leak(before, after)),
            _ if is_last => Err(Failure::Growth(before, after)),
            _ => Ok(()),
        });
        tell((P::now_ns() - began) / 1_000_000_000, &report.tallies);
    }
    let result = result.and_then(|()| if is_calm(&report.tallies) { Err(Failure::Calm) } else { Ok(()) });
    (report, result)
}

/// One stretch: from nothing to nothing.
fn rage<P: Processor>(
    kernel: &'static dyn Kernel,
    until_ns: u64,
    seed: u64,
    tallies: &[Arc<Tally>],
) -> Result<(), Failure> {
    let storm = Arc::new(Storm::<P>::new(kernel, tallies));
    let mut outcome = storm.begin().map_err(|why| Failure::Wrong(1, why));
    let mut joins = Vec::new();
    for core in 0..kernel.cores() {
        for does in [raise_on::<P>, change_on::<P>] {
            let (storm, seed) = (storm.clone(), seed.wrapping_add(joins.len() as u64));
            match kernel.spawn_on(core, Box::new(move || does(&storm, core, Dice::new(seed)))) {
                Ok(join) => joins.push(join),
                Err(why) => outcome = Err(Failure::Spawn(why)),
            }
        }
    }
    let mut dice = Dice::new(!seed);
    let authorities: Vec<_> = storm.events.iter().filter_map(Event::claim).collect();
    while outcome.is_ok() && P::now_ns() < until_ns && !storm.has_complaint() {
        storm.veil(&authorities, &mut dice);
        kernel.pause();
    }
    storm.is_over.store(true, Ordering::Relaxed);
    joins.into_iter().for_each(|join: Join| join());
    storm.end();
    // Everything that was retired is gone then.
    kernel.level();
    let wrong = tallies.iter().map(|tally| tally.wrong.load(Ordering::Relaxed)).sum();
    if let Some(first) = storm.complaint.lock().take() {
        return Err(Failure::Wrong(wrong, first));
    }
    match storm.citizens.load(Ordering::Relaxed) {
        0 => outcome,
        count => outcome.and(Err(Failure::Closures(count))),
    }
}

/// Raises until it is over.
fn raise_on<P: Processor>(storm: &Arc<Storm<P>>, core: u32, mut dice: Dice) {
    while !storm.is_over() {
        if dice.one_in(8) {
            storm.filters.raise(storm, core);
        } else {
            storm.raise(dice.below(EVENTS), core, 0, &mut dice);
        }
        storm.kernel.breathe();
    }
}

/// Changes things until it is over.
fn change_on<P: Processor>(storm: &Arc<Storm<P>>, core: u32, mut dice: Dice) {
    while !storm.is_over() {
        for _ in 0..dice.below(8) {
            if dice.one_in(8) {
                storm.filters.change(storm, core, &mut dice);
            } else {
                storm.change(core, &mut dice, true);
            }
            storm.kernel.breathe();
        }
        storm.kernel.pause();
    }
}

impl Report {
    /// The sum of one counter over all cores.
    pub fn sum(&self, counter: impl Fn(&Tally) -> &AtomicU64) -> u64 {
        self.tallies.iter().map(|tally| counter(tally).load(Ordering::Relaxed)).sum()
    }
}

/// Has anything never been done?
fn is_calm(tallies: &[Arc<Tally>]) -> bool {
    let counters: [fn(&Tally) -> &AtomicU64; 8] = [
        |tally| &tally.raises,
        |tally| &tally.calls,
        |tally| &tally.slept,
        |tally| &tally.installed,
        |tally| &tally.removed,
        |tally| &tally.drained,
        |tally| &tally.replaced,
        |tally| &tally.refused,
    ];
    let is_zero = |counter: fn(&Tally) -> &AtomicU64| {
        tallies.iter().all(|tally| counter(tally).load(Ordering::Relaxed) == 0)
    };
    counters.into_iter().any(is_zero)
}
