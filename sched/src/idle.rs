//! What a core does without work: it looks for some in other queues, else it halts.
//!
//! # Stealing
//!
//! Only idle cores steal, each for itself, with no lock but that of the queue at which it looks. A thief
//! takes the most urgent strand that may run on its core, of those that wait for others; among equally
//! urgent ones that of the next core after its own, so that not all fall on one.
//!
//! - A strand that was queued for an idle core is left to it: it is about to run there, and two thieves do
//!   not pass it to and fro.
//! - Whoever has stolen wakes another idle core if something is left that it could take. So a thief that
//!   took something else than what it was called for leaves nobody behind.
//!
//! # Weak spots
//!
//! - A thief looks at no more than 64 strands of a queue: one that waits behind so many that must stay where
//!   they are is not found, and has to wait for its own core.
//! - A busy core gives nothing away: two strands that wait for one core, of which one could run on another
//!   that is busy with something as urgent, stay where they are. Equal strands have equal shares of their
//!   core, not of the machine: three on two cores have a half, a quarter and a quarter, until one waits.
//! - What is stolen comes with cold caches, and nobody asks how warm they were.

use alloc::sync::Arc;

use crate::{
    core::Core,
    machine::Machine,
    strand::{CoreSet, Strand},
    switch::{Leaving, leave},
};

/// The idle strand of this core: never returns. Called once on each core, on its boot stack, with
/// interrupts masked, after [`add_core`](crate::Scheduler::add_core).
pub fn run_idle<M: Machine>() -> ! {
    loop {
        let core = M::core();
        if core.queue.lock().is_empty() {
            halt(core);
        } else {
            leave::<M>(Leaving::Yielding);
        }
    }
}

fn halt<M: Machine>(core: &'static Core<M>) {
    let scheduler = M::scheduler();
    // Either we see the strand that was queued, or whoever queued it sees our bit and kicks us.
    scheduler.idle.announce(core.id());
    let mut has_stolen = false;
    if core.queue.lock().is_empty()
        && let Some(strand) = steal::<M>(core.id())
    {
        // It was queued on a busy core while nobody was idle yet.
        let taken = core.queue.lock().take_back(strand);
        has_stolen = taken.is_ok();
        // Where it may run was changed meanwhile.
        taken.unwrap_or_else(|exile| scheduler.enqueue(exile));
    }
    if core.queue.lock().is_empty() {
        core.arm_exactly();
        // SAFETY: on this core, masked; the reference ends with the statement.
        unsafe { core.local() }.dispatcher.halt();
        M::halt();
        // SAFETY: as above.
        unsafe { core.local() }.dispatcher.wake();
    }
    scheduler.idle.withdraw(core.id());
    // Whoever was called to steal, and has got work of its own meanwhile, leaves it to another.
    let is_refused = core.take_offer() && !core.queue.lock().is_empty();
    if has_stolen || is_refused {
        call_another::<M>();
    }
}

/// The other cores, from the next one on.
fn others<M: Machine>(thief: usize) -> impl Iterator<Item = &'static Core<M>> {
    let present = M::scheduler().present().0 & !(1 << thief);
    let below = (1 << thief) - 1;
    let (after, before) = (CoreSet(present & !below), CoreSet(present & below));
    after.iter().chain(before.iter()).filter_map(|id| M::scheduler().core(id))
}

/// Something about the most urgent strand that waits for that core and is wanted.
fn look<M: Machine, T>(
    core: &Core<M>,
    is_wanted: impl Fn(&Strand<M>) -> bool,
    what: impl Fn(&Strand<M>) -> T,
) -> Option<T> {
    let queue = core.queue.lock();
    // What an idle core has in its queue it is about to take.
    let is_spoken_for = queue.len() == 1 && core.level() == 0;
    if is_spoken_for { None } else { queue.look(is_wanted).map(|strand| what(strand)) }
}

/// Takes the most urgent strand that waits for another core and may run on this one.
fn steal<M: Machine>(thief: usize) -> Option<Arc<Strand<M>>> {
    // Whoever is looked at may be gone a moment later: then there is less to steal, and it is tried again.
    loop {
        let mut best = None;
        for core in others::<M>(thief) {
            let found = look(core, |strand| strand.affinity().has(thief), Strand::priority);
            if let Some(priority) = found
                && best.as_ref().is_none_or(|(highest, _)| priority > *highest)
            {
                best = Some((priority, core));
            }
        }
        let (_, core) = best?;
        let stolen = core.queue.lock().steal(thief);
        if let Some(strand) = stolen {
            strand.steals.add_one();
            M::core().steals.add_one();
            return Some(strand);
        }
    }
}

/// Wakes an idle core for whom something is left to steal.
pub(crate) fn call_another<M: Machine>() {
    let scheduler = M::scheduler();
    let idle = scheduler.idle.all();
    if idle == 0 {
        return;
    }
    for core in scheduler.cores() {
        let is_for_them = |strand: &Strand<M>| strand.affinity().0 & idle & !(1 << core.id()) != 0;
        if let Some(affinity) = look(core, is_for_them, Strand::affinity) {
            scheduler.offer(core.id(), affinity);
            return;
        }
    }
}
