//! Hailing: how a core that halts, or runs without a tick, hears of a strand that was queued for it.
//!
//! Both sides write first, then look, with a fence in between, so that one of them at least sees the
//! other: the core says that it wants to be hailed and then looks at its queue; whoever brings a strand
//! queues it and then looks whether the core wants to be hailed.

use crate::primitive::{AtomicBool, AtomicU64, Ordering, fence};

/// After a strand was queued, before it is asked who wants to be hailed. Pairs with the fences below.
pub(crate) fn after_queueing() {
    fence(Ordering::SeqCst);
}

/// After a strand was changed, before it is asked on which queue it stands. Pairs with `after_queueing`.
pub(crate) fn after_changing() {
    fence(Ordering::SeqCst);
}

/// The cores that halt, or are about to: bit *n* is core *n*.
pub(crate) struct IdleCores(pub(crate) AtomicU64);

impl IdleCores {
    /// Core `core` will halt if it finds its queue empty after this.
    pub(crate) fn announce(&self, core: usize) {
        self.0.fetch_or(1 << core, Ordering::Relaxed);
        // Pairs with `after_queueing`.
        fence(Ordering::SeqCst);
    }

    /// Core `core` has work, or was woken.
    pub(crate) fn withdraw(&self, core: usize) {
        self.0.fetch_and(!(1 << core), Ordering::Relaxed);
    }

    /// Takes an idle core of the set `among`: the preferred one if it is idle. Whoever takes one must
    /// kick it, after queueing something for it; to all others it is as good as awake, so that strands
    /// that come together do not all choose the same.
    pub(crate) fn claim(&self, among: u64, preferred: usize) -> Option<usize> {
        loop {
            // Relaxed: a core that is missed here hears of its own strands all the same.
            let idle = self.0.load(Ordering::Relaxed) & among;
            let core = match idle {
                0 => return None,
                _ if idle >> preferred & 1 != 0 => preferred,
                _ => idle.trailing_zeros() as usize,
            };
            if self.0.fetch_and(!(1 << core), Ordering::Relaxed) >> core & 1 != 0 {
                return Some(core);
            }
        }
    }

    /// Those that halt, or are about to.
    pub(crate) fn all(&self) -> u64 {
        // Relaxed: as in `claim`.
        self.0.load(Ordering::Relaxed)
    }

    /// Does core `core` want to be kicked? Asked after [`after_queueing`].
    pub(crate) fn has(&self, core: usize) -> bool {
        self.0.load(Ordering::Relaxed) >> core & 1 != 0
    }
}

/// Will a timer interrupt end the slice that runs on a core? If not, it must hear of equals.
pub(crate) struct Ticking(pub(crate) AtomicBool);

impl Ticking {
    /// By the core: decides by `is_wanted`, a look at its queue.
    pub(crate) fn decide(&self, is_wanted: impl FnOnce() -> bool) -> bool {
        // Said first, and looked afterwards: see above.
        self.0.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let is_wanted = is_wanted();
        self.0.store(is_wanted, Ordering::Relaxed);
        is_wanted
    }

    /// By the core: a timer is set that goes off before the slice is over. What was queued before this is
    /// seen then, at the latest.
    pub(crate) fn promise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// By others, after [`after_queueing`].
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
