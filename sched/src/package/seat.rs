//! A seat: a package's virtual processor on one core.
//!
//! # How work finds a carrier that sleeps
//!
//! A carrier says that its seat is idle, and then looks at the notices, and asks the package; whoever brings
//! something queues it, under the lock of the notices or of the package's own, and then looks who is idle. Of
//! the two that take the lock one is first: if it is the carrier, its word was written before it, and the
//! other sees it; if not, the carrier finds what was brought. Either way the token of wake-ups does the rest.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{
    Package, carried,
    hold::Held,
    upcall::{Silent, Why},
};
use crate::{
    fifo::Fifo,
    machine::Machine,
    strand::{State, Strand},
    wait::unblock,
};

/// What a strand's notice says: that it was unblocked, else why it lost its core.
const UNBLOCKED: u8 = u8::MAX;

/// A virtual processor.
pub struct Seat<M: Machine> {
    core: usize,
    carrier: spin::Once<Arc<Strand<M>>>,
    /// A leaf, taken with interrupts masked, like every lock of the scheduler.
    notices: spin::Mutex<Notices<M>>,
    /// There may be some. A hint for those who would rather not lock.
    has_notices: AtomicBool,
    /// The package, or the scheduler for its sake, wants the carrier to have the core.
    is_recalled: AtomicBool,
    /// Whom the carrier shall run next without asking; zero for nobody.
    wanted: AtomicU64,
    /// Whom it shall run before anything else: it lost the core in the package's own code.
    first: AtomicU64,
}

/// Strands that have something to be told of them, linked through themselves.
struct Notices<M: Machine> {
    list: Fifo<M>,
    /// The carrier is gone.
    is_closed: bool,
}

impl<M: Machine> Seat<M> {
    pub(super) fn new(core: usize) -> Self {
        Self {
            core,
            carrier: spin::Once::new(),
            notices: spin::Mutex::new(Notices { list: Fifo::new(), is_closed: false }),
            has_notices: AtomicBool::new(false),
            is_recalled: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            first: AtomicU64::new(0),
        }
    }

    /// Its core.
    pub fn core(&self) -> usize {
        self.core
    }

    /// The strand on which the package is asked, once it is there.
    pub fn carrier(&self) -> Option<&Arc<Strand<M>>> {
        self.carrier.get()
    }

    pub(super) fn set_carrier(&self, carrier: Arc<Strand<M>>) {
        self.carrier.call_once(|| carrier);
    }

    /// Lets the carrier go on, if it sleeps.
    pub(super) fn call(&self) {
        if let Some(carrier) = self.carrier.get() {
            unblock(carrier);
        }
    }

    /// Takes the core from the strand that the carrier carries, if it does, soon. From any context.
    pub(super) fn recall(&self) {
        // Relaxed: the interrupt that follows comes later than the store, see `M::kick`.
        self.is_recalled.store(true, Ordering::Release);
        M::kick(self.core);
    }

    /// Was the strand that runs here called off? Asked in interrupts and on switches, on this core.
    pub(crate) fn take_recall(&self) -> bool {
        self.is_recalled.load(Ordering::Relaxed) && self.is_recalled.swap(false, Ordering::Acquire)
    }

    pub(super) fn want(&self, handle: u64) {
        // Relaxed: this core's business alone.
        self.wanted.store(handle, Ordering::Relaxed);
    }

    pub(super) fn take_wanted(&self) -> u64 {
        self.wanted.swap(0, Ordering::Relaxed)
    }

    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    pub(super) fn take_first(&self) -> u64 {
        self.first.swap(0, Ordering::Relaxed)
    }

    pub(super) fn has_notices(&self) -> bool {
        // Acquire: pairs with the Release in `push`, for the sake of what came before.
        self.has_notices.load(Ordering::Acquire)
    }

    /// Queues a notice of a strand that can run and that nobody else has. Gives it back if the seat is closed.
    /// Interrupts masked.
    pub(super) fn push(&self, strand: Arc<Strand<M>>, notice: Option<Why>) -> Result<(), Arc<Strand<M>>> {
        let mut notices = self.notices.lock();
        if notices.is_closed {
            return Err(strand);
        }
        let managed = strand.managed.as_ref().expect("only managed strands have notices");
        managed.notice.store(notice.map_or(UNBLOCKED, |why| why as u8), Ordering::Relaxed);
        managed.hold.set(Held::Noticed);
        strand.set_state(State::Runnable);
        notices.list.push(strand);
        self.has_notices.store(true, Ordering::Release);
        Ok(())
    }

    fn pop(&self) -> Option<Arc<Strand<M>>> {
        M::masked(|| {
            let mut notices = self.notices.lock();
            let strand = notices.list.pop();
            self.has_notices.store(!notices.list.is_empty(), Ordering::Release);
            strand
        })
    }

