//! Watching an event: how often it is raised on each core, how long that takes, and the last raises
//! one by one. An event that nobody watches pays nothing: watching is another plan.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::{
    border::Border,
    event::InstallError,
    plan::{self, Entry, Word},
    processor::Processor,
    trace::Remembered,
};

pub use crate::trace::Trace;

/// How many classes of duration there are: class *n* counts raises of less than 2 to the *n* + 1
/// nanoseconds, the last one all that take longer.
pub const CLASSES: usize = 32;
/// How many raises each core remembers.
pub const REMEMBERED: usize = 64;

/// What was seen of an event since it is watched.
pub struct Observation {
    cores: Box<[PerCore]>,
}

/// Lines of their own: their core writes them.
#[repr(align(64))]
struct PerCore {
    raises: AtomicU64,
    unanswered: AtomicU64,
    classes: [AtomicU64; CLASSES],
    remembered: [Remembered; REMEMBERED],
}

/// What one core has seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Raises that are over.
    pub raises: u64,
    /// Those among them that brought no result.
    pub unanswered: u64,
    /// How many took how long, see [`CLASSES`].
    pub classes: [u64; CLASSES],
}

impl Observation {
    /// For so many cores.
    ///
    /// # Errors
    ///
    /// [`InstallError::OutOfMemory`].
    pub(crate) fn new(cores: usize) -> Result<Arc<Self>, InstallError> {
        let mut per_core = Vec::new();
        per_core.try_reserve_exact(cores).map_err(|_| InstallError::OutOfMemory)?;
        per_core.extend((0..cores).map(|_| PerCore::new()));
        Ok(Arc::new(Self { cores: per_core.into_boxed_slice() }))
    }

    /// What each core has seen.
    pub fn seen(&self) -> impl Iterator<Item = Seen> {
        self.cores.iter().map(|core| Seen {
            raises: core.raises.load(Ordering::Relaxed),
            unanswered: core.unanswered.load(Ordering::Relaxed),
            classes: core::array::from_fn(|class| core.classes[class].load(Ordering::Relaxed)),
        })
    }

    /// What core `core` remembers of its raises from `from` on, oldest first. What it has forgotten, or
    /// is just writing, is left out: the numbers tell.
    pub fn traces(&self, core: usize, from: u64) -> impl Iterator<Item = Trace> {
        let core = &self.cores[core];
        let end = core.raises.load(Ordering::Relaxed);
        let start = from.max(end.saturating_sub(REMEMBERED as u64));
        (start..end).filter_map(|number| core.remembered[number as usize % REMEMBERED].read(number))
    }

    fn note(&self, core: usize, began_ns: u64, took_ns: u64, is_answered: bool) {
        let Some(core) = self.cores.get(core) else { return };
        // Relaxed: counters for people. Several strands may note at once, preempting each other or having
        // moved to another core since they asked for theirs, so each adds in one step.
        let number = core.raises.fetch_add(1, Ordering::Relaxed);
        core.unanswered.fetch_add(u64::from(!is_answered), Ordering::Relaxed);
        core.classes[class_of(took_ns)].fetch_add(1, Ordering::Relaxed);
        core.remembered[number as usize % REMEMBERED].write(Trace { number, began_ns, took_ns, is_answered });
    }
}

fn class_of(nanoseconds: u64) -> usize {
    (nanoseconds.max(1).ilog2() as usize).min(CLASSES - 1)
}

impl PerCore {
    fn new() -> Self {
        Self {
            raises: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            classes: [const { AtomicU64::new(0) }; CLASSES],
            remembered: core::array::from_fn(|_| Remembered::new()),
        }
    }
}

/// Runs a plan and notes what came of it: of the form of a plan's head.
///
/// # Safety
///
/// As for [`plan::general`].
pub(crate) unsafe extern "C" fn observed<A: 'static, R: Copy + 'static, P: Processor>(
    head: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    let began = P::now_ns();
    // SAFETY: passed on.
    let word = unsafe { plan::general::<A, R, P>(head, args, border) };
    let took = P::now_ns().saturating_sub(began);
    // SAFETY: by the contract it is a plan's head.
    if let Some(observation) = unsafe { plan::observation(head) } {
        // SAFETY: by the contract.
        let is_answered = !unsafe { &*border }.has_failed();
        observation.note(P::core_id(), began, took, is_answered);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_classes_by_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 1023, 1024, u64::MAX].map(class_of), [0, 0, 1, 1, 2, 9, 10, CLASSES - 1]);
    }

    #[test]
    fn each_core_remembers_its_last_raises() {
        let observation = Observation::new(2).unwrap();
        (0..100).for_each(|number| observation.note(1, number, number, number % 2 == 0));
        let seen: Vec<_> = observation.seen().map(|seen| (seen.raises, seen.unanswered)).collect();
        assert_eq!(seen, [(0, 0), (100, 50)]);
        let numbers: Vec<_> = observation.traces(1, 0).map(|trace| trace.number).collect();
        assert_eq!(numbers, (100 - REMEMBERED as u64..100).collect::<Vec<_>>());
        let last = observation.traces(1, 99).next();
        assert_eq!(last, Some(Trace { number: 99, began_ns: 99, took_ns: 99, is_answered: false }));
    }
}
