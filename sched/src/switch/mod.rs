//! How a core goes from one strand to another.
//!
//! What is to become of the strand that leaves cannot be done while it still stands on its stack: it
//! is left in [`After`] and done by the strand that comes next, as its first act.
//!
//! - here: a strand leaves its core to whoever is next in the queue.
//! - `hand`: it leaves it to a strand that it names, or that its package does.
//! - `settle`: what comes first on the other side.
//! - `interrupt`: what interrupts do, and how they take a core away.

mod hand;
mod interrupt;
mod settle;

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use dispatcher::{Crossing, Departure};

use crate::{
    core::{Core, Local},
    machine::Machine,
    package::{Reason, Why, carried, grant::OWN_GRACE_NS},
    strand::{Priority, State, Strand},
};

pub use hand::hand_off;
pub(crate) use hand::{carry, hand_over, leave_for_joiner};
pub use interrupt::{keep_ticking, on_kick, on_nudge, on_timer, preempt_if_due, repin};
pub(crate) use settle::finish;

/// What becomes of the strand that left.
pub enum After<M: Machine> {
    /// It is the idle strand, which is never queued.
    Nothing,
    /// It goes on when its turn comes.
    Requeue(Arc<Strand<M>>),
    /// It waits to be unblocked; or goes on at once if that has happened already.
    Park(Arc<Strand<M>>),
    /// It is over, and its stack can be freed.
    End(Arc<Strand<M>>),
    /// Its package keeps it.
    Keep(Arc<Strand<M>>),
    /// It has lost the core in its package's own code, and goes on when its carrier's turn comes.
    Interrupt {
        /// The strand.
        strand: Arc<Strand<M>>,
        /// The carrier, if it is to be queued: unless it is the one who comes next.
        carrier: Option<Arc<Strand<M>>>,
    },
    /// Its package shall be told that it can run, and perhaps why it lost its core; its carrier goes on when
    /// its turn comes, unless it is the one who comes next.
    Notify {
        /// The strand.
        strand: Arc<Strand<M>>,
        /// Why it lost its core; none if it was called when it was about to block.
        why: Option<Why>,
        /// The carrier, if it is to be queued.
        carrier: Option<Arc<Strand<M>>>,
    },
}

/// How a carried strand leaves its core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It waits to be unblocked.
    Park,
    /// It can run, and its package knows.
    Keep,
    /// It can run, and its package is to be told: it was called before it could wait.
    Called,
    /// It is over.
    End,
}

/// How a strand leaves its core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    Preempted,
    Yielding,
    Blocking,
    Ending,
}

/// Leaves the core to the next strand; returns when this one has its turn again, perhaps on another
/// core. Returns at once if there is nobody to leave it to. Interrupts masked, outside of locks.
pub(crate) fn leave<M: Machine>(leaving: Leaving) {
    let mut leaving = leaving;
    while !leave_once::<M>(leaving) && must_leave_again::<M>() {
        if leaving != Leaving::Preempted {
            // It is no interrupt that makes it leave, whatever it is in the middle of.
            leaving = Leaving::Yielding;
        }
    }
}

/// Has whoever came back made somebody runnable, in settling the one that left, who should have the core
/// at once?
#[inline]
pub(crate) fn must_leave_again<M: Machine>() -> bool {
    let core = M::core();
    core.is_due.load(Ordering::Relaxed) && M::is_preemptible() && {
        // SAFETY: on this core, masked; the reference ends with the statement.
        let is_idle = unsafe { core.local() }.is_idle();
        !is_idle
    }
}

/// Should the running strand lose its core as soon as it may? Asked with interrupts let in or not, and true at that
/// moment: whoever makes it so afterwards, in an interrupt, sees to it.
#[inline(always)]
pub fn is_due<M: Machine>() -> bool {
    M::core().is_due.load(Ordering::Relaxed)
}

