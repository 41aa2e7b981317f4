//! Who sleeps until when: one ordered list for each core.

use alloc::{collections::BTreeMap, sync::Arc};

use crate::{machine::Machine, strand::Strand};

/// The sleepers of a core, by their deadline in nanoseconds since boot, and by the strand's number.
pub struct Timers<M: Machine> {
    sleepers: BTreeMap<(u64, u64), Arc<Strand<M>>>,
}

impl<M: Machine> Timers<M> {
    /// Nobody sleeps.
    #[must_use]
    pub const fn new() -> Self {
        Self { sleepers: BTreeMap::new() }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<u64> {
        self.sleepers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// `strand` is to be unblocked at `deadline`.
    pub fn insert(&mut self, deadline: u64, strand: Arc<Strand<M>>) {
        self.sleepers.insert((deadline, strand.id), strand);
    }

    /// Forgets a sleeper; no harm if it was unblocked already.
    pub fn remove(&mut self, deadline: u64, id: u64) {
        self.sleepers.remove(&(deadline, id));
        self.tidy();
    }

    /// Takes one that is due at `now`.
    pub fn take_due(&mut self, now: u64) -> Option<Arc<Strand<M>>> {
        let first = self.sleepers.first_entry()?;
        let due = (first.key().0 <= now).then(|| first.remove());
        self.tidy();
        due
    }

    /// An emptied map keeps a node; a new one has none. Whoever counts bytes wants them back.
    fn tidy(&mut self) {
        if self.sleepers.is_empty() {
            self.sleepers = BTreeMap::new();
        }
    }
}

impl<M: Machine> Default for Timers<M> {
    fn default() -> Self {
        Self::new()
    }
}