    /// Tells the package what there is to be told here; says how much. On a strand of the package's, or its
    /// carrier, outside of locks, interrupts on. Whoever tells sees to it that somebody asks: see `idle`.
    pub(super) fn deliver(&self, package: &Package<M>) -> usize {
        let mut count = 0;
        while self.has_notices()
            && !package.is_ejected()
            && let Some(strand) = self.pop()
        {
            let managed = strand.managed.as_ref().expect("only managed strands have notices");
            let notice = managed.notice.load(Ordering::Relaxed);
            managed.told_ns.store(M::now_ns(), Ordering::Relaxed);
            package.waiting.fetch_add(1, Ordering::Relaxed);
            let handle = strand.handle().unwrap_or(0);
            // Before the package hears of it: it may answer with this strand on another core at once.
            if !carried::give(strand.clone(), Held::Told) {
                package.no_longer_waits();
                continue;
            }
            if package.is_ejected() {
                // All carriers may have looked, and found it in nobody's keeping, while this one was off its core.
                package.free_if_kept(&strand);
                break;
            }
            let told = match notice {
                UNBLOCKED => M::raise_unblock(package, handle),
                why => M::raise_checkpoint(package, self.core, handle, Why::of(why)),
            };
            if told == Err(Silent::Failed) {
                package.eject_for_silence(self.core, handle);
            }
            count += 1;
        }
        count
    }

    /// Closes the seat, for good; what was still to be told of is passed to `each`.
    pub(super) fn close(&self, mut each: impl FnMut(Arc<Strand<M>>)) {
        M::masked(|| self.notices.lock().is_closed = true);
        while let Some(strand) = self.pop() {
            each(strand);
        }
    }
}

/// A strand that was carried on this core, and has lost it in its package's own code: the carrier shall go on
/// with it, and until then it is running for everybody else, whatever the package has been made to think of it
/// since. If its package had it called off, it is so when it goes on. Interrupts masked.
pub(crate) fn interrupted<M: Machine>(strand: &Strand<M>, recall: Option<Why>) {
    let managed = strand.managed.as_ref().expect("only managed strands are carried");
    strand.set_state(State::Runnable);
    let seat = managed.package.seat(M::core_id()).expect("it was carried on a seat");
    // Relaxed: this core's business alone.
    seat.first.store(strand.handle().unwrap_or(0), Ordering::Relaxed);
    if recall == Some(Why::Recalled) {
        seat.is_recalled.store(true, Ordering::Relaxed);
    }
}

/// A strand that was carried on this core and can go on: its package shall hear of it here, if the carrier has the core.
/// Interrupts masked.
pub(crate) fn checkpointed<M: Machine>(strand: Arc<Strand<M>>, why: Option<Why>, has_core: bool) {
    let managed = strand.managed.as_ref().expect("only managed strands are carried");
    let package = managed.package.clone();
    let seat = package.seat(M::core_id()).expect("it was carried on a seat");
    match seat.push(strand, why) {
        Ok(()) if has_core => {}
        // Its carrier has lost the core, too, and waits for it perhaps for long.
        Ok(()) => package.attend_elsewhere(seat),
        Err(_) => unreachable!("a seat is closed by its carrier, when it carries nobody"),
    }
}

/// A managed strand whose parked token was just taken, or which is new, or which was called before it could
/// park: its package shall hear that it can run. From any context.
#[inline(never)]
pub(crate) fn awaken<M: Machine>(strand: Arc<Strand<M>>) {
    M::masked(|| {
        let managed = strand.managed.as_ref().expect("only managed strands are awakened");
        let package = managed.package.clone();
        // Asked for last, so that it is the one whose word comes first: see the head of this file.
        let seat = package.seat_for(strand.core());
        match seat.push(strand, None) {
            Ok(()) => package.attend(seat),
            Err(strand) => {
                strand.managed.as_ref().expect("as above").hold.set(Held::Free);
                M::scheduler().enqueue(strand);
            }
        }
    });
}

impl<M: Machine> Package<M> {
    /// Where to tell of a strand that ran on core `last`: where a carrier is idle, if anywhere; else here, where
    /// the next strand that blocks will tell; else where it ran; else anywhere.
    fn seat_for(&self, last: usize) -> &Seat<M> {
        let idle = self.idle.get();
        let is_idle = |core: &usize| idle >> core & 1 != 0;
        let first_idle = (idle != 0).then(|| idle.trailing_zeros() as usize);
        Some(last)
            .filter(is_idle)
            .or(first_idle)
            .and_then(|core| self.seat(core))
            .or_else(|| self.seat(M::core_id()))
            .or_else(|| self.seat(last))
            .or_else(|| self.seats().next())
            .expect("a package has a seat")
    }

    /// A notice was queued at `seat`.
    pub(super) fn attend(&self, seat: &Seat<M>) {
        let idle = self.idle.withdraw(seat.core);
        if idle >> seat.core & 1 != 0 {
            seat.call();
        } else if idle != 0 && self.wake_any(idle, seat.core) {
            // Another one, which delivers whatever there is before it sleeps again.
        } else if self.grant.is_prompt {
            seat.recall();
        }
    }

    /// A notice was queued at `seat`, whose carrier is not idle and has no core: another one hears of it, if one is idle.
    fn attend_elsewhere(&self, seat: &Seat<M>) {
        let idle = self.idle.withdraw(seat.core);
        if idle != 0 {
            self.wake_any(idle, seat.core);
        }
    }

    /// Is there something to be told, at whichever seat?
    pub(super) fn has_notices(&self) -> bool {
        self.seats().any(Seat::has_notices)
    }

    /// Tells the package what there is to be told at other seats than that of core `core`: there somebody may run who
    /// never gives up the core. Says how much. By a carrier that has nobody to run.
    pub(super) fn deliver_elsewhere(&self, core: usize) -> usize {
        self.seats().filter(|seat| seat.core != core).map(|seat| seat.deliver(self)).sum()
    }
}
