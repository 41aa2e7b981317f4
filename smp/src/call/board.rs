//! The protocol of cross-calls: a board on which each core pins one request and each core finds who waits for it.
//!
//! Each *initiator* has one request slot with a bitmap of the cores that have still to acknowledge it. Each *target* has
//! one bitmap of the initiators whose requests are pending for it. To call, an initiator fills its slot, sets its bit in
//! every target's pending bitmap and interrupts those whose bitmap was empty: where it was not, whoever set the first bit
//! sends an interrupt after having set it, and that one will find this bit too. A target takes its whole bitmap with one
//! swap, runs each request and clears its own bit in the initiator's slot.
//!
//! A target has no use for the initiator's own bit in that bitmap, so it means: I sleep. Whoever clears the last bit but
//! that one interrupts the initiator. Both are in one word, so either the initiator sees that it need not sleep, or the
//! target sees that it does.
//!
//! *Threat*: two cores call each other with interrupts masked; each waits for the other for ever.
//! *Defence*: whoever waits serves what is pending for itself. *Invariant*: a core either answers interrupts, or is on its
//! way to doing so in bounded time, or serves its own bitmap. *Tests*: `loom_three_cores_call_in_a_circle` and its
//! neighbours,
//! `a_storm_of_calls_ends` under plain threads.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
use loom::cell::UnsafeCell;

use crate::CoreSet;

/// Turns that an initiator waits awake: about as long as targets take that run. None under loom, which would only see more
/// of the same.
const TURNS_AWAKE: usize = if cfg!(loom) { 0 } else { 2_000 };

/// What a target is to do.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Runs on the target, in its interrupt handler: it must not block, call other cores or take a lock that is ever held
    /// with interrupts enabled.
    pub function: fn(usize),
    /// What it is given.
    pub argument: usize,
}

/// The requests of `N` cores (at most 64).
#[derive(Debug)]
pub struct Board<const N: usize> {
    outgoing: [Outgoing; N],
    incoming: [Incoming; N],
}

/// An initiator's slot. A cache line of its own: targets write `unacknowledged` while others read theirs.
#[derive(Debug)]
#[repr(align(64))]
struct Outgoing {
    unacknowledged: AtomicU64,
    request: UnsafeCell<Request>,
}

/// A target's bitmap of initiators, on a cache line of its own for the same reason.
#[derive(Debug)]
#[repr(align(64))]
struct Incoming(AtomicU64);

// SAFETY: the only part that is not Sync is `request`. It is written by its owner alone (the contract of `call`), while
// `unacknowledged` is zero, so no target holds the owner's bit; and read by a target only between taking that bit and
// clearing its own in `unacknowledged`. The orderings at those four places make each write happen before each read and
// each read before the next write; loom checks this through its own cell.
unsafe impl<const N: usize> Sync for Board<N> {}

