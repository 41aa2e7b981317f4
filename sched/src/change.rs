//! Changes to a strand that lives: how urgent it is, and where it may run.
//!
//! A change holds for a strand wherever it stands. On a queue, it moves at once: to the list of its new
//! priority, or to a core where it may run. On a core, that core is interrupted, and looks again. Waiting,
//! it finds the change when it is woken.
//!
//! # The race
//!
//! A strand may be put on a queue while it is changed. Both sides write first, then look:
//!
//! - whoever changes it stores the change, then takes the lock of the queue of the core at which the
//!   strand stands, and mends that queue if the strand is in it;
//! - whoever queues it at a core where it did not stand before says so by its spot, and
//!   then, still under the queue's lock, compares what it went by with the strand's attributes.
//!
//! With a fence on either side, one of them at least sees the other: `tests/loom_policy.rs`. Whoever queues
//! pays none for it, having one already. A strand that goes back to the queue of the core
//! on which it ran, or is stolen, needs none: its spot names the queue before it enters it, so
//! whoever changes it takes the right lock, and comes before, and is seen under the lock, or after.

use alloc::sync::Arc;
use core::fmt;

use crate::{
    hail,
    machine::Machine,
    strand::{CoreSet, Priority, State, Strand},
    sync::StrandsOf,
};

/// Why a strand was not sent elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AffinityError {
    /// None of the cores that were asked for exists.
    NoSuchCore,
}

impl fmt::Display for AffinityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("none of the cores that were asked for exists: `cores` lists those that do")
    }
}

impl core::error::Error for AffinityError {}

/// Makes `strand` as urgent as that, by itself; what was lent to it stays lent. From anywhere. When this
/// returns, one that is queued stands behind its new equals, and the core of one that runs has been asked
/// to look whether something else should run now; and what one that waits lends to the owner of what it waits for
/// has changed with it.
pub fn set_priority<M: Machine>(strand: &Arc<Strand<M>>, priority: Priority) {
    change(strand, || strand.attributes.set_base(priority));
    waiting::walk::<StrandsOf<M>>(strand);
}

/// Makes `strand` at least as urgent as `priority` until that is [taken back](take_back), for somebody who
/// waits for it. From anywhere. Loans add up: the highest counts.
///
/// # Panics
///
/// If one strand is lent the same priority 65,536 times at once: lend once for all who wait for the same.
pub fn lend<M: Machine>(strand: &Arc<Strand<M>>, priority: Priority) {
    change(strand, || strand.attributes.lend(priority));
}

/// Ends one loan of that priority. From anywhere.
///
/// # Panics
///
/// If it was not lent: a bug of whoever keeps the accounts.
pub fn take_back<M: Machine>(strand: &Arc<Strand<M>>, priority: Priority) {
    change(strand, || strand.attributes.take_back(priority));
}

/// From now on `strand` runs only on cores of that set. From anywhere. One that is queued for another core
/// has moved when this returns; one that runs on another moves at that core's next interrupt, which is on
/// its way, and not before it can be preempted.
///
/// # Errors
///
/// [`AffinityError::NoSuchCore`]; nothing has changed then.
pub fn set_affinity<M: Machine>(strand: &Arc<Strand<M>>, affinity: CoreSet) -> Result<(), AffinityError> {
    if affinity.first_of(M::scheduler().present()).is_none() {
        return Err(AffinityError::NoSuchCore);
    }
    change(strand, || strand.attributes.set_affinity(affinity));
    Ok(())
}

fn change<M: Machine>(strand: &Arc<Strand<M>>, change: impl FnOnce()) {
    // As in `unblock`: should this core have something better to run now, it does so when this ends.
    M::unpreempted(|| {
        M::masked(|| {
            let before = (strand.priority(), strand.affinity());
            change();
            if (strand.priority(), strand.affinity()) != before {
                hail::after_changing();
                while !mend(strand) {}
            }
        });
    });
}

/// Brings the queue in which the strand stands in line with its attributes. False if the strand went
/// elsewhere meanwhile. Interrupts masked.
fn mend<M: Machine>(strand: &Arc<Strand<M>>) -> bool {
    let scheduler = M::scheduler();
    let core = scheduler.core(strand.core()).expect("strands stand at cores that exist");
    let mut queue = core.queue.lock();
    if strand.core() != core.id() {
        return false;
    }
    let Some(level) = queue.level_of(strand) else {
        let is_running = strand.state() == State::Running;
        drop(queue);
        if is_running {
            core.interrupt();
        }
        return true;
    };
    let (priority, affinity) = (strand.priority(), strand.affinity());
    if !affinity.has(core.id()) {
        let exile = queue.remove(strand);
        drop(queue);
        scheduler.enqueue(exile.expect("it is in the queue, which is locked"));
        return true;
    }
    if level != priority.number() {
        let strand = queue.remove(strand);
        queue.push(strand.expect("it is in the queue, which is locked"));
    }
    drop(queue);
    scheduler.announce(core, priority);
    true
}
