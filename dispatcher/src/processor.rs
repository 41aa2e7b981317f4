//! What dispatch needs of the machine.

use crate::{border::Border, retire::RetireList};

/// The machine under the dispatcher: a kernel implements it over its cores, a test over threads.
///
/// # Safety
///
/// - [`top`](Self::top) and [`set_top`](Self::set_top) read and write one word that belongs to the
///   running strand, as a register does: whoever switches strands saves and restores it (see
///   [`Dispatcher`](crate::Dispatcher)), and an interrupt handler finds the word of the strand that
///   it interrupted.
/// - [`stack_left`](Self::stack_left) never says more than there is.
/// - [`masked`](Self::masked) really keeps the strand on this core, uninterrupted, while it runs.
pub unsafe trait Processor: 'static {
    /// The innermost open border of the running strand, or null. Cost: one load.
    fn top() -> *mut Border;

    /// Makes `border` the innermost border of the running strand. Cost: one store.
    fn set_top(border: *mut Border);

    /// Bytes of stack that the running strand has left below the caller.
    fn stack_left() -> usize;

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
}
