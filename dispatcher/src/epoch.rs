//! Epochs: when may something that nobody can newly reach be freed?
//!
//! The clock is `crossbeam-epoch`'s [`Collector`]: it moves on only when every pinned participant has
//! seen the present epoch, and what was unlinked in epoch *e* may go in *e* + 2. There, a program
//! pins around each access, at the price of a fence. Here the participant belongs to the *core* and
//! stays pinned; being inside a [border](crate::border) only means that it must not be *repinned*,
//! and nothing at all is done on the way in or out.
//!
//! Two things differ from the usual way of using the crate:
//!
//! - After each `repin` comes a full fence. `pin` has it, `repin` does without, because its author's
//!   loads after a repin are still covered by the old epoch; ours go on for ever. With the fence, a
//!   repin is as strong as a new pin. It happens at switches and ticks, where a fence is cheap.
//! - Nothing is ever deferred but one flag per grace period, by the [housekeeper](crate::keeper), and
//!   no core ever calls `pin` after its participant was made: `pin` sometimes runs other people's
//!   deferred functions, and a switch or an interrupt is no place for that. A halting core therefore
//!   does not unpin, it *lends* its participant ([`crate::slot`]).

use alloc::{boxed::Box, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence},
};

use crossbeam_epoch::{Collector, Guard, LocalHandle};

use crate::slot::{Owned, Slot};

/// The most cores that there can be: a set of them is one word.
pub const MOST_CORES: usize = 64;
/// The pool is topped up when fewer participants than this are in it.
pub(crate) const LOW_WATER: usize = 4;
/// In place of a round: this core halts, and its participant is tended.
const HALTED: u64 = u64::MAX;

/// A participant of the epoch, pinned from its first day to its last.
pub struct Participant {
    // Declared first, so dropped before the handle.
    guard: Guard,
    _handle: LocalHandle,
}

// SAFETY: handle and guard are bound to a thread only in that they must not be used by two at once
// (their fields are plain cells). A participant lives in a `Slot`, whose users exclude one another
// and hand over with Release and Acquire; neither type keeps anything in thread-local storage.
unsafe impl Send for Participant {}

impl Participant {
    fn new(collector: &Collector) -> Self {
        let handle = collector.register();
        Self { guard: handle.pin(), _handle: handle }
    }

    /// Moves it to today's epoch. What is loaded afterwards is covered from there on.
    pub(crate) fn repin(&mut self) {
        self.guard.repin();
        // Orders the epoch's store before every later load of a plan, as `pin` does.
        fence(Ordering::SeqCst);
    }
}

/// The epoch's state for all cores. One in a kernel, made at boot and never freed.
pub struct Epochs {
    pub(crate) collector: Collector,
    chunks: AtomicPtr<Chunk>,
    participants: AtomicUsize,
    /// The round that the housekeeper is in.
    round: AtomicU64,
    /// The last round in which each core repinned, or [`HALTED`].
    seen: [Seen; MOST_CORES],
}

/// A line of its own: its core writes it.
#[repr(align(64))]
struct Seen(AtomicU64);

struct Chunk {
    slots: Box<[Slot<Participant>]>,
    next: *mut Chunk,
}

// SAFETY: a chunk is not changed after it was linked; slots are `Sync`.
unsafe impl Sync for Chunk {}

impl Epochs {
    /// Epochs with `participants` in the pool: at least two for each core and one for the
    /// housekeeper's peace; the pool grows by itself.
    #[must_use]
    pub fn new(participants: usize) -> Self {
        let epochs = Self {
            collector: Collector::new(),
            chunks: AtomicPtr::new(ptr::null_mut()),
            participants: AtomicUsize::new(0),
            round: AtomicU64::new(1),
            // A core that was never started holds nothing back.
            seen: [const { Seen(AtomicU64::new(HALTED)) }; MOST_CORES],
        };
        epochs.grow(participants);
        epochs
    }

    /// Adds participants to the pool. By one caller at a time: the housekeeper, or whoever boots.
    pub(crate) fn grow(&self, count: usize) {
        let slots: Vec<_> = (0..count).map(|_| Slot::new(Participant::new(&self.collector))).collect();
        let next = self.chunks.load(Ordering::Relaxed);
        let chunk = Box::into_raw(Box::new(Chunk { slots: slots.into_boxed_slice(), next }));
        // Release: pairs with the Acquire of `slots`.
        self.chunks.store(chunk, Ordering::Release);
        self.participants.fetch_add(count, Ordering::Relaxed);
    }

    fn slots(&self) -> impl Iterator<Item = &'static Slot<Participant>> {
        let mut chunk = self.chunks.load(Ordering::Acquire);
        let chunks = core::iter::from_fn(move || {
            // SAFETY: chunks are leaked by `grow` and never freed or changed.
            let here: &'static Chunk = unsafe { chunk.as_ref() }?;
            chunk = here.next;
            Some(here)
        });
        chunks.flat_map(|chunk| &chunk.slots)
    }

    /// A participant of the pool, repinned. Scans the pool; no lock, no allocation.
    pub(crate) fn claim(&self) -> Option<Owned<Participant>> {
        let mut owned = self.slots().find_map(Slot::claim)?;
        owned.get().repin();
        Some(owned)
    }

    /// How many participants there are, and how many of them are in the pool now.
    pub fn participants(&self) -> (usize, usize) {
        let free = self.slots().filter(|slot| slot.is_free()).count();
        (self.participants.load(Ordering::Relaxed), free)
    }

    /// Are fewer participants than [`LOW_WATER`] in the pool?
    pub(crate) fn is_low(&self) -> bool {
        self.slots().filter(|slot| slot.is_free()).take(LOW_WATER).count() < LOW_WATER
    }

    /// Moves every participant that nobody uses to today's epoch. By the housekeeper; `masked` keeps
    /// interruptions away while one is in hand.
    pub(crate) fn tend(&self, masked: impl Fn(&mut dyn FnMut())) {
        for slot in self.slots() {
            masked(&mut || {
                slot.tend(Participant::repin);
            });
        }
    }

    /// Begins a round: every core that runs should repin.
    pub(crate) fn begin_round(&self) {
        // Release: a core that reads the new round (Acquire in `round`) repins after what the
        // housekeeper did before.
        self.round.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// Has core `core` repinned since the present round began? Asked by that core.
    #[inline]
    pub(crate) fn is_up_to_date(&self, core: usize) -> bool {
        // Relaxed: whoever begins a round just now nudges the cores that have not noted it.
        self.seen[core].0.load(Ordering::Relaxed) == self.round.load(Ordering::Relaxed)
    }

    /// Core `core` has repinned since `round` began.
    pub(crate) fn note_repinned(&self, core: usize, round: u64) {
        self.seen[core].0.store(round, Ordering::Release);
    }

    /// Core `core` halts and has lent its participant.
    pub(crate) fn note_halted(&self, core: usize) {
        self.seen[core].0.store(HALTED, Ordering::Release);
    }

    /// Core `core` took up a strand that was preempted inside: it is at an old epoch.
    pub(crate) fn note_behind(&self, core: usize) {
        self.seen[core].0.store(0, Ordering::Release);
    }

    /// The cores that have not repinned in this round: bit *n* is core *n*.
    pub fn lagging(&self) -> u64 {
        let round = self.round.load(Ordering::Relaxed);
        let lags = |core: &usize| self.seen[*core].0.load(Ordering::Acquire) < round;
        (0..MOST_CORES).filter(lags).fold(0, |set, core| set | 1 << core)
    }
}
