//! Whose code a handler is: the little that the dispatcher must know of a domain.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The dispatcher's view of one domain: may its code still be entered, and who sleeps in it.
///
/// The kernel's own code has none (it is trusted, never cut and never unloaded).
#[derive(Debug)]
pub struct DomainState {
    id: u32,
    closed: AtomicBool,
    sleepers: AtomicUsize,
}

impl DomainState {
    /// The state of a live domain; `id` is the owner's name for it.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self { id, closed: AtomicBool::new(false), sleepers: AtomicUsize::new(0) }
    }

    /// The number that the owner gave it.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Lets nobody enter from now on: every landing asks before it calls. Says whether this call
    /// was the one that closed it. Whoever is inside stays until a grace period has passed and
    /// [`sleepers`](Self::sleepers) is zero.
    pub fn close(&self) -> bool {
        // Release: what was written about the reason is seen by whoever finds it closed.
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// May its code be entered? Cost: one load of a line that is written once in its life.
    #[inline]
    pub fn is_open(&self) -> bool {
        // Relaxed: entering a moment too late is the same as having entered a moment earlier; that
        // the code is still there is the epoch's business, not this flag's.
        !self.closed.load(Ordering::Relaxed)
    }

    /// How many passages into its code are asleep, kept by count and not by an epoch.
    /// Meaningful to a drainer once nobody can enter and a grace period has passed.
    pub fn sleepers(&self) -> usize {
        // Acquire: pairs with the Release in `woke`, so that a drainer who reads zero also sees all
        // that the sleepers did to the domain's memory.
        self.sleepers.load(Ordering::Acquire)
    }

    pub(crate) fn fell_asleep(&self) {
        // Relaxed: the count is read after a grace period, which cannot pass before this core repins,
        // which it does after this.
        self.sleepers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn woke(&self) {
        // Release: see `sleepers`.
        self.sleepers.fetch_sub(1, Ordering::Release);
    }
}