impl<const N: usize> Board<N> {
    /// A board with nothing on it.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        const { assert!(N <= crate::MAX_CORES) };
        Self {
            outgoing: [const { Outgoing::new() }; N],
            incoming: [const { Incoming(AtomicU64::new(0)) }; N],
        }
    }

    /// A board with nothing on it.
    #[cfg(loom)]
    pub fn new() -> Self {
        use core::array::from_fn;
        Self { outgoing: from_fn(|_| Outgoing::new()), incoming: from_fn(|_| Incoming(AtomicU64::new(0))) }
    }

    /// Runs `request` on every core of `targets`, `me` included where it is one of them, and returns when all have run it.
    ///
    /// `interrupt` must make the named core call [`serve`](Self::serve) soon. `relax` runs once per turn of the short time
    /// in which this waits awake; then `sleep` is called, again and again. It returns when this core has been interrupted
    /// since it last looked: an interrupt between the call of `sleep` and its going to sleep must not be lost. It may call
    /// `serve` itself. Everything that a target did in its run is visible to the initiator afterwards.
    ///
    /// # Panics
    /// Where `me` is already in a call (a bug of the caller's), or a target is not on the board.
    ///
    /// # Safety
    /// Nobody else acts as the initiator `me` before this returns.
    pub unsafe fn call(
        &self,
        me: usize,
        targets: CoreSet,
        request: Request,
        mut interrupt: impl FnMut(usize),
        mut relax: impl FnMut(),
        mut sleep: impl FnMut(),
    ) {
        let slot = &self.outgoing[me];
        let others = targets.without(me);
        // Acquire: synchronizes with the targets' clearing of the last request's bits, so that they have read it.
        assert!(
            slot.unacknowledged.load(Ordering::Acquire) == 0,
            "core {me} started a cross-call inside another"
        );
        slot.request.with_mut(|cell| {
            // SAFETY: no bit is left in `unacknowledged`, so no target reads the slot, and the caller promises to be the
            // only one who acts as its owner.
            unsafe { cell.write(request) }
        });
        // Relaxed: published by the release below, before which no target looks at it.
        slot.unacknowledged.store(others.bits(), Ordering::Relaxed);
        for target in others {
            // Release: synchronizes with the swap in `serve`, which thus sees the slot filled. Acquire: so that a bit left
            // by an earlier initiator is still on its way to be taken, and not one taken before we set ours.
            let pending = self.incoming[target].0.fetch_or(1 << me, Ordering::AcqRel);
            if pending == 0 {
                interrupt(target);
            }
        }
        if targets.contains(me) {
            (request.function)(request.argument);
        }
        // Acquire, here and below: synchronizes with each target's release in `serve`.
        for _ in 0..TURNS_AWAKE {
            if slot.unacknowledged.load(Ordering::Acquire) == 0 {
                return;
            }
            self.serve(me, &mut interrupt);
            relax();
        }
        let asleep = CoreSet::only(me).bits();
        while slot.unacknowledged.fetch_or(asleep, Ordering::Acquire) & !asleep != 0 {
            sleep();
            self.serve(me, &mut interrupt);
        }
        // Relaxed: nobody but us looks at a slot without targets.
        slot.unacknowledged.store(0, Ordering::Relaxed);
    }

    /// Runs everything that is pending for `me` and acknowledges it; `interrupt` as for [`call`](Self::call). Cost where
    /// nothing is: one atomic load.
    pub fn serve(&self, me: usize, mut interrupt: impl FnMut(usize)) {
        // Relaxed: only a hint that spares the locked swap; whoever sets a bit interrupts us, so none is overlooked.
        if self.incoming[me].0.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Acquire: synchronizes with the initiators' `fetch_or`, so that their slots are seen filled.
        for initiator in CoreSet::from_bits(self.incoming[me].0.swap(0, Ordering::AcqRel)) {
            let slot = &self.outgoing[initiator];
            let request = slot.request.with(|cell| {
                // SAFETY: we have just taken the initiator's bit, and it does not write the slot before we acknowledge.
                unsafe { *cell }
            });
            (request.function)(request.argument);
            // Release: synchronizes with the initiator's wait, which thus sees the effects of the function.
            let mine = CoreSet::only(me).bits();
            let left = slot.unacknowledged.fetch_and(!mine, Ordering::Release) & !mine;
            if left == CoreSet::only(initiator).bits() {
                interrupt(initiator);
            }
        }
    }
}

impl<const N: usize> Default for Board<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl Outgoing {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self { unacknowledged: AtomicU64::new(0), request: UnsafeCell::new(Request::NOTHING) }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self { unacknowledged: AtomicU64::new(0), request: UnsafeCell::new(Request::NOTHING) }
    }
}

impl Request {
    const NOTHING: Self = Self { function: |_| (), argument: 0 };
}

/// `core`'s cell with loom's interface, so that the same source runs on both.
#[cfg(not(loom))]
#[derive(Debug)]
struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
