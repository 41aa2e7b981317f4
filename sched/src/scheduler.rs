//! What all cores share: who is idle, and which strands there are.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
};

use dispatcher::{Dispatcher, epoch::MOST_CORES};

use crate::{
    core::Core,
    directory::Directory,
    fifo::Fifo,
    hail::{self, IdleCores},
    machine::Machine,
    package::{Packages, hold::Held, seat},
    strand::{CoreSet, State, Strand},
};

/// How many numbers for strands a core takes at a time.
const IDS_IN_BLOCK: u64 = 64;

/// The global scheduler. One in a kernel, a `static`.
pub struct Scheduler<M: Machine> {
    cores: [AtomicPtr<Core<M>>; MOST_CORES],
    count: AtomicUsize,
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
            count: AtomicUsize::new(0),
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
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The part of core `id`, if there is such a core.
    pub fn core(&self, id: usize) -> Option<&'static Core<M>> {
        let core = self.cores.get(id)?.load(Ordering::Acquire);
        // SAFETY: it was leaked by `add_core` and is never freed.
        unsafe { core.as_ref() }
    }

    /// All cores.
    pub fn cores(&self) -> impl Iterator<Item = &'static Core<M>> {
        (0..MOST_CORES).filter_map(|id| self.core(id))
    }

    /// The thread packages.
    pub fn packages(&self) -> &Packages<M> {
        &self.packages
    }

    /// How many cores run strands.
    pub fn core_count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
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

    /// Every strand that has not ended or must still be reaped, in the order of their numbers.
    pub fn strands(&self) -> Vec<Arc<Strand<M>>> {
        let mut all = Vec::new();
        for core in self.cores() {
            // Copied out under the lock, but room is found before it: the count may grow meanwhile.
            let copied = all.len();
            loop {
                let count = M::masked(|| core.roll.lock().len());
                all.reserve(count + 8);
                let fits = M::masked(|| {
                    let roll = core.roll.lock();
                    let fits = roll.len() <= all.capacity() - copied;
                    if fits {
                        all.extend(roll.iter().cloned());
                    }
                    fits
                });
                if fits {
                    break;
                }
            }
        }
        all.sort_unstable_by_key(|strand| strand.id());
        all
    }

    /// Makes a strand runnable: on the core that it ran on last if that is idle, on another idle one
    /// if not, else on the last. The strand is in no list and its registers are saved.
    pub(crate) fn enqueue(&self, strand: Arc<Strand<M>>) {
        let (last, affinity) = (strand.core(), strand.affinity);
        // Masked, so that a core that is claimed is kicked at once.
        M::masked(|| match self.idle.claim(affinity.0, last) {
            Some(target) => self.put(target, strand, true),
            None if affinity.has(last) => self.put(last, strand, false),
            None => self.put(self.any_of(affinity), strand, false),
        });
    }

    fn any_of(&self, affinity: CoreSet) -> usize {
        (0..MOST_CORES)
            .find(|id| affinity.has(*id) && self.core(*id).is_some())
            .expect("a strand's affinity holds a core that exists: `spawn` checks it")
    }

    /// Lets a strand go on whose parked token was just taken, or that is new: the global scheduler queues it,
    /// or its package is told. Nobody else has it.
    pub(crate) fn wake(&self, strand: Arc<Strand<M>>) {
        match &strand.managed {
            Some(managed) if managed.hold.get() != Held::Free => seat::awaken(strand),
            _ => self.enqueue(strand),
        }
    }

    pub(crate) fn enqueue_on(&self, target: usize, strand: Arc<Strand<M>>) {
        M::masked(|| self.put(target, strand, false));
    }

    /// Interrupts masked.
    fn put(&self, target: usize, strand: Arc<Strand<M>>, is_claimed: bool) {
        let core = self.core(target).expect("strands are put on cores that exist");
        let (priority, affinity) = (strand.priority, strand.affinity);
        strand.set_state(State::Runnable);
        core.queue.lock().push(strand);
        hail::after_queueing();
        if is_claimed || self.idle.has(target) || core.should_hear_of(priority) {
            if target == M::core_id() {
                core.look_again();
            } else {
                M::kick(target);
            }
        }
        // It waits for a busy core: should another have become idle meanwhile, that one can steal it.
        if !is_claimed && let Some(thief) = self.idle.claim(affinity.0 & !(1 << target), target) {
            M::kick(thief);
        }
    }
}

impl<M: Machine> Default for Scheduler<M> {
    fn default() -> Self {
        Self::new()
    }
}
