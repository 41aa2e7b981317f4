//! What dispatch needs of the machine.

use crate::{border::Border, post::Agenda, retire::RetireList};

/// Stack that a handler finds when it is entered, in bytes. Where less is left it is not called, and
/// the raiser is told: an honest handler is not killed for a deep caller, and raises that nest without
/// end come to one.
pub const LEAST_STACK: usize = 16 * 1024;

/// The machine under the dispatcher: a kernel implements it over its cores, a test over threads.
///
/// # Safety
///
/// - [`top`](Self::top) and [`set_top`](Self::set_top) read and write one word that belongs to the
///   running strand, as a register does: whoever switches strands saves and restores it (see
///   [`Dispatcher`](crate::Dispatcher)), and an interrupt handler finds the word of the strand that
///   it interrupted.
/// - [`has_room`](Self::has_room) never says more than there is.
/// - [`masked`](Self::masked) really keeps the strand on this core, uninterrupted, while it runs.
pub unsafe trait Processor: 'static {
    /// The innermost open border of the running strand, or null. Cost: one load.
    fn top() -> *mut Border;

    /// Makes `border` the innermost border of the running strand. Cost: one store.
    fn set_top(border: *mut Border);

    /// Are [`LEAST_STACK`] bytes left below `border`, which lies in the caller's frame? Cost: one
    /// comparison with a word that belongs to the strand.
    fn has_room(border: &Border) -> bool;

    /// This core's number, below [`MOST_CORES`](crate::epoch::MOST_CORES). Means something only while the
    /// caller cannot be preempted; otherwise it is where the caller just was. Cost: one load.
    fn core_id() -> usize;

    /// Runs `body` on this core with interrupts masked: nothing else runs here meanwhile.
    /// For a few dozen instructions; nests.
    fn masked<T>(body: impl FnOnce() -> T) -> T;

    /// Runs `body` without being preempted, interrupts on: for the writers' locks of events, so that
    /// nobody spins for a strand that waits in a run queue.
    fn unpreempted<T>(body: impl FnOnce() -> T) -> T;

    /// Moves this core's participant to today's epoch: called when a strand leaves its outermost
    /// border and a [nudge](crate::Dispatcher::nudged) asked for it.
    fn repin();

    /// Where the replaced waits for its grace period: one list for all cores.
    fn retired() -> &'static RetireList;

    /// Something was put on that list: the housekeeper should look. Must not block or switch.
    fn summon_keeper();

    /// Blocks the running strand until `is_done`, which it asks again and again with pauses between, or
    /// when woken. Called only where [`might_sleep`](crate::context::might_sleep) allows it.
    fn wait_until(is_done: &dyn Fn() -> bool);

    /// Nanoseconds since some beginning, the same on all cores.
    fn now_ns() -> u64;

    /// The running strand runs something bounded from now on: the core on which it runs should look once in
    /// a while whether it [is late](crate::bound::is_late), for as long as it [is bounded](crate::bound),
    /// and again when it comes back to a core, there or elsewhere ([`Crossing::is_bounded`]). While ticks
    /// run anyway this must not touch the timer.
    ///
    /// [`Crossing::is_bounded`]: crate::Crossing::is_bounded
    fn keep_ticking();

    /// The agenda of core `core`: the mailboxes that wait for its workers. None if no such core runs
    /// strands; always the same for one that does, since cores do not go.
    fn agenda(core: usize) -> Option<&'static Agenda>;

    /// Wakes one of the workers of core `core` that sleep, after [`watch`](crate::post::watch) promised
    /// them so. From anywhere that something is posted from, interrupts included: must not wait for more
    /// than a lock that is held with interrupts masked. If all are awake, nothing need be done: each looks
    /// at the agenda before it sleeps.
    fn summon_worker(core: usize);
}
