//! What all cores share: who is idle, and which strands there are.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use dispatcher::{Dispatcher, epoch::MOST_CORES};

use crate::{
    core::Core,
    directory::Directory,
    fifo::Fifo,
    hail::IdleCores,
    machine::Machine,
    package::{Packages, hold::Held, seat},
    strand::{CoreSet, Priority, State, Strand},
};

/// So many strands are copied while a roll is locked.
const PIECE: usize = 16;
/// How many numbers for strands a core takes at a time.
const IDS_IN_BLOCK: u64 = 64;

/// The global scheduler. One in a kernel, a `static`.
pub struct Scheduler<M: Machine> {
    cores: [AtomicPtr<Core<M>>; MOST_CORES],
    /// Bit *n*: there is core *n*.
    present: AtomicU64,
    /// Cores that halt, or are about to.
    pub(crate) idle: IdleCores,
    next_id: AtomicU64,
    directory: Directory<M>,
    packages: Packages<M>,
    /// Ended strands whose stacks are still to be freed.
    pub(crate) ended: spin::Mutex<Fifo<M>>,
}

impl<M: Machine> Scheduler<M> {
    /// A scheduler without cores.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cores: [const { AtomicPtr::new(ptr::null_mut()) }; MOST_CORES],
            present: AtomicU64::new(0),
            idle: IdleCores(AtomicU64::new(0)),
            next_id: AtomicU64::new(1),
            directory: Directory::new(),
            packages: Packages::new(),
            ended: spin::Mutex::new(Fifo::new()),
        }
    }

    /// Gives core `id` its part, which lasts as long as the kernel. Once for each core, before it
    /// runs strands; by the core itself or on its behalf.
    pub fn add_core(&self, id: usize, dispatcher: Dispatcher, idle: Arc<Strand<M>>) {
        let core = Box::into_raw(Box::new(Core::new(id, dispatcher, idle)));
        // Release: pairs with the Acquire of `core`.
        self.cores[id].store(core, Ordering::Release);
        // Relaxed: whoever is told of a core asks for it by `core`.
        self.present.fetch_or(1 << id, Ordering::Relaxed);
    }

    /// The part of core `id`, if there is such a core.
    pub fn core(&self, id: usize) -> Option<&'static Core<M>> {
        let core = self.cores.get(id)?.load(Ordering::Acquire);
        // SAFETY: it was leaked by `add_core` and is never freed.
        unsafe { core.as_ref() }
    }

    /// All cores.
    pub fn cores(&self) -> impl Iterator<Item = &'static Core<M>> {
        self.present().iter().filter_map(|id| self.core(id))
    }

    /// The thread packages.
    pub fn packages(&self) -> &Packages<M> {
        &self.packages
    }

    /// How many cores run strands.
    pub fn core_count(&self) -> usize {
        self.present.load(Ordering::Relaxed).count_ones() as usize
    }

    /// The cores that run strands.
    pub fn present(&self) -> CoreSet {
        CoreSet(self.present.load(Ordering::Relaxed))
    }

    /// The strands that spindles can name.
    pub fn directory(&self) -> &Directory<M> {
        &self.directory
    }

    /// A number for a new strand: of a block of this core's, so that cores that make strands seldom meet.
    /// Interrupts masked.
    pub(crate) fn next_id(&self) -> u64 {
        let take = |count| self.next_id.fetch_add(count, Ordering::Relaxed);
        // A core's idle strand is made before the core has its part.
        let Some(core) = self.core(M::core_id()) else { return take(1) };
        // SAFETY: on this core, masked; used no more when this returns.
        let ids = unsafe { &mut core.local().ids };
        if ids.is_empty() {
            let first = take(IDS_IN_BLOCK);
            *ids = first..first + IDS_IN_BLOCK;
        }
        ids.start += 1;
        ids.start - 1
    }

    /// The core on whose roll a strand stands.
    pub(crate) fn home_of(&self, strand: &Strand<M>) -> &'static Core<M> {
        self.core(strand.home.into()).expect("strands are made on cores that run some")
    }

    /// Every strand that was there at the beginning and has not ended, or must still be reaped, in the order of
    /// their numbers: of those that were made on one core, the order in which they were. Copied in pieces, so
    /// that those who make strands and end them never wait for long.
    pub fn strands(&self) -> Vec<Arc<Strand<M>>> {
        let end = self.next_id.load(Ordering::Relaxed);
        let mut all = Vec::new();
        for core in self.cores() {
            let mut copy = Vec::with_capacity(M::masked(|| core.roll.lock().len()) + PIECE);
            let mut known = 0;
            while !M::masked(|| core.roll.lock().copy_on(&mut copy, &mut known, PIECE, end)) {
                copy.reserve(PIECE);
            }
            all.append(&mut copy);
        }
        all.sort_unstable_by_key(|strand| strand.id());
        all
    }

    /// Makes a strand runnable: on the core that it ran on last if that is idle, on another idle one
    /// if not, else on a [busy one](Self::choose). The strand is in no list and its registers are saved.
    pub(crate) fn enqueue(&self, strand: Arc<Strand<M>>) {
        M::masked(|| self.enqueue_masked(strand));
    }

    /// [`enqueue`](Self::enqueue) with interrupts masked, so that a core that is claimed is kicked at once.
    #[inline(always)]
    fn enqueue_masked(&self, strand: Arc<Strand<M>>) {
        let (last, affinity) = (strand.core(), strand.affinity());
        let is_usual = self.idle.all() & affinity.0 == 0 && affinity.has(last);
        let exile = if is_usual && strand.priority() <= Priority::NORMAL {
            self.put_back(last, strand)
        } else {
            Err(strand)
        };
        if let Err(strand) = exile {
            self.enqueue_anywhere(strand);
        }
    }

    #[inline(never)]
    fn enqueue_anywhere(&self, strand: Arc<Strand<M>>) {
        let mut strand = strand;
        // Again only if where it may run was changed meanwhile.
        while let Err(exile) = self.try_enqueue(strand) {
            strand = exile;
        }
    }

    fn try_enqueue(&self, strand: Arc<Strand<M>>) -> Result<(), Arc<Strand<M>>> {
        let (last, affinity) = (strand.core(), strand.affinity());
        match self.idle.claim(affinity.0, last) {
            Some(target) => self.put(target, strand, true),
            None => self.put(self.choose(last, strand.priority(), affinity), strand, false),
        }
    }

    /// The core for whom a strand waits when none is idle: the one that it ran on last, whose caches it
    /// warmed. Other cores are looked at only for a strand that is more urgent than most, would have to
    /// wait there, and can have a core at once elsewhere; and for one that may not go back.
    fn choose(&self, last: usize, priority: Priority, affinity: CoreSet) -> usize {
        if affinity.has(last) {
            let gives_way = |core: &Core<M>| core.runs_less_than(priority);
            if priority <= Priority::NORMAL || self.core(last).is_some_and(gives_way) {
                return last;
            }
            let allowed = CoreSet(affinity.0 & self.present().0);
            return allowed.iter().find(|id| self.core(*id).is_some_and(gives_way)).unwrap_or(last);
        }
        let allowed = CoreSet(affinity.0 & self.present().0);
        let level = |id: &usize| self.core(*id).map_or(u8::MAX, Core::level);
        allowed.iter().min_by_key(level).expect("a strand's affinity holds a core that exists")
    }

    /// Lets a strand go on whose parked token was just taken, or that is new: the global scheduler queues it,
    /// or its package is told. Nobody else has it.
    /// Interrupts masked.
    #[inline(always)]
    pub(crate) fn wake(&self, strand: Arc<Strand<M>>) {
        match &strand.managed {
            Some(managed) if managed.hold.get() != Held::Free => seat::awaken(strand),
            _ => self.enqueue_masked(strand),
        }
    }

    pub(crate) fn enqueue_on(&self, target: usize, strand: Arc<Strand<M>>) {
        M::masked(|| {
            if let Err(exile) = self.put(target, strand, false) {
                self.enqueue(exile);
            }
        });
    }

    /// [`put`](Self::put) for the usual case: on the core that it ran on last, while no core that it may run on is
    /// idle.
    #[inline(always)]
    fn put_back(&self, target: usize, strand: Arc<Strand<M>>) -> Result<(), Arc<Strand<M>>> {
        let core = self.core(target).expect("strands are put on cores that exist");
        let priority = strand.priority();
        strand.set_state(State::Runnable);
        let mut queue = core.queue.lock();
        queue.admit(strand)?;
        drop(queue);
        if self.idle.all() != 0 || core.should_hear_of(priority) {
            self.announce(core, priority);
        }
        Ok(())
    }

    /// Gives the strand back if it may not run there any more. Interrupts masked.
    fn put(&self, target: usize, strand: Arc<Strand<M>>, is_claimed: bool) -> Result<(), Arc<Strand<M>>> {
        let core = self.core(target).expect("strands are put on cores that exist");
        let priority = strand.priority();
        strand.set_state(State::Runnable);
        let mut queue = core.queue.lock();
        let admitted = queue.admit(strand);
        // Nobody else came first to the core that was claimed: it will take this one.
        let is_taken = is_claimed && queue.len() == 1 && core.level() == 0;
        drop(queue);
        if is_taken || is_claimed && admitted.is_err() {
            core.interrupt();
        } else if admitted.is_ok() {
            if is_claimed {
                core.interrupt();
            }
            self.announce(core, priority);
        }
        admitted
    }

    /// A strand of that priority waits for a core that may be busy. Interrupts masked.
    pub(crate) fn announce(&self, core: &Core<M>, priority: Priority) {
        if self.idle.has(core.id()) || core.should_hear_of(priority) {
            core.interrupt();
        }
        let idle = self.idle.all() & !(1 << core.id());
        if idle != 0 {
            // Not only this strand: one that was queued when the core was idle now waits, too, and perhaps it
            // is that one who may go elsewhere.
            let is_for_them = |strand: &Strand<M>| strand.affinity().0 & idle != 0;
            let found = core.queue.lock().look(is_for_them).map(|strand| strand.affinity());
            found.into_iter().for_each(|affinity| self.offer(core.id(), affinity));
        }
    }

    /// A strand waits for core `core`: should another be idle that it may run on, that one can steal it.
    pub(crate) fn offer(&self, core: usize, affinity: CoreSet) {
        if let Some(thief) = self.idle.claim(affinity.0 & !(1 << core), core) {
            if let Some(thief) = self.core(thief) {
                thief.make_offer();
            }
            M::kick(thief);
        }
    }
}

impl<M: Machine> Default for Scheduler<M> {
    fn default() -> Self {
        Self::new()
    }
}
