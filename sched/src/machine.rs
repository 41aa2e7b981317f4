//! What scheduling needs of the machine.

use dispatcher::Processor;

use crate::{
    core::Core,
    package::{ExitReason, Next, Package, Reason, Silent, Why},
    scheduler::Scheduler,
};

/// The machine under the scheduler.
///
/// # Safety
///
/// - [`core_id`](Processor::core_id) is the number of the core that runs the caller.
/// - [`switch`](Self::switch) does what it says, and a stack stays mapped while its owner lives.
/// - Interrupts that call into this crate do so with interrupts masked, once each has been
///   acknowledged, and call [`preempt_if_due`](crate::preempt_if_due) last.
/// - [`unpreempted`](Processor::unpreempted) does so too, when the outermost one ends where interrupts
///   are let in: a strand that woke a more urgent one gives way at once.
pub unsafe trait Machine: Processor + Sized {
    /// Owns a strand's stack.
    type Stack: Send;

    /// The one scheduler.
    fn scheduler() -> &'static Scheduler<Self>;

    /// Lays out a fresh stack so that switching to the returned stack pointer calls `entry` with
    /// interrupts masked.
    fn prepare(stack: &mut Self::Stack, entry: extern "C" fn() -> !) -> usize;

    /// The lowest address of a stack.
    fn stack_bottom(stack: &Self::Stack) -> usize {
        let _ = stack;
        0
    }

    /// Takes the stack of a strand that has ended, which nothing runs on any more, for the next strand that
    /// needs one; or gives it back, for the reaper to drop. On the core that the strand left, interrupts
    /// masked: it must not be dropped here if that takes a strand's context.
    fn keep_stack(stack: Self::Stack) -> Option<Self::Stack> {
        Some(stack)
    }

    /// Masks interrupts, and says whether they were let in before: [`Processor::masked`] by halves, for
    /// the shortest ways.
    fn mask() -> bool;

    /// Lets interrupts in again, if `were_in`: the other half.
    fn restore(were_in: bool);

    /// A counter that is cheap to read, and counts as evenly as the clock: for what is counted of strands.
    #[inline(always)]
    fn ticks() -> u64 {
        Self::now_ns()
    }

    /// The nanoseconds that so many [`ticks`](Self::ticks) last.
    fn ns_in(ticks: u64) -> u64 {
        ticks
    }

    /// From here on the running strand's stack ends at `bottom`, for
    /// [`Processor::has_room`]. Interrupts are masked.
    fn set_stack_bottom(bottom: usize) {
        let _ = bottom;
    }

    /// Saves the callee-saved registers on the present stack, the stack pointer in `save`, and goes
    /// on with what was saved at `load`.
    ///
    /// # Safety
    ///
    /// Interrupts are masked; `load` came from here or from [`prepare`](Self::prepare), and is used
    /// once.
    unsafe fn switch(save: *mut usize, load: usize);

    /// Lets interrupts in: the second act of a new strand.
    fn unmask();

    /// May the running strand lose its core now: is no [`Processor::unpreempted`] open?
    fn is_preemptible() -> bool;

    /// Interrupts core `core`, so that it calls [`on_kick`](crate::on_kick). Does not wait.
    fn kick(core: usize);

    /// Asks for a timer interrupt on this core at `deadline_ns`, or for none. Replaces what was asked
    /// for before.
    fn set_timer(deadline_ns: Option<u64>);

    /// Halts until the next interrupt and lets it in; returns with interrupts masked again. An
    /// interrupt that was pending on entry ends it at once.
    fn halt();

    /// Runs what must not be put off: tells the housekeeper that there are ended strands to reap, or
    /// that the pool of participants runs low.
    fn summon_reaper();

    /// Asks a package whom its virtual processor on core `core` shall run: raises `Strand.Resume`. On the
    /// processor's carrier.
    ///
    /// # Errors
    ///
    /// [`Silent`], of which [`Silent::Failed`] is the package's end. So with the other three.
    fn raise_resume(package: &Package<Self>, core: usize) -> Result<Next, Silent> {
        let _ = (package, core);
        Err(Silent::Failed)
    }

    /// Tells a package that a strand of its own has lost core `core` and can go on: raises
    /// `Strand.Checkpoint`. On a carrier, or on a strand of the package's that is about to give up its core.
    ///
    /// # Errors
    ///
    /// See [`raise_resume`](Self::raise_resume).
    fn raise_checkpoint(package: &Package<Self>, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
        let _ = (package, core, strand, why);
        Err(Silent::Failed)
    }

    /// Asks a package who shall have core `core` when a strand of its own, the running one, has given it up:
    /// raises `Strand.Block`. With zero the package is asked by its carrier.
    ///
    /// # Errors
    ///
    /// See [`raise_resume`](Self::raise_resume).
    fn raise_block(package: &Package<Self>, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
        let _ = (package, core, strand, reason);
        Err(Silent::Failed)
    }

    /// Tells a package that a strand of its own can run: raises `Strand.Unblock`. Where
    /// [`raise_checkpoint`](Self::raise_checkpoint) is raised.
    ///
    /// # Errors
    ///
    /// See [`raise_resume`](Self::raise_resume).
    fn raise_unblock(package: &Package<Self>, strand: u64) -> Result<(), Silent> {
        let _ = (package, strand);
        Err(Silent::Failed)
    }

    /// A package was ejected. On a strand; must not block.
    fn package_ejected(package: &Package<Self>, reason: ExitReason) {
        let _ = (package, reason);
    }

    /// This core's part. Means something only while interrupts are masked.
    fn core() -> &'static Core<Self> {
        Self::scheduler().core(Self::core_id()).expect("a core that runs strands was added")
    }
}
