//! Switches without a choice: to a strand that the one that leaves names, or that its package does.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{After, Leaving, Parting, depart, exchange, finish, leave, must_leave_again};
use crate::{
    core::{Core, Local},
    machine::Machine,
    package::Why,
    strand::Strand,
    wait::{block, unblock},
};

/// The running strand, which is carried, leaves the core to a strand of its package's that was claimed, or to
/// its carrier. Returns when it has its turn again; not, if it is over. Interrupts masked, outside of locks.
///
/// Cost: no queue, no timer: the slice is the carrier's, and goes on.
pub(crate) fn hand_over<M: Machine>(parting: Parting, next: Option<Arc<Strand<M>>>) {
    let core = M::core();
    // SAFETY: on this core, masked; used no more after the switch.
    let local = unsafe { core.local() };
    let crossing = depart::<M>(local, Leaving::Blocking).expect("who blocks can depart");
    let now = M::ticks();
    let next = next.or_else(|| local.carrier.take()).expect("only carried strands hand over");
    let (this, save, load) = exchange(core, local, next, crossing, now);
    this.clock.stop(now);
    local.set_after(match parting {
        Parting::Park => After::Park(this),
        Parting::Keep => After::Keep(this),
        Parting::Called => After::Notify { strand: this, why: None, carrier: None },
        Parting::End => After::End(this),
    });
    // SAFETY: as in `leave`; who was claimed is nobody else's.
    unsafe { M::switch(save, load) };
    finish::<M>();
}

/// The running strand, a carrier, goes over to a strand of its package's that was claimed; returns when it has
/// the core back, because that one left it to nobody else, the global scheduler took it away and now gives it
/// back, or `limit_ns` has passed, or it was recalled, perhaps already. Interrupts masked, outside of locks.
pub(crate) fn carry<M: Machine>(strand: Arc<Strand<M>>, limit_ns: Option<u64>, is_recalled: bool) {
    let core = M::core();
    // SAFETY: on this core, masked; used no more after the switch.
    let local = unsafe { core.local() };
    let crossing = depart::<M>(local, Leaving::Blocking).expect("who blocks can depart");
    let now = M::ticks();
    let (this, save, load) = exchange(core, local, strand, crossing, now);
    // Its clock goes on: what it carries is its time, too.
    local.carrier = Some(this);
    local.limit = limit_ns;
    local.recall = None;
    if is_recalled {
        // The interrupt has been, and found nobody to call off: the timer does it.
        local.recall = Some(Why::Recalled);
        local.limit = Some(M::now_ns());
    }
    if local.limit.is_some() {
        core.arm();
    }
    // SAFETY: as in `leave`; who was claimed is nobody else's.
    unsafe { M::switch(save, load) };
    finish::<M>();
}

/// Blocks the running strand, as [`block`](crate::block) does, and lets `to` go on, as
/// [`unblock`](crate::unblock) does: directly, in its place and for the rest of its slice, if `to` waits
/// and may run on this core, and nobody more urgent is queued for it.
#[track_caller]
pub fn hand_off<M: Machine>(to: &Arc<Strand<M>>) {
    assert!(M::is_preemptible(), "a strand that must not be preempted cannot block");
    let were_in = M::mask();
    let core = M::core();
    // SAFETY: on this core, masked; used no more after the switch.
    let local = unsafe { core.local() };
    let may_give_away = may_give_away(core, local, to);
    if may_give_away {
        if local.current.token.take() {
            // It was called meanwhile, so it does not wait.
            unblock(to);
        } else if !to.token.call() {
            // It does not wait, and will not the next time.
            leave::<M>(Leaving::Blocking);
        } else {
            give_away(core, local, to.clone());
        }
    }
    M::restore(were_in);
    if !may_give_away {
        unblock(to);
        block::<M>();
    }
}

/// Goes over to `to`, which was parked and has been called by the running strand.
#[inline(always)]
fn give_away<M: Machine>(core: &'static Core<M>, local: &mut Local<M>, to: Arc<Strand<M>>) {
    let crossing = depart::<M>(local, Leaving::Blocking).expect("who blocks can depart");
    core.note_level(Some(to.priority()));
    let now = M::ticks();
    let (this, save, load) = exchange(core, local, to, crossing, now);
    this.clock.stop(now);
    local.set_after(After::Park(this));
    // SAFETY: as in `leave`; who was called when it was parked is nobody else's.
    unsafe { M::switch(save, load) };
    finish::<M>();
    if must_leave_again::<M>() {
        leave::<M>(Leaving::Yielding);
    }
}

/// Would `to` be chosen now, were it not that others wait for longer? No thread package has a say in it.
#[inline(always)]
fn may_give_away<M: Machine>(core: &Core<M>, local: &mut Local<M>, to: &Strand<M>) -> bool {
    let is_managed = local.carrier.is_some() || to.managed.is_some();
    if is_managed || !to.affinity().has(core.id()) || core.is_due.load(Ordering::Relaxed) {
        return false;
    }
    let queue = core.queue.lock();
    let (highest, priority) = (queue.highest(), to.priority());
    local.is_waited_for = highest == Some(priority);
    highest.is_none_or(|highest| highest <= priority)
}

/// The running strand, which is over, leaves its core to the one who waits for that, if there is one who may have
/// the core at once, as [`hand_off`] would. Does not return then. Interrupts masked, outside of locks.
pub(crate) fn leave_for_joiner<M: Machine>() {
    let core = M::core();
    // SAFETY: on this core, masked; used no more after the switch.
    let local = unsafe { core.local() };
    let Some(joiner) = local.current.joiners.lock().only().cloned() else { return };
    if !may_give_away(core, local, &joiner) || !local.dispatcher.depart_bare::<M>() || !joiner.token.call() {
        return;
    }
    local.must_repin = false;
    core.note_level(Some(joiner.priority()));
    let now = M::ticks();
    local.slice_start = now;
    let (this, save, load) = exchange(core, local, joiner, None, now);
    this.clock.stop(now);
    local.set_after(After::End(this));
    // SAFETY: as in `leave`; who was called when it was parked is nobody else's.
    unsafe { M::switch(save, load) };
    unreachable!("an ended strand has no turn")
}
