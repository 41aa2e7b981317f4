//! Where a strand stands: on which core, and on which list of that core's run queue if on any.
//!
//! While it is on a queue, or enters or leaves one, that is written under the lock of that queue only: so
//! whoever has the lock of a core's queue and finds the strand there finds it there for as long.

use crate::primitive::{AtomicU16, Ordering};

/// One word: the core's number, and in the upper half one more than the number of the list.
pub(crate) struct Spot(AtomicU16);

impl Spot {
    /// Of a strand that is on no queue, and shall begin on core `core`.
    pub(crate) fn new(core: usize) -> Self {
        Self(AtomicU16::new(core as u16))
    }

    /// The core on whose queue it is, or on which it runs, or ran last.
    #[inline]
    pub(crate) fn core(&self) -> usize {
        // Relaxed, here and below: the queue's lock orders it, and the fences of `hail` where there is none.
        usize::from(self.0.load(Ordering::Relaxed) & 0xff)
    }

    /// The list of core `core`'s queue on which it stands.
    #[inline]
    pub(crate) fn level_on(&self, core: usize) -> Option<u8> {
        let word = self.0.load(Ordering::Relaxed);
        ((word >> 8) as u8).checked_sub(1).filter(|_| usize::from(word & 0xff) == core)
    }

    /// It is put on list `level` of core `core`, whose queue's lock the caller has.
    #[inline]
    pub(crate) fn enter(&self, core: usize, level: u8) {
        self.0.store(core as u16 | (u16::from(level) + 1) << 8, Ordering::Relaxed);
    }

    /// It is taken from a list of core `core`, whose queue's lock the caller has.
    #[inline]
    pub(crate) fn leave(&self, core: usize) {
        self.0.store(core as u16, Ordering::Relaxed);
    }
}
