//! The storm of loads: a spindle comes and goes, and every raise meanwhile is accounted for.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::kernel::{Answer, Kernel, Level};

/// The spindle that answers `Demo.Hello` and tells of it.
pub const SPINDLE: &str = "echo";

/// How often a round looks whether a raise was answered, before it gives up.
const MOST_PAUSES: u32 = 100_000;

/// What the raises of one core came to.
#[derive(Default)]
pub struct Tally {
    /// Raises that brought the right answer, told of once.
    pub answered: AtomicU64,
    /// Raises while nobody handled the event.
    pub unanswered: AtomicU64,
    /// Raises that brought no answer, or a wrong one, though a handler was called; or the other way
    /// round.
    pub lost: AtomicU64,
    /// Raises for which a handler was called more than once.
    pub doubled: AtomicU64,
    /// Raises that failed.
    pub failed: AtomicU64,
}

/// What came of it.
pub struct Report {
    /// Loads, each with its unload.
    pub rounds: u32,
    /// A tally for each core that raised, with its number.
    pub tallies: Vec<(u32, Arc<Tally>)>,
    /// Before the first strand was made, and after the last had ended.
    pub levels: (Level, Level),
}

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// A step could not be made at all, in this round.
    Step(u32, String),
    /// So many raises were lost, doubled, or failed.
    Raises {
        /// Neither answered nor unanswered.
        lost: u64,
        /// Handled more than once.
        doubled: u64,
        /// Failed.
        failed: u64,
    },
    /// In this round no raise was answered, though the spindle was there for seconds.
    Silence(u32),
    /// Something did not come back: the level before, and after.
    Leak(Level, Level),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(round, why) => write!(out, "round {round}: {why}"),
            Self::Raises { lost, doubled, failed } => {
                write!(out, "raises: {lost} lost, {doubled} doubled, {failed} failed")
            }
            Self::Silence(round) => write!(out, "round {round}: no raise was answered"),
            Self::Leak(before, after) => {
                write!(out, "something did not come back: {before:?}, now {after:?}")
            }
        }
    }
}

impl core::error::Error for Failure {}

/// Loads and unloads `echo` `rounds` times from the calling strand, while every other core raises
/// `Demo.Hello` without pause (on a machine of one core, while that core does). `tell` hears of each
/// round that is done.
///
/// # Errors
///
/// See [`Failure`]; the report's tallies are right in any case.
pub fn storm(
    kernel: &'static dyn Kernel,
    rounds: u32,
    tell: &mut dyn FnMut(u32),
) -> (Report, Result<(), Failure>) {
    let this = kernel.this_core();
    let raisers = (0..kernel.cores()).filter(|core| *core != this || kernel.cores() == 1);
    // The report's own memory is in use at both levels.
    let tallies: Vec<_> = raisers.map(|core| (core, Arc::new(Tally::default()))).collect();
    let before = kernel.level();
    let outcome = rage(kernel, rounds, &tallies, tell);
    let report = Report { rounds, tallies, levels: (before, kernel.level()) };
    let result = outcome.and_then(|()| report.verdict());
    (report, result)
}

fn rage(
    kernel: &'static dyn Kernel,
    rounds: u32,
    tallies: &[(u32, Arc<Tally>)],
    tell: &mut dyn FnMut(u32),
) -> Result<(), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (mut joins, mut outcome) = (Vec::new(), Ok(()));
    for (core, tally) in tallies {
        let (core, tally, is_over) = (*core, tally.clone(), is_over.clone());
        let body = Box::new(move || raise_until(kernel, core, &is_over, &tally));
        match kernel.spawn_on(core, body) {
            Ok(join) => joins.push(join),
            Err(why) => outcome = Err(Failure::Step(0, why)),
        }
    }
    for round in 1..=rounds {
        if outcome.is_ok() {
            outcome = come_and_go(kernel, round, tallies);
            tell(round);
        }
    }
    is_over.store(true, Ordering::Relaxed);
    joins.into_iter().for_each(|join| join());
    outcome
}

/// One round: the spindle is loaded, stays until a raise was answered, and is unloaded.
fn come_and_go(kernel: &dyn Kernel, round: u32, tallies: &[(u32, Arc<Tally>)]) -> Result<(), Failure> {
    let step = |why| Failure::Step(round, why);
    let before = sum(tallies, |tally| &tally.answered);
    kernel.load(SPINDLE).map_err(step)?;
    let is_heard = (0..MOST_PAUSES).any(|_| {
        kernel.pause();
        sum(tallies, |tally| &tally.answered) > before
    });
    kernel.unload(SPINDLE).map_err(step)?;
    if is_heard { Ok(()) } else { Err(Failure::Silence(round)) }
}

fn sum(tallies: &[(u32, Arc<Tally>)], counter: impl Fn(&Tally) -> &AtomicU64) -> u64 {
    tallies.iter().map(|(_, tally)| counter(tally).load(Ordering::Relaxed)).sum()
}

/// Raises until it is over. Only this strand raises in the name of its core, so what the kernel hears
/// of that core between two looks is this raise's doing.
fn raise_until(kernel: &'static dyn Kernel, core: u32, is_over: &AtomicBool, tally: &Tally) {
    let mut number = 0;
    let mut heard = kernel.heard_of(core);
    while !is_over.load(Ordering::Relaxed) {
        let answer = kernel.raise_hello(number, core);
        let now = kernel.heard_of(core);
        let counter = match (answer, now.wrapping_sub(heard)) {
            (Answer::Got(got), 1) if got == number + 1 => &tally.answered,
            (Answer::Nobody, 0) => &tally.unanswered,
            (Answer::Failed, _) => &tally.failed,
            (_, 0 | 1) => &tally.lost,
            _ => &tally.doubled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        heard = now;
        number += 1;
    }
}

impl Report {
    /// The sum of one counter over all cores.
    pub fn sum(&self, counter: impl Fn(&Tally) -> &AtomicU64) -> u64 {
        sum(&self.tallies, counter)
    }

    fn verdict(&self) -> Result<(), Failure> {
        let lost = self.sum(|tally| &tally.lost);
        let doubled = self.sum(|tally| &tally.doubled);
        let failed = self.sum(|tally| &tally.failed);
        if lost + doubled + failed > 0 {
            return Err(Failure::Raises { lost, doubled, failed });
        }
        let (before, after) = self.levels;
        if before == after { Ok(()) } else { Err(Failure::Leak(before, after)) }
    }
}
