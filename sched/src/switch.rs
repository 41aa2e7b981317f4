//! How a core goes from one strand to another.
//!
//! What is to become of the strand that leaves cannot be done while it still stands on its stack: it
//! is left in [`After`] and done by the strand that comes next, as its first act.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use dispatcher::{Crossing, Departure};

use crate::{
    core::{Core, Local, TICK_NS},
    idle,
    machine::Machine,
    package::{Reason, Seat, Why, carried, hold::Held, seat},
    spawn::end,
    strand::{Priority, State, Strand},
    wait::{block, unblock},
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
    /// Its package keeps it.
    Keep(Arc<Strand<M>>),
    /// It has lost the core in its package's own code, and goes on when its carrier's turn comes.
    Interrupt {
        /// The strand.
        strand: Arc<Strand<M>>,
        /// The carrier.
        carrier: Arc<Strand<M>>,
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
    // Held until the new level is noted, so that whoever queues a strand after that compares it with
    // the strand that will run.
    let mut queue = core.queue.lock();
    let ranking = local.ranking();
    // One that may not run here any more leaves in any case.
    let is_exiled = !ranking.affinity().has(core.id());
    let must_go = !is_going_on || is_idle || is_exiled;
    let is_worth_it = |highest: Priority| must_go || highest >= ranking.priority();
    let has_next = recall.is_none() && queue.highest().is_some_and(is_worth_it);
    if !has_next && recall.is_none() && is_going_on && !is_exiled {
        let is_waited_for = queue.highest().is_some_and(|highest| highest >= ranking.priority());
        drop(queue);
        if local.recall.is_some() {
            // Asked again a little later: it is about to leave its package's own code.
            core.is_due.store(true, Ordering::Relaxed);
            core.arm();
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
    if recall.is_none() {
        let level = next.as_ref().map(|next| next.priority());
        local.is_waited_for = highest.is_some() && highest >= level;
        core.note_level(level);
    } else {
        local.is_waited_for = highest.is_some();
    }
    drop(queue);
    let mut carrier = local.carrier.take();
    let next = match recall {
        Some(_) => carrier.take(),
        None => next,
    };
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
        _ if is_in_own => After::Interrupt {
            strand: this,
            carrier: carrier.expect("whoever is in a package's code is carried"),
        },
        _ if carrier.is_some() || recall.is_some() => {
            After::Notify { strand: this, why: Some(recall.unwrap_or(Why::Preempted)), carrier }
        }
        Leaving::Preempted | Leaving::Yielding => After::Requeue(this),
        Leaving::Blocking => After::Park(this),
        Leaving::Ending => After::End(this),
    });
    local.slice_start = now;
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
        local.limit = Some(0);
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
            strand.managed.as_ref().expect("only managed strands are kept").hold.set(Held::Kept);
        }
        After::Interrupt { strand, carrier } => {
            // SAFETY: it does not run, and nobody else has it yet.
            let is_inside = unsafe { strand.saved.get() }.crossing.is_inside();
            seat::interrupted(&strand);
            carrier.set_state(State::Runnable);
            core.queue.lock().push(carrier);
            core.look_again();
            if is_inside && local.dispatcher.is_pool_low() {
                M::summon_reaper();
            }
        }
        After::Notify { strand, why, carrier } => {
            // SAFETY: it does not run, and nobody else has it yet.
            let is_inside = unsafe { strand.saved.get() }.crossing.is_inside();
            let is_low = is_inside && local.dispatcher.is_pool_low();
            seat::checkpointed(strand, why);
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
        core.queue.lock().push(strand);
        M::scheduler().offer(core.id(), affinity);
    }
    if is_low {
        // Filled before it is dry: a strand that never leaves its border could not be
        // preempted then, not even for the housekeeper.
        M::summon_reaper();
    }
    is_equal
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
    if now >= local.slice_end_ns() {
        // Whoever cannot be preempted now is asked again later, and not at once, for ever.
        local.slice_start = M::ticks();
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
