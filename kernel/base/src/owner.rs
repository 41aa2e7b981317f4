//! Who has the floor: the state of a lock that knows its holder.

use core::sync::atomic::{AtomicU32, Ordering};

const NOBODY: u32 = 0;

/// One of several speakers (cores, say), or none, has the floor.
///
/// Unlike a lock it lets its holder in again, and can be taken from it. It
/// orders what is said; it protects no data.
#[derive(Debug)]
pub struct Owner {
    /// [`NOBODY`] or the holder's number plus one.
    holder: AtomicU32,
}

/// What came of asking for the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The asker has it now, and calls [`Owner::leave`] afterwards.
    Taken,
    /// The asker had it already; whoever took it leaves.
    Again,
    /// Another one has it.
    Busy,
}

impl Owner {
    /// Nobody has the floor.
    #[must_use]
    pub const fn new() -> Self {
        Self { holder: AtomicU32::new(NOBODY) }
    }

    /// Asks for the floor, on behalf of number `me`, which is below `u32::MAX`.
    pub fn enter(&self, me: u32) -> Entry {
        // Acquire: synchronizes with the release in `leave`, so that what is
        // said comes in order. Relaxed otherwise: nothing is entered.
        match self.holder.compare_exchange(NOBODY, me + 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Entry::Taken,
            Err(holder) if holder == me + 1 => Entry::Again,
            Err(_) => Entry::Busy,
        }
    }

    /// Gives the floor back; no effect where it was seized meanwhile.
    pub fn leave(&self, me: u32) {
        // Release: synchronizes with the exchange in `enter`. Relaxed
        // otherwise: the floor is another's.
        let _ = self.holder.compare_exchange(me + 1, NOBODY, Ordering::Release, Ordering::Relaxed);
    }

    /// Takes the floor whoever has it. If `me` then never leaves, no other ever enters.
    pub fn seize(&self, me: u32) {
        // Acquire: pairs with the last holder's release, if it came to that.
        self.holder.swap(me + 1, Ordering::Acquire);
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_holder_passes_and_others_wait() {
        let owner = Owner::new();
        assert_eq!(owner.enter(0), Entry::Taken);
        assert_eq!(owner.enter(0), Entry::Again);
        assert_eq!(owner.enter(1), Entry::Busy);
        owner.leave(1);
        assert_eq!(owner.enter(1), Entry::Busy, "only the holder can leave");
        owner.leave(0);
        assert_eq!(owner.enter(1), Entry::Taken);
    }

    #[test]
    fn what_is_seized_stays_seized() {
        let owner = Owner::new();
        assert_eq!(owner.enter(3), Entry::Taken);
        owner.seize(7);
        owner.leave(3);
        assert_eq!(owner.enter(3), Entry::Busy);
        assert_eq!(owner.enter(7), Entry::Again);
    }

    #[test]
    fn one_at_a_time_among_threads() {
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        let (owner, shared) = (Owner::new(), AtomicU32::new(0));
        thread::scope(|scope| {
            for me in 0..4 {
                let (owner, shared) = (&owner, &shared);
                scope.spawn(move || {
                    for _ in 0..rounds {
                        while owner.enter(me) != Entry::Taken {
                            thread::yield_now();
                        }
                        // Torn into two steps: it adds up only under the floor.
                        let value = shared.load(Ordering::Relaxed);
                        shared.store(value + 1, Ordering::Relaxed);
                        owner.leave(me);
                    }
                });
            }
        });
        assert_eq!(shared.into_inner(), 4 * rounds);
    }
}
