//! The directory: the strands that spindles can name, each by a word, its *handle*.
//!
//! A handle is the number of a slot and the slot's generation, so one that is old, or invented, finds nobody.
//! Only strands that were made to be [named](crate::Builder::named), or that asked to be
//! ([`Directory::enter`]), are listed; they are struck off when they are reaped.
//!
//! Looking one up takes no lock but a bit of its slot, and touches no other line that is written. Making strands
//! on many cores at once takes slots from a list for each core. What is put back returns to the list from
//! which it came, whoever puts it back.
//!
//! Memory: slots come in chunks, a first one for each core and more when they are needed, which are never given
//! back: 24 bytes for each of the most strands that were ever listed at a time, rounded up to
//! [`SLOTS_IN_CHUNK`] for each core.

use alloc::{sync::Arc, vec::Vec};
use core::{
    ptr, slice,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
};

use dispatcher::epoch::MOST_CORES;

use crate::{
    machine::Machine,
    slots::{FreeList, GENERATION_BITS, Slot},
    strand::Strand,
};

/// Bits of a handle that are the slot's number.
const INDEX_BITS: u32 = u64::BITS - GENERATION_BITS;
/// The most strands that can be listed at a time.
pub const MOST_LISTED: usize = 1 << 17;
/// How many slots are made at a time.
pub const SLOTS_IN_CHUNK: usize = 128;
const MOST_CHUNKS: usize = MOST_LISTED / SLOTS_IN_CHUNK;
const _: () = assert!(MOST_LISTED < 1 << INDEX_BITS);

/// The strands that can be named. There is one, in the scheduler.
pub struct Directory<M: Machine> {
    /// Each leads to [`SLOTS_IN_CHUNK`] slots, and is set once.
    chunks: [AtomicPtr<Slot<Strand<M>>>; MOST_CHUNKS],
    /// How many numbers of chunks have been given away. Changes when a core needs more slots than ever.
    count: AtomicUsize,
    /// For each core, which of its slots nobody is in.
    free: [Line; MOST_CORES],
}

/// A core's list, on a cache line of its own.
#[repr(align(64))]
struct Line(FreeList);

const fn split(handle: u64) -> (u32, u64) {
    ((handle & ((1 << INDEX_BITS) - 1)) as u32, handle >> INDEX_BITS)
}

impl<M: Machine> Directory<M> {
    /// Nobody is listed, and it takes no memory.
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; MOST_CHUNKS],
            count: AtomicUsize::new(0),
            free: [const { Line(FreeList(AtomicU64::new(0))) }; MOST_CORES],
        }
    }

    fn chunk(&self, number: usize) -> Option<&[Slot<Strand<M>>]> {
        // Acquire: pairs with the Release of `grow`.
        let chunk = self.chunks.get(number)?.load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: `grow` leaked so many slots there, which are shared from then on and never freed.
        Some(unsafe { slice::from_raw_parts(chunk, SLOTS_IN_CHUNK) })
    }

    fn slot(&self, index: u32) -> Option<&Slot<Strand<M>>> {
        let index = index as usize;
        self.chunk(index / SLOTS_IN_CHUNK)?.get(index % SLOTS_IN_CHUNK)
    }

    /// A slot for core `home`: one of its own, a new one, or, where there can be no more, another core's.
    fn take(&self, home: usize) -> Option<u32> {
        let pop = |core: usize| {
            self.free[core].0.pop(|index| self.slot(index).expect("slots on lists have been made"))
        };
        pop(home).or_else(|| self.grow(home)).or_else(|| (home + 1..MOST_CORES).chain(0..home).find_map(pop))
    }

    /// Makes a chunk for core `home`, and returns its first slot. `None` if there is no memory, or if there
    /// are as many as there can be.
    #[cold]
    fn grow(&self, home: usize) -> Option<u32> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(SLOTS_IN_CHUNK).ok()?;
        slots.extend((0..SLOTS_IN_CHUNK).map(|_| Slot::new(home as u32)));
        let is_room = |count| (count < MOST_CHUNKS).then_some(count + 1);
        // Relaxed: it gives numbers away; the chunk is published below.
        let number = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_room).ok()?;
        let slots = slots.leak();
        let first = (number * SLOTS_IN_CHUNK) as u32;
        for (index, slot) in (first..).zip(&*slots) {
            FreeList::link(slot, index + 1);
        }
        // Release: pairs with the Acquire of `chunk`.
        self.chunks[number].store(slots.as_mut_ptr(), Ordering::Release);
        let last = self.slot(first + SLOTS_IN_CHUNK as u32 - 1).expect("it was just made");
        self.free[home].0.push(first + 1, last);
        Some(first)
    }

    /// Makes the first slots of core `home`, so that what is in use later does not depend on who makes strands
    /// where. Without memory, they are made when they are needed.
    pub(crate) fn prepare(&self, home: usize) {
        if let Some(index) = self.grow(home) {
            let slot = self.slot(index).expect("it was just made");
            self.free[home].0.push(index, slot);
        }
    }

    /// Lists a strand, and returns the handle that leads to it from now on; the one that it has, if it is
    /// listed. Its owner strikes it off, or the reaper does. `None` if there is no memory for a slot, or if
    /// [`MOST_LISTED`] are listed.
    ///
    /// Either before the strand first runs, or by the strand itself. On a strand: it may take memory.
    pub fn enter(&self, strand: &Arc<Strand<M>>) -> Option<u64> {
        if let Some(handle) = strand.handle() {
            return Some(handle);
        }
        // The core only decides on a list, all of which are for everybody.
        let index = self.take(M::masked(M::core_id) % MOST_CORES)?;
        let slot = self.slot(index).expect("it was just taken");
        let handle = slot.coming() << INDEX_BITS | u64::from(index);
        // Relaxed: whoever has the strand by its handle is after the Release of `fill`; others see it later.
        strand.handle.store(handle, Ordering::Relaxed);
        slot.fill(strand.clone());
        Some(handle)
    }

    /// Strikes a strand off: its handle leads nowhere from now on. Returns the directory's reference, unless
    /// somebody else struck it off. From anywhere.
    pub fn strike(&self, handle: u64) -> Option<Arc<Strand<M>>> {
        let (index, generation) = split(handle);
        let slot = self.slot(index)?;
        let strand = M::masked(|| slot.empty(generation))?;
        // Release: pairs with the Acquire of `Strand::handle`.
        strand.handle.store(0, Ordering::Release);
        // A list of one.
        self.free[slot.home()].0.push(index, slot);
        Some(strand)
    }

    /// The strand that a handle leads to. From anywhere; whatever word may be passed.
    pub fn get(&self, handle: u64) -> Option<Arc<Strand<M>>> {
        let (index, generation) = split(handle);
        let slot = self.slot(index)?;
        M::masked(|| slot.get(generation))
    }

    /// Calls `look` with every strand that is listed: with those that come or go meanwhile or not.
    pub fn for_each(&self, mut look: impl FnMut(&Arc<Strand<M>>)) {
        for number in 0..self.count.load(Ordering::Relaxed) {
            for slot in self.chunk(number).into_iter().flatten() {
                if let Some(strand) = M::masked(|| slot.peek()) {
                    look(&strand);
                }
            }
        }
    }

    /// The bytes that it has taken, and will never give back.
    pub fn bytes(&self) -> usize {
        (0..MOST_CHUNKS).filter(|number| self.chunk(*number).is_some()).count()
            * SLOTS_IN_CHUNK
            * size_of::<Slot<Strand<M>>>()
    }
}
