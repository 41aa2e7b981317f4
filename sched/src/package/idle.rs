//! Which of a package's virtual processors sleep for want of work, or are about to.
//!
//! A carrier announces itself, then looks for work, then sleeps; whoever brings work puts it where the carrier looks,
//! then withdraws somebody's announcement. Both are read-modify-writes of one word, of which one is first: if that is
//! the announcement, the bringer sees it; if not, the carrier sees what was brought before.
//!
//! A carrier on which somebody counts may find other work, and then keep its core for as long as that likes. So each
//! strand of which a package is told has somebody who asks the package after that, or everybody is at work: who tells,
//! and then does not ask, wakes another; so does who finds, after asking, that his announcement was withdrawn.

use crate::primitive::{AtomicU64, Ordering};

/// Bit *n* is core *n*'s.
pub(crate) struct IdleSeats(AtomicU64);

impl IdleSeats {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Who is, for those who have brought something under a lock under which the carrier looks.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// This one will sleep if it finds no work after this.
    pub(crate) fn announce(&self, core: usize) {
        self.0.fetch_or(1 << core, Ordering::AcqRel);
    }

    /// This one will not, if it would; says who would have, all of them.
    pub(crate) fn withdraw(&self, core: usize) -> u64 {
        self.0.fetch_and(!(1 << core), Ordering::AcqRel)
    }
}
