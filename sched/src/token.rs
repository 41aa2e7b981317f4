//! The token of wake-ups: a strand that is called before it waits does not wait.
//!
//! Of one strand, `take` is called by itself, `park` by whoever comes after it on its core, `call` by
//! anybody.

use crate::primitive::{AtomicU8, Ordering};

/// It runs, or can run; nobody has called.
const NONE: u8 = 0;
/// Somebody has called: the next block returns at once.
const CALLED: u8 = 1;
/// It is blocked, its registers are saved, and whoever calls makes it runnable.
const PARKED: u8 = 2;

/// A strand's token.
pub(crate) struct Token(AtomicU8);

impl Token {
    /// Of a strand that nobody has called.
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(NONE))
    }

    /// Would the next block return at once? For people to read.
    pub(crate) fn was_called(&self) -> bool {
        self.0.load(Ordering::Relaxed) == CALLED
    }

    /// Before blocking: was the strand called since the last time? Then it should not block.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        // Acquire: what the caller did before it called is seen.
        self.0.compare_exchange(CALLED, NONE, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// After its registers were saved: opens the strand to callers. False says that it was called
    /// between its decision to block and now, and must be made runnable by the one who asks.
    #[must_use]
    #[inline]
    pub(crate) fn park(&self) -> bool {
        // Release: whoever finds it parked (Acquire in `call`) finds its registers saved.
        if self.0.compare_exchange(NONE, PARKED, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return true;
        }
        // A swap, not a store: another call may have come since, and the strand goes on in its name
        // too. Acquire: so it sees what that caller did, by way of the queue's lock.
        self.0.swap(NONE, Ordering::Acquire);
        false
    }

    /// Calls the strand. True says that it was parked, and must be made runnable by the one who called:
    /// of many callers, it is one who is told so.
    #[must_use]
    #[inline]
    pub(crate) fn call(&self) -> bool {
        // Most are called when they are parked. Acquire and Release as below.
        let mut seen = match self.0.compare_exchange(PARKED, NONE, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(seen) => seen,
        };
        loop {
            let next = if seen == PARKED { NONE } else { CALLED };
            // Release: the strand sees what was done before the call (Acquire in `take` and `park`, or
            // by way of the queue's lock). Acquire: a parked strand's registers are saved.
            match self.0.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(was) => return was == PARKED,
                Err(now) => seen = now,
            }
        }
    }
}
