//! What the core's interrupts do: for the timer, for other cores, and last of all.

use core::sync::atomic::Ordering;

use super::{Leaving, leave};
use crate::{
    core::TICK_NS,
    idle,
    machine::Machine,
    package::{Seat, Why},
};

/// The timer's interrupt, after it was acknowledged: wakes who is due, ends the slice if it is over.
pub fn on_timer<M: Machine>() {
    let core = M::core();
    let now = M::now_ns();
    loop {
        let mut timers = core.timers.lock();
        let Some(strand) = timers.take_due(now) else { break };
        // Called, and let go of if it has not parked yet, under the lock that it takes when it wakes: so
        // no interrupt holds a strand that may have ended. One that is parked moves on to a queue.
        let parked = Some(strand).filter(|strand| strand.token.call());
        drop(timers);
        if let Some(strand) = parked {
            M::scheduler().wake(strand);
        }
    }
    // SAFETY: on this core, masked; used no more before `arm`.
    let local = unsafe { core.local() };
    local.timer = None;
    local.must_repin = local.must_repin && !local.dispatcher.nudged::<M>();
    if !dispatcher::bound::is_bounded::<M>() {
        local.is_bounded = false;
    }
    if local.carrier.is_some() && local.limit.is_some_and(|limit| now >= limit) {
        local.recall.get_or_insert(Why::Limit);
        core.is_due.store(true, Ordering::Relaxed);
    }
    if local.carrier.is_some() && local.recall.is_some() {
        // It could not be called off when that was asked.
        core.is_due.store(true, Ordering::Relaxed);
    }
    if now >= local.slice_end_ns() {
        // Whoever cannot be preempted now is asked again later, and not at once, for ever.
        local.slice_start = M::ticks();
        if !core.queue.lock().is_empty() {
            local.is_slice_over = true;
            core.is_due.store(true, Ordering::Relaxed);
        }
    }
    core.arm();
}

/// For [`dispatcher::Processor::keep_ticking`]. While the timer is going to go off soon anyway, it is
/// left alone.
pub fn keep_ticking<M: Machine>() {
    M::masked(|| {
        let core = M::core();
        let soon = M::now_ns() + TICK_NS;
        // SAFETY: on this core, masked; used no more before `arm`.
        let local = unsafe { core.local() };
        local.is_bounded = true;
        if local.timer.is_none_or(|timer| timer > soon) {
            core.arm();
        }
    });
}

/// A kick's interrupt, after it was acknowledged: there may be something better to run.
pub fn on_kick<M: Machine>() {
    let core = M::core();
    // SAFETY: on this core, masked; used no more before `look_again`.
    let local = unsafe { core.local() };
    if local.carrier.is_some()
        && let Some(managed) = &local.current.managed
        && managed.package.seat(core.id()).is_some_and(Seat::take_recall)
    {
        local.recall.get_or_insert(Why::Recalled);
        core.is_due.store(true, Ordering::Relaxed);
    }
    if !local.is_idle() && core.take_offer() {
        // It has got work of its own meanwhile.
        idle::call_another::<M>();
    }
    core.look_again();
}

/// A nudge's interrupt: somebody waits for this core to repin.
pub fn on_nudge<M: Machine>() {
    let core = M::core();
    // SAFETY: on this core, masked; used no more after the next line.
    let local = unsafe { core.local() };
    local.must_repin = !local.dispatcher.nudged::<M>();
    if local.must_repin {
        core.arm();
    }
}

/// For [`dispatcher::Processor::repin`]: the strand has left its outermost border.
pub fn repin<M: Machine>() {
    // Without preemption, so that one that could not be while the strand was inside is made up for.
    M::unpreempted(|| {
        M::masked(|| {
            // SAFETY: on this core, masked; the reference ends with the statement.
            let local = unsafe { M::core().local() };
            local.must_repin = !local.dispatcher.nudged::<M>();
        });
    });
}

/// The last act of an interrupt: takes the core from the running strand, if it should lose it and
/// may. Interrupts masked.
pub fn preempt_if_due<M: Machine>() {
    let core = M::core();
    // The idle strand looks at the queue by itself, once it has taken its participant back.
    // SAFETY: on this core, masked; the reference ends with the statement.
    let is_idle = unsafe { core.local() }.is_idle();
    if !is_idle && core.is_due.load(Ordering::Relaxed) && M::is_preemptible() {
        leave::<M>(Leaving::Preempted);
    }
}
