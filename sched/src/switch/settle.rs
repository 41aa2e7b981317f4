//! What a strand does first when it has got a core: it settles the one that left.

use alloc::sync::Arc;

use super::After;
use crate::{
    core::{Core, Local},
    machine::Machine,
    package::{carried, hold::Held, seat},
    spawn::end,
    strand::{Priority, State, Strand},
};

/// The first act of a strand that has got a core: settles the one that left, and takes up its own
/// borders. Interrupts masked.
#[inline(always)]
pub(crate) fn finish<M: Machine>() {
    let core = M::core();
    // SAFETY: on this core, masked; ends before anything else is called that uses it.
    let local = unsafe { core.local() };
    // SAFETY: this strand runs now, and nobody else touches what was saved of it.
    let saved = unsafe { local.current.saved.get() };
    let is_usual = saved.crossing.is_bare() && !local.is_waited_for;
    if is_usual
        && let After::Park(strand) = &local.after
        && strand.managed.is_none()
    {
        M::set_stack_bottom(saved.bottom);
        let After::Park(strand) = local.take_after() else { unreachable!("it was just looked at") };
        strand.set_state(State::Blocked);
        if !strand.token.park() {
            // It was called between its decision to block and now.
            M::scheduler().enqueue_on(core.id(), strand);
        }
    } else {
        finish_in_full::<M>();
    }
}

/// [`finish`], whatever there is to do.
#[inline(never)]
fn finish_in_full<M: Machine>() {
    let core = M::core();
    // SAFETY: on this core, masked; ends before anything else is called that uses it.
    let local = unsafe { core.local() };
    // SAFETY: this strand runs now, and nobody else touches what was saved of it.
    let saved = unsafe { local.current.saved.get() };
    M::set_stack_bottom(saved.bottom);
    let mut is_bounded = false;
    if !saved.crossing.is_bare() {
        is_bounded = saved.crossing.is_bounded();
        local.is_bounded |= is_bounded;
        local.dispatcher.arrive::<M>(core::mem::take(&mut saved.crossing));
    }
    let mut is_waited_for = local.is_waited_for;
    match local.take_after() {
        After::Nothing => {}
        After::Requeue(strand) => {
            is_waited_for |= requeue(core, local, strand);
        }
        After::Park(strand) => {
            strand.set_state(State::Blocked);
            if let Some(managed) = strand.managed.as_ref().filter(|managed| managed.hold.get() != Held::Free)
            {
                // Before it can be called: whoever calls it moves it on from there.
                managed.hold.set(if managed.package.is_ejected() { Held::Free } else { Held::Blocked });
            }
            if !strand.token.park() {
                // It was called between its decision to block and now.
                match &strand.managed {
                    Some(managed) if managed.hold.get() != Held::Free => seat::awaken(strand),
                    _ => M::scheduler().enqueue_on(core.id(), strand),
                }
            }
        }
        After::Keep(strand) => {
            strand.set_state(State::Held);
            carried::give(strand, Held::Kept);
        }
        After::Interrupt { strand, carrier } => {
            // SAFETY: it does not run, and nobody else has it yet.
            let is_inside = unsafe { strand.saved.get() }.crossing.is_inside();
            seat::interrupted(&strand, local.recall.take());
            if let Some(carrier) = carrier {
                carrier.set_state(State::Runnable);
                core.queue.lock().push(carrier);
                core.look_again();
            }
            if is_inside && local.dispatcher.is_pool_low() {
                M::summon_reaper();
            }
        }
        After::Notify { strand, why, carrier } => {
            // SAFETY: it does not run, and nobody else has it yet.
            let is_inside = unsafe { strand.saved.get() }.crossing.is_inside();
            let is_low = is_inside && local.dispatcher.is_pool_low();
            match why {
                // As one that is called when it has parked: whoever is idle hears of it.
                None => seat::awaken(strand),
                Some(_) => seat::checkpointed(strand, why, carrier.is_none()),
            }
            if let Some(carrier) = carrier {
                carrier.set_state(State::Runnable);
                core.queue.lock().push(carrier);
                core.look_again();
            }
            if is_low {
                M::summon_reaper();
            }
        }
        After::End(strand) => end(strand),
    }
    if is_bounded {
        // While others ran the ticks may have stopped, and nobody else may come to need the timer.
        core.arm();
    } else if is_waited_for {
        core.watch_slice();
    }
}

/// Queues the strand that left and goes on later. Says whether the one for which it left now has an equal
/// that waits here.
fn requeue<M: Machine>(core: &Core<M>, local: &mut Local<M>, strand: Arc<Strand<M>>) -> bool {
    strand.set_state(State::Runnable);
    // SAFETY: it does not run, and is on no queue yet.
    let is_inside = unsafe { strand.saved.get() }.crossing.is_inside();
    let is_low = is_inside && local.dispatcher.is_pool_low();
    let (priority, affinity) = (strand.priority(), strand.affinity());
    let is_equal = priority >= local.ranking().priority();
    if priority > Priority::NORMAL || !affinity.has(core.id()) {
        // It may have another core at once, or must.
        M::scheduler().enqueue(strand);
    } else {
        let taken = core.queue.lock().take_back(strand);
        match taken {
            Ok(()) => M::scheduler().offer(core.id(), affinity),
            Err(exile) => M::scheduler().enqueue(exile),
        }
    }
    if is_low {
        // Filled before it is dry: a strand that never leaves its border could not be
        // preempted then, not even for the housekeeper.
        M::summon_reaper();
    }
    is_equal
}
