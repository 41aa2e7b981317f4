//! What a core does without work: it looks for some in other queues, else it halts.

use alloc::sync::Arc;

use dispatcher::epoch::MOST_CORES;

use crate::{
    core::Core,
    machine::Machine,
    strand::Strand,
    switch::{Leaving, leave},
};

/// The idle strand of this core: never returns. Called once on each core, on its boot stack, with
/// interrupts masked, after [`add_core`](crate::Scheduler::add_core).
pub fn run_idle<M: Machine>() -> ! {
    loop {
        let core = M::core();
        if core.queue.lock().is_empty()
            && let Some(strand) = steal::<M>(core.id())
        {
            core.queue.lock().push(strand);
        }
        if core.queue.lock().is_empty() {
            halt(core);
        } else {
            leave::<M>(Leaving::Yielding);
        }
    }
}

fn halt<M: Machine>(core: &'static Core<M>) {
    let idle = &M::scheduler().idle;
    // Either we see the strand that was queued, or whoever queued it sees our bit and kicks us.
    idle.announce(core.id());
    if core.queue.lock().is_empty()
        && let Some(strand) = steal::<M>(core.id())
    {
        // It was queued on a busy core while nobody was idle yet.
        core.queue.lock().push(strand);
    }
    if core.queue.lock().is_empty() {
        core.arm_exactly();
        // SAFETY: on this core, masked; the reference ends with the statement.
        unsafe { core.local() }.dispatcher.halt();
        M::halt();
        // SAFETY: as above.
        unsafe { core.local() }.dispatcher.wake();
    }
    idle.withdraw(core.id());
}

/// Takes a strand from another core's queue: from the next core on, so that not all fall on one.
fn steal<M: Machine>(thief: usize) -> Option<Arc<Strand<M>>> {
    let scheduler = M::scheduler();
    (thief + 1..MOST_CORES)
        .chain(0..thief)
        .filter_map(|id| scheduler.core(id))
        .find_map(|core| core.queue.lock().steal(thief))
}
