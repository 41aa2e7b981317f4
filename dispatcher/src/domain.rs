//! Whose code a handler is: the little that the dispatcher must know of a domain.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::landing;

/// The dispatcher's view of one domain: may its code still be entered, and who sleeps in it.
///
/// The kernel's own code has none (it is trusted, never cut and never unloaded).
#[derive(Debug)]
#[repr(C)]
pub struct DomainState {
    closed: AtomicBool,
    id: u32,
    sleepers: AtomicUsize,
    handlers: AtomicUsize,
    most_handlers: usize,
}

/// How many handlers a domain may have at a time, on all events together, if nobody says otherwise.
pub const MOST_HANDLERS_OF_A_DOMAIN: usize = 16_384;

impl DomainState {
    /// The state of a live domain; `id` is the owner's name for it.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self {
            closed: AtomicBool::new(false),
            id,
            sleepers: AtomicUsize::new(0),
            handlers: AtomicUsize::new(0),
            most_handlers: MOST_HANDLERS_OF_A_DOMAIN,
        }
    }

    /// Where the flag is that a landing asks: a byte that is not zero once the domain is closed.
    #[cfg_attr(any(not(target_arch = "x86_64"), miri, loom), allow(dead_code, reason = "for real landings"))]
    pub(crate) const CLOSED: usize = core::mem::offset_of!(Self, closed);

    /// With room for so many handlers at a time.
    #[must_use]
    pub const fn with_most_handlers(mut self, most_handlers: usize) -> Self {
        self.most_handlers = most_handlers;
        self
    }

    /// How many handlers it has installed, on all events together.
    pub fn handlers(&self) -> usize {
        self.handlers.load(Ordering::Relaxed)
    }

    /// Counts one more handler, if it may have one more.
    pub(crate) fn takes_handler(&self) -> bool {
        // Relaxed: a count that nothing else hangs on.
        self.handlers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.most_handlers).then_some(count + 1)
            })
            .is_ok()
    }

    /// Counts one that comes in another's place, for which [`lost_handler`](Self::lost_handler) follows.
    pub(crate) fn exchanges_handler(&self) {
        self.handlers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    pub(crate) fn lost_handler(&self) {
        self.handlers.fetch_sub(1, Ordering::Relaxed);
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
        // No order is wanted: entering a moment too late is the same as having entered a moment earlier; that
        // the code is still there is the epoch's business, not this flag's.
        !landing::is_set(&self.closed)
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