/// The running strand, which is not carried and not the idle one, leaves its core for good, or until somebody
/// calls it: `leave` for the usual case that it has no border open and that somebody waits for the core.
/// False says that it is not the usual case, and nothing has happened. Interrupts masked, outside of locks.
#[inline(always)]
pub(crate) fn leave_for_next<M: Machine>(
    core: &'static Core<M>,
    local: &mut Local<M>,
    after: impl FnOnce(Arc<Strand<M>>) -> After<M>,
) -> bool {
    let mut queue = core.queue.lock();
    if queue.is_empty() || !local.dispatcher.depart_bare::<M>() {
        return false;
    }
    let next = queue.pop().expect("it is not empty");
    let level = next.priority();
    local.is_waited_for = queue.highest() == Some(level);
    core.note_level(Some(level));
    drop(queue);
    core.is_due.store(false, Ordering::Relaxed);
    local.must_repin = false;
    let now = M::ticks();
    local.slice_start = now;
    let (this, save, load) = exchange(core, local, next, None, now);
    this.clock.stop(now);
    local.set_after(after(this));
    // SAFETY: as in `leave`.
    unsafe { M::switch(save, load) };
    finish::<M>();
    true
}

/// As [`leave`], once. True says that it returned at once.
fn leave_once<M: Machine>(leaving: Leaving) -> bool {
    let core = M::core();
    let is_going_on = matches!(leaving, Leaving::Preempted | Leaving::Yielding);
    // SAFETY: on this core, masked; used no more after the switch.
    let local = unsafe { core.local() };
    core.is_due.store(false, Ordering::Relaxed);
    let is_idle = local.is_idle();
    // A carried strand leaves by itself only through its package: see `hand_over`.
    let is_in_own = local.carrier.is_some() && carried::is_in_own(&local.current);
    let recall = if is_in_own { None } else { local.recall.take().filter(|_| local.carrier.is_some()) };
    let is_overdrawn =
        is_in_own && local.limit.is_some_and(|limit| M::now_ns().saturating_sub(limit) > OWN_GRACE_NS);
    let is_slice_over = core::mem::take(&mut local.is_slice_over);
    // Held until the new level is noted, so that whoever queues a strand after that compares it with
    // the strand that will run.
    let mut queue = core.queue.lock();
    let ranking = local.ranking();
    // One that may not run here any more leaves in any case.
    let is_exiled = !ranking.affinity().has(core.id());
    let must_go = !is_going_on || is_idle || is_exiled;
    // It can not be called off here, so it loses the core to nobody but whom its carrier would lose it to.
    let is_called_in_own = is_in_own && local.recall.is_some();
    let is_worth_it = |highest: Priority| {
        // Only its strand is called off. The slice is the carrier's: it goes on, and ends when it is over.
        let is_carriers_turn_over =
            highest > ranking.priority() || is_slice_over && highest == ranking.priority();
        match recall {
            Some(_) => is_carriers_turn_over,
            None if is_called_in_own => must_go || is_carriers_turn_over,
            None => must_go || highest >= ranking.priority(),
        }
    };
    let has_next = queue.highest().is_some_and(is_worth_it);
    let goes_back = (recall.is_some() || is_overdrawn) && !has_next;
    if !has_next && !goes_back && is_going_on && !is_exiled {
        let is_waited_for = queue.highest().is_some_and(|highest| highest >= ranking.priority());
        drop(queue);
        if local.recall.is_some() {
            // Asked again a little later: it is about to leave its package's own code. Its slice goes on.
            core.is_due.store(true, Ordering::Relaxed);
            core.arm();
            return true;
        }
        local.slice_start = M::ticks();
        if is_waited_for {
            core.watch_slice();
        }
        return true;
    }
    let Some(crossing) = depart::<M>(local, leaving) else {
        drop(queue);
        local.recall = local.recall.or(recall);
        stay::<M>(core);
        return true;
    };
    let now = M::ticks();
    let next = if has_next { queue.pop() } else { None };
    let highest = queue.highest();
    if !goes_back {
        let level = next.as_ref().map(|next| next.priority());
        local.is_waited_for = highest.is_some() && highest >= level;
        core.note_level(level);
    } else {
        local.is_waited_for = highest.is_some();
    }
    drop(queue);
    let mut carrier = local.carrier.take();
    let next = if goes_back { carrier.take() } else { next };
    let next = next.unwrap_or_else(|| local.idle.clone());
    if let Some(carrier) = &carrier {
        carrier.clock.stop(now);
    }
    let (this, save, load) = exchange(core, local, next, crossing, now);
    this.clock.stop(now);
    if leaving == Leaving::Preempted {
        this.preemptions.add_one();
        core.preemptions.add_one();
    }
    // The strand is kept alive by the reference that moves into `after`, or by the core if idle.
    local.set_after(match leaving {
        _ if is_idle => After::Nothing,
        _ if is_in_own => After::Interrupt { strand: this, carrier },
        _ if carrier.is_some() || recall.is_some() => {
            After::Notify { strand: this, why: Some(recall.unwrap_or(Why::Preempted)), carrier }
        }
        Leaving::Preempted | Leaving::Yielding => After::Requeue(this),
        Leaving::Blocking => After::Park(this),
        Leaving::Ending => After::End(this),
    });
    if !goes_back {
        local.slice_start = now;
    }
    // SAFETY: masked; what is loaded was saved by `leave` or prepared by `spawn`, and is used once,
    // since the strand is on no queue any more.
    unsafe { M::switch(save, load) };
    finish::<M>();
    false
}

