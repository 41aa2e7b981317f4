//! The run queue of a core: a list for each priority, and a word that says which are not empty.

use alloc::sync::Arc;

use crate::{
    fifo::Fifo,
    hail,
    machine::Machine,
    strand::{Priority, State, Strand},
};

/// How many strands a thief looks at before it gives up, so that the owner need not wait for long.
const LONGEST_LOOK: usize = 64;

/// Runnable strands. Taking the next is two instructions to find the list and one to unlink.
pub struct RunQueue<M: Machine> {
    /// Whose it is.
    core: usize,
    /// Bit *p* is set while list *p* has somebody in it.
    occupied: u32,
    lists: [Fifo<M>; Priority::COUNT],
    length: usize,
}

impl<M: Machine> RunQueue<M> {
    /// The empty queue of core `core`.
    #[must_use]
    pub const fn new(core: usize) -> Self {
        Self { core, occupied: 0, lists: [const { Fifo::new() }; Priority::COUNT], length: 0 }
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
        self.push_at(strand.priority(), strand);
    }

    /// As [`push`](Self::push), for a strand whose spot named this core before the queue was locked. Gives it back if it
    /// may not run here any more. Whoever changes that afterwards needs the same lock, and finds it here.
    #[inline(always)]
    pub(crate) fn take_back(&mut self, strand: Arc<Strand<M>>) -> Result<(), Arc<Strand<M>>> {
        if !strand.affinity().has(self.core) {
            return Err(strand);
        }
        self.push(strand);
        Ok(())
    }

    #[inline(always)]
    fn push_at(&mut self, priority: Priority, strand: Arc<Strand<M>>) {
        let level = priority.number();
        strand.spot.enter(self.core, level);
        self.lists[usize::from(level)].push(strand);
        self.occupied |= 1 << level;
        self.length += 1;
    }

    /// As [`push`](Self::push), for a strand that did not stand at this core before, and may be changed
    /// meanwhile. Gives it back if it may not run here any more.
    #[inline(always)]
    pub(crate) fn admit(&mut self, strand: Arc<Strand<M>>) -> Result<(), Arc<Strand<M>>> {
        let mut strand = strand;
        loop {
            let level = strand.priority();
            self.push_at(level, strand);
            // Whoever changes it after this finds it here: see `change`.
            hail::after_queueing();
            let list = &mut self.lists[usize::from(level.number())];
            let last = list.last().expect("somebody was just put there");
            let (is_allowed, is_placed) = (last.affinity().has(self.core), last.priority() == level);
            if is_allowed && is_placed {
                return Ok(());
            }
            let last = list.take_last();
            strand = self.took(level.number().into(), last).expect("somebody was just put there");
            if !is_allowed {
                return Err(strand);
            }
        }
    }

    /// Takes the one that has waited longest among the most urgent, for the core to run.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Arc<Strand<M>>> {
        let level = usize::from(self.highest()?.number());
        let strand = self.lists[level].pop();
        let strand = self.took(level, strand)?;
        // Under the lock, for whoever looks whether it runs after it was not found in the queue.
        strand.set_state(State::Running);
        Some(strand)
    }

    /// Takes the most urgent one that may run on core `core`, for that core to steal, among the first
    /// few.
    pub fn steal(&mut self, core: usize) -> Option<Arc<Strand<M>>> {
        let found = self.look(|strand| strand.affinity().has(core))?.clone();
        let stolen = self.remove(&found);
        // It stands at the thief's core before it can be missed here: see `change`.
        found.spot.leave(core);
        stolen
    }

    /// The most urgent of the first few for whom `is_wanted` holds.
    pub(crate) fn look(&self, is_wanted: impl Fn(&Strand<M>) -> bool) -> Option<&Arc<Strand<M>>> {
        let mut levels = self.occupied;
        let lists = core::iter::from_fn(|| {
            let level = 31_u32.checked_sub(levels.leading_zeros())?;
            levels &= !(1 << level);
            Some(&self.lists[level as usize])
        });
        lists.flat_map(Fifo::iter).take(LONGEST_LOOK).find(|strand| is_wanted(strand))
    }

    /// Is that strand in this queue, and on which list? It stays there for as long as the queue is locked.
    pub(crate) fn level_of(&self, strand: &Strand<M>) -> Option<u8> {
        strand.spot.level_on(self.core)
    }

    /// Takes out that strand, if it is in this queue.
    pub(crate) fn remove(&mut self, strand: &Strand<M>) -> Option<Arc<Strand<M>>> {
        let level = usize::from(self.level_of(strand)?);
        let strand = self.lists[level].remove(strand);
        self.took(level, strand)
    }

    fn took(&mut self, level: usize, strand: Option<Arc<Strand<M>>>) -> Option<Arc<Strand<M>>> {
        if self.lists[level].is_empty() {
            self.occupied &= !(1 << level);
        }
        let strand = strand?;
        strand.spot.leave(self.core);
        self.length -= 1;
        Some(strand)
    }
}
