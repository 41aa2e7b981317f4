//! Block, unblock, sleep.

use alloc::sync::Arc;
use core::panic::Location;

use crate::{
    machine::Machine,
    package,
    strand::Strand,
    switch::{After, Leaving, is_due, leave, leave_for_next, must_leave_again},
};

/// The running strand.
pub fn current<M: Machine>() -> Arc<Strand<M>> {
    M::masked(|| {
        // SAFETY: on this core, masked; the reference ends with the statement.
        unsafe { M::core().local() }.current.clone()
    })
}

/// Waits until somebody calls [`unblock`] on this strand; returns at once if that has happened since
/// the last time. Look at what you wait for in a loop: a call may be older than your question.
#[track_caller]
pub fn block<M: Machine>() {
    assert!(M::is_preemptible(), "a strand that must not be preempted cannot block");
    let caller = Location::caller();
    let were_in = M::mask();
    let core = M::core();
    // SAFETY: on this core, masked; used no more before the strand leaves.
    let local = unsafe { core.local() };
    let mut is_carried = false;
    if !local.current.token.take() {
        local.current.waits_at.note(caller);
        if local.carrier.is_some() {
            is_carried = true;
        } else if !leave_for_next(core, local, After::Park) {
            leave::<M>(Leaving::Blocking);
        } else if must_leave_again::<M>() {
            leave::<M>(Leaving::Yielding);
        }
    }
    M::restore(were_in);
    if is_carried {
        package::carried::give_up::<M>(package::Reason::Blocked);
    }
}

/// Lets a strand go on: now if it is blocked, else the next time that it blocks. From anywhere,
/// interrupts included.
#[inline(never)]
pub fn unblock<M: Machine>(strand: &Arc<Strand<M>>) {
    // Masked from the call on, so that whoever was called does not wait for this one to go on.
    let were_in = M::mask();
    if strand.token.call() {
        M::scheduler().wake(strand.clone());
    }
    M::restore(were_in);
    if is_due::<M>() {
        // Somebody more urgent: given way to where that may be.
        M::unpreempted(|| ());
    }
}

/// Queues a strand whose parked token was just taken.
#[inline(never)]
pub(crate) fn make_runnable<M: Machine>(strand: Arc<Strand<M>>) {
    // A more urgent strand that was put on this core's queue is given way to when this ends.
    M::unpreempted(|| M::masked(|| M::scheduler().wake(strand)));
}

/// As [`block`], but no longer than until `deadline_ns`, on the clock of [`dispatcher::Processor::now_ns`].
#[track_caller]
pub fn block_until<M: Machine>(deadline_ns: u64) {
    let this = current::<M>();
    let core = M::masked(|| {
        let core = M::core();
        core.timers.lock().insert(deadline_ns, this.clone());
        core.arm();
        core
    });
    block::<M>();
    M::masked(|| core.timers.lock().remove(deadline_ns, this.id));
}

/// How long a strand that waits for a condition sleeps between two looks, in nanoseconds.
const LOOK_NS: u64 = 500_000;

/// For [`dispatcher::Processor::wait_until`].
#[track_caller]
pub fn wait_until<M: Machine>(is_done: &dyn Fn() -> bool) {
    while !is_done() {
        block_until::<M>(M::now_ns() + LOOK_NS);
    }
}

/// Sleeps for so many nanoseconds, at least.
#[track_caller]
pub fn sleep_ns<M: Machine>(nanoseconds: u64) {
    let deadline = M::now_ns().saturating_add(nanoseconds);
    while M::now_ns() < deadline {
        block_until::<M>(deadline);
    }
}
