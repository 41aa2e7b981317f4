//! A lock for output that cannot deadlock.

use core::hint;

use base::owner::{Entry, Owner};
use x86_64::instructions::interrupts;

use crate::hook::core_id;

/// A lock that knows which core holds it.
///
/// - It is held with interrupts masked and never across a wait for another
///   core, so every holder lets go.
/// - Waiting leaves interrupts as the caller had them: a core that waits here
///   still answers shootdowns and other IPIs if it did before.
/// - A core that already holds it (an NMI or a fault struck meanwhile) passes.
/// - A panicking core takes it for good ([`OwnerLock::seize`]).
///
/// So it orders output, and protects no data: what it guards must bear being
/// entered twice by one core.
pub struct OwnerLock(Owner);

impl OwnerLock {
    pub const fn new() -> Self {
        Self(Owner::new())
    }

    /// Runs `body`, which neither waits nor switches strands, under the lock.
    pub fn with(&self, body: impl Fn()) {
        while !interrupts::without_interrupts(|| self.try_with(&body)) {
            hint::spin_loop();
        }
    }

    fn try_with(&self, body: &impl Fn()) -> bool {
        let me = core_id();
        match self.0.enter(me) {
            Entry::Taken => {
                body();
                self.0.leave(me);
            }
            Entry::Again => body(),
            Entry::Busy => return false,
        }
        true
    }

    /// Takes the lock, whoever holds it, and never gives it back. A core that
    /// was stopped while it held it cannot be waited for.
    pub fn seize(&self) {
        self.0.seize(core_id());
    }
}