/// Takes leave of the dispatcher. `None` says that the strand must [stay].
#[inline(always)]
fn depart<M: Machine>(local: &mut Local<M>, leaving: Leaving) -> Option<Option<Crossing>> {
    let crossing = if local.dispatcher.depart_bare::<M>() {
        None
    } else {
        // A strand that leaves of its own accord inside a border is treated like one that blocks: it
        // takes references, so that the pool of participants is for those who had no choice.
        let why = if leaving == Leaving::Preempted { Departure::Preempted } else { Departure::Blocked };
        Some(local.dispatcher.depart::<M>(why)?)
    };
    // The core's participant, the old one or a fresh one, is at today's epoch.
    local.must_repin = false;
    Some(crossing)
}

/// There is no participant for the core to go on with. The strand gives way as soon as it leaves its
/// outermost border, which is marked for that, or when the housekeeper has filled the pool.
#[cold]
fn stay<M: Machine>(core: &Core<M>) {
    core.is_due.store(true, Ordering::Relaxed);
    // SAFETY: on this core, masked; the reference ends with the statement.
    let local = unsafe { core.local() };
    local.must_repin = !local.dispatcher.nudged::<M>();
    core.arm();
    M::summon_reaper();
}

/// Makes `next`, which nobody else has, the core's current strand. Returns the one that it was, where its stack
/// pointer is saved, and the stack pointer to go on with. `crossing` is what is saved of its borders, if it
/// has any open.
#[inline(always)]
fn exchange<M: Machine>(
    core: &Core<M>,
    local: &mut Local<M>,
    next: Arc<Strand<M>>,
    crossing: Option<Crossing>,
    now: u64,
) -> (Arc<Strand<M>>, *mut usize, usize) {
    next.spot.leave(core.id());
    next.set_state(State::Running);
    next.clock.start(now);
    next.switches.add_one();
    // SAFETY: the next strand was taken from the queue, or from its package, or is this core's idle strand or
    // its carrier: so it does not run, and nobody else switches to it.
    let load = unsafe { next.saved.get() }.stack_pointer;
    let this = core::mem::replace(&mut local.current, next);
    // SAFETY: the strand that leaves is this one; nobody looks before `after` was done.
    let saved = unsafe { this.saved.get() };
    if let Some(crossing) = crossing {
        saved.crossing = crossing;
    }
    core.switches.add_one();
    let save = &raw mut saved.stack_pointer;
    (this, save, load)
}

/// Lets equals and betters run first. Not from an interrupt.
pub fn yield_now<M: Machine>() {
    debug_assert!(M::is_preemptible(), "gave way where it must not be preempted");
    let is_carried = M::masked(|| {
        // SAFETY: on this core, masked; used no more before the strand leaves.
        let is_carried = unsafe { M::core().local() }.carrier.is_some();
        if !is_carried {
            leave::<M>(Leaving::Yielding);
        }
        is_carried
    });
    if is_carried {
        carried::give_up::<M>(Reason::Yielded);
    }
}
