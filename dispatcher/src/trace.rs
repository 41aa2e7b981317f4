//! The record of one raise, which is overwritten and read without locks, and never read in part.

use crate::primitive::{AtomicU64, Ordering};

/// One raise that a core remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Counts the raises of that core, from 0.
    pub number: u64,
    /// When it began, in the processor's nanoseconds.
    pub began_ns: u64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// Did it bring a result?
    pub is_answered: bool,
}

/// Room for one raise, and later for another.
pub(crate) struct Remembered {
    /// 0 at first; 2 *n* + 1 while raise *n* is being written, and 2 *n* + 2 when it is whole.
    state: AtomicU64,
    began_ns: AtomicU64,
    took_ns: AtomicU64,
    is_answered: AtomicU64,
}

impl Remembered {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            began_ns: AtomicU64::new(0),
            took_ns: AtomicU64::new(0),
            is_answered: AtomicU64::new(0),
        }
    }

    /// Overwrites what is older. A strand may be preempted in here while others raise so often that their
    /// turn comes round to this room: what they would write is forgotten.
    pub(crate) fn write(&self, trace: Trace) {
        let being_written = 2 * trace.number + 1;
        // Relaxed: a guess.
        let state = self.state.load(Ordering::Relaxed);
        if state % 2 == 1 || state > being_written {
            return;
        }
        // Acquire: pairs with the Release of whoever wrote last; what is written here comes after that.
        if self.state.compare_exchange(state, being_written, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // Release, here and below: a reader (Acquire in `read`) who sees a part of what follows sees
        // the odd state too.
        self.began_ns.store(trace.began_ns, Ordering::Release);
        self.took_ns.store(trace.took_ns, Ordering::Release);
        self.is_answered.store(u64::from(trace.is_answered), Ordering::Release);
        self.state.store(being_written + 1, Ordering::Release);
    }

    /// Raise `number`, if it is here and whole.
    pub(crate) fn read(&self, number: u64) -> Option<Trace> {
        let is_whole = || self.state.load(Ordering::Acquire) == 2 * number + 2;
        let before = is_whole();
        let trace = Trace {
            number,
            began_ns: self.began_ns.load(Ordering::Acquire),
            took_ns: self.took_ns.load(Ordering::Acquire),
            is_answered: self.is_answered.load(Ordering::Acquire) != 0,
        };
        (before && is_whole()).then_some(trace)
    }
}
