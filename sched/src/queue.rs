//! The run queue of a core: a list for each priority, and a word that says which are not empty.

use alloc::sync::Arc;

use crate::{
    fifo::Fifo,
    machine::Machine,
    strand::{Priority, Strand},
};

/// Runnable strands. Taking the next is two instructions to find the list and one to unlink.
pub struct RunQueue<M: Machine> {
    /// Bit *p* is set while list *p* has somebody in it.
    occupied: u32,
    lists: [Fifo<M>; Priority::COUNT],
    length: usize,
}

impl<M: Machine> RunQueue<M> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { occupied: 0, lists: [const { Fifo::new() }; Priority::COUNT], length: 0 }
    }

    /// How many strands are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Is nobody in it?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// The highest priority that is waiting.
    #[must_use]
    pub fn highest(&self) -> Option<Priority> {
        (self.occupied != 0).then(|| Priority::new(31 - self.occupied.leading_zeros() as u8))
    }

    /// Puts a strand behind its equals.
    pub fn push(&mut self, strand: Arc<Strand<M>>) {
        let level = usize::from(strand.priority.number());
        self.lists[level].push(strand);
        self.occupied |= 1 << level;
        self.length += 1;
    }

    /// Takes the one that has waited longest among the most urgent.
    pub fn pop(&mut self) -> Option<Arc<Strand<M>>> {
        let level = usize::from(self.highest()?.number());
        let strand = self.lists[level].pop();
        self.took(level, strand)
    }

    /// Takes the most urgent one that may run on core `core`, for that core to steal.
    pub fn steal(&mut self, core: usize) -> Option<Arc<Strand<M>>> {
        let mut levels = self.occupied;
        while levels != 0 {
            let level = 31 - levels.leading_zeros() as usize;
            if let Some(strand) = self.lists[level].take(|strand| strand.affinity.has(core)) {
                return self.took(level, Some(strand));
            }
            levels &= !(1 << level);
        }
        None
    }

    fn took(&mut self, level: usize, strand: Option<Arc<Strand<M>>>) -> Option<Arc<Strand<M>>> {
        if self.lists[level].is_empty() {
            self.occupied &= !(1 << level);
        }
        self.length -= usize::from(strand.is_some());
        strand
    }
}

impl<M: Machine> Default for RunQueue<M> {
    fn default() -> Self {
        Self::new()
    }
}
