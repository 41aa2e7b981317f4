//! The word of an inner lock.

use crate::primitive::{AtomicBool, Ordering, constructor};

/// Held or free.
pub(crate) struct Raw(AtomicBool);

impl Raw {
    constructor! {
        pub(crate) fn new() -> Self {
            Self(AtomicBool::new(false))
        }
    }

    #[inline(always)]
    fn take(&self) -> bool {
        // Acquire: synchronizes with the Release of the last holder, whose writes are seen.
        !self.0.swap(true, Ordering::Acquire)
    }

    /// Waits for it; `relax` is told how often it was in vain.
    #[inline(always)]
    pub(crate) fn acquire(&self, relax: fn(u32)) -> RawHeld<'_> {
        if !self.take() {
            self.spin(relax);
        }
        RawHeld(self)
    }

    #[cold]
    fn spin(&self, relax: fn(u32)) {
        let mut tries = 0;
        loop {
            relax(tries);
            tries = tries.saturating_add(1);
            // Relaxed: only a hint when to try again.
            if !self.0.load(Ordering::Relaxed) && self.take() {
                return;
            }
        }
    }

    /// Takes it if it is free.
    pub(crate) fn try_acquire(&self) -> Option<RawHeld<'_>> {
        // Made only if it was taken: its end gives the lock back.
        self.take().then(|| RawHeld(self))
    }
}

/// It is held; let go of this to give it back.
pub(crate) struct RawHeld<'a>(&'a Raw);

impl Drop for RawHeld<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: synchronizes with the Acquire of the next holder. The last access to the lock: the next
        // holder may be the one who frees it.
        self.0.0.store(false, Ordering::Release);
    }
}
