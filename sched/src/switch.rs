//! How a core goes from one strand to another.
//!
//! What is to become of the strand that leaves cannot be done while it still stands on its stack: it
//! is left in [`After`] and done by the strand that comes next, as its first act.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use dispatcher::Departure;

use crate::{
    core::{Core, QUANTUM_NS, TICK_NS},
    machine::Machine,
    strand::{Priority, State, Strand},
};

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
    let core = M::core();
    let is_going_on = matches!(leaving, Leaving::Preempted | Leaving::Yielding);
    // SAFETY: on this core, masked; used no more after the switch.
    let local = unsafe { core.local() };
    core.is_due.store(false, Ordering::Relaxed);
    let is_idle = local.is_idle();
    // Held until the new level is noted, so that whoever queues a strand after that compares it with
    // the strand that will run.
    let mut queue = core.queue.lock();
    let is_worth_it = |highest: Priority| !is_going_on || is_idle || highest >= local.current.priority;
    let has_next = queue.highest().is_some_and(is_worth_it);
    if !has_next && is_going_on {
        drop(queue);
        begin_slice(core, M::now_ns());
        return;
    }
    // A strand that leaves of its own accord inside a border is treated like one that blocks: it
    // takes references, so that the pool of participants is for those who had no choice.
    let why = if leaving == Leaving::Preempted { Departure::Preempted } else { Departure::Blocked };
    let Some(crossing) = local.dispatcher.depart::<M>(why) else {
        // No participant for the core to go on with. The strand gives way as soon as it leaves its
        // outermost border, which is marked for that, or when the housekeeper has filled the pool.
        drop(queue);
        core.is_due.store(true, Ordering::Relaxed);
        local.must_repin = !local.dispatcher.nudged::<M>();
        core.arm();
        M::summon_reaper();
        return;
    };
    // The core's participant, the old one or a fresh one, has just been moved to today's epoch.
    local.must_repin = false;
    let now = M::now_ns();
    let next = if has_next { queue.pop() } else { None };
    core.note_level(next.as_ref().map(|next| next.priority));
    drop(queue);
    let next = next.unwrap_or_else(|| local.idle.clone());
    let load = {
        next.core.store(core.id(), Ordering::Relaxed);
        next.set_state(State::Running);
        // SAFETY: the next strand was taken from the queue, or is this core's idle strand, so it does
        // not run and nobody else switches to it.
        unsafe { next.saved.get() }.stack_pointer
    };
    let this = core::mem::replace(&mut local.current, next);
    this.run_ns.fetch_add(now.saturating_sub(local.since), Ordering::Relaxed);
    local.since = now;
    // SAFETY: the strand that leaves is this one; nobody looks before `after` was done.
    let saved = unsafe { this.saved.get() };
    saved.crossing = crossing;
    let save = &raw mut saved.stack_pointer;
    // The strand is kept alive by the reference that moves into `after`, or by the core if idle.
    local.after = match leaving {
        _ if is_idle => After::Nothing,
        Leaving::Preempted | Leaving::Yielding => After::Requeue(this),
        Leaving::Blocking => After::Park(this),
        Leaving::Ending => After::End(this),
    };
    core.switches.fetch_add(1, Ordering::Relaxed);
    begin_slice(core, now);
    // SAFETY: masked; what is loaded was saved by `leave` or prepared by `spawn`, and is used once,
    // since the strand is on no queue any more.
    unsafe { M::switch(save, load) };
    finish::<M>();
}

fn begin_slice<M: Machine>(core: &Core<M>, now: u64) {
    // SAFETY: on this core, masked; the reference ends with the statement.
    unsafe { core.local() }.slice_end = now + QUANTUM_NS;
    core.arm();
}

/// The first act of a strand that has got a core: settles the one that left, and takes up its own
/// borders. Interrupts masked.
pub(crate) fn finish<M: Machine>() {
    let core = M::core();
    // SAFETY: on this core, masked; ends before anything else is called that uses it.
    let local = unsafe { core.local() };
    // SAFETY: this strand runs now, and nobody else touches what was saved of it.
    let saved = unsafe { local.current.saved.get() };
    M::set_stack_bottom(saved.bottom);
    let is_bounded = saved.crossing.is_bounded();
    local.is_bounded |= is_bounded;
    local.dispatcher.arrive::<M>(core::mem::take(&mut saved.crossing));
    let scheduler = M::scheduler();
    match core::mem::replace(&mut local.after, After::Nothing) {
        After::Nothing => {}
        After::Requeue(strand) => {
            strand.set_state(State::Runnable);
            // SAFETY: it does not run, and is on no queue yet.
            let is_inside = unsafe { strand.saved.get() }.crossing.is_inside();
            let is_low = is_inside && local.dispatcher.is_pool_low();
            core.queue.lock().push(strand);
            core.look_again();
            if is_low {
                // Filled before it is dry: a strand that never leaves its border could not be
                // preempted then, not even for the housekeeper.
                M::summon_reaper();
            }
        }
        After::Park(strand) => {
            strand.set_state(State::Blocked);
            if !strand.token.park() {
                // It was called between its decision to block and now.
                scheduler.enqueue_on(core.id(), strand);
            }
        }
        After::End(strand) => {
            strand.set_state(State::Ended);
            scheduler.ended.lock().push(strand);
            M::summon_reaper();
        }
    }
    if is_bounded {
        // While others ran the ticks may have stopped, and nobody else may come to need the timer.
        core.arm();
    }
}

/// Lets equals and betters run first. Not from an interrupt.
pub fn yield_now<M: Machine>() {
    debug_assert!(M::is_preemptible(), "gave way where it must not be preempted");
    M::masked(|| leave::<M>(Leaving::Yielding));
}

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
            M::scheduler().enqueue(strand);
        }
    }
    // SAFETY: on this core, masked; used no more before `arm`.
    let local = unsafe { core.local() };
    local.timer = None;
    local.must_repin = local.must_repin && !local.dispatcher.nudged::<M>();
    if !dispatcher::bound::is_bounded::<M>() {
        local.is_bounded = false;
    }
    if now >= local.slice_end {
        // Whoever cannot be preempted now is asked again later, and not at once, for ever.
        local.slice_end = now + QUANTUM_NS;
        if !core.queue.lock().is_empty() {
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
    M::core().look_again();
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
