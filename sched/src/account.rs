//! What is counted of strands and cores, for people to read. But for a carrier's clock, by which its reservation is
//! kept, no decision hangs on any of it.
//!
//! Each word has one writer at a time, who was ordered after the one before by a run queue's lock: a
//! relaxed load and a relaxed store do what a locked instruction would. Readers are other cores, who take
//! no lock and see each word as it was a moment ago.

use core::{
    panic::Location,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

/// Counts up; by one writer at a time.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline(always)]
    pub(crate) fn add_one(&self) {
        // Relaxed, and not one instruction: see the module.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// For how long a strand has had a core, the present slice included, in a single word, so that a reader
/// never sees half a switch: while it does not run, the ticks; while it runs, marked by the highest
/// bit, the time at which it would have begun to run if it had run ever since.
pub(crate) struct Clock(AtomicU64);

const IS_RUNNING: u64 = 1 << 63;

impl Clock {
    /// Of a strand that has not run.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// It gets a core; nothing new to a carrier that gets its own back.
    #[inline(always)]
    pub(crate) fn start(&self, now: u64) {
        let total = self.0.load(Ordering::Relaxed);
        if total & IS_RUNNING == 0 {
            self.0.store(now.wrapping_sub(total) | IS_RUNNING, Ordering::Relaxed);
        }
    }

    /// It leaves its core.
    #[inline(always)]
    pub(crate) fn stop(&self, now: u64) {
        self.0.store(self.at(now), Ordering::Relaxed);
    }

    /// Has it a core?
    pub(crate) fn is_running(&self) -> bool {
        self.0.load(Ordering::Relaxed) & IS_RUNNING != 0
    }

    /// Ticks up to now.
    #[inline(always)]
    pub(crate) fn at(&self, now: u64) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if word & IS_RUNNING == 0 {
            return word;
        }
        // In 63 bits. Cores' clocks may differ a little: what is below zero is zero.
        let total = now.wrapping_sub(word) & !IS_RUNNING;
        if total < IS_RUNNING >> 1 { total } else { 0 }
    }
}

/// Where in the source a strand has last begun to wait.
pub(crate) struct Whereabouts(AtomicPtr<Location<'static>>);

impl Whereabouts {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn note(&self, place: &'static Location<'static>) {
        // Relaxed: it points to what has been there since before the kernel ran.
        self.0.store(ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<&'static Location<'static>> {
        // SAFETY: null, or what `note` was given, which lives for ever and is never written.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Clock, Counter};

    #[test]
    fn a_clock_counts_while_it_runs() {
        let clock = Clock::new();
        assert_eq!(clock.at(50), 0);
        clock.start(100);
        assert_eq!((clock.at(100), clock.at(130)), (0, 30));
        clock.stop(150);
        assert_eq!((clock.at(150), clock.at(1_000)), (50, 50));
        clock.start(1_000);
        clock.start(1_005);
        assert_eq!(clock.at(1_007), 57);
        clock.stop(1_010);
        assert_eq!(clock.at(u64::MAX), 60);
    }

    #[test]
    fn a_core_whose_clock_lags_counts_nothing() {
        let clock = Clock::new();
        clock.start(100);
        assert_eq!(clock.at(90), 0);
        clock.stop(95);
        assert_eq!(clock.at(200), 0);
        // One that has run since the clock began.
        clock.start(0);
        assert_eq!(clock.at(10), 10);
    }

    #[test]
    fn a_counter_counts() {
        let counter = Counter::new();
        counter.add_one();
        counter.add_one();
        assert_eq!(counter.get(), 2);
    }
}
