//! What waiting needs of strands.

use crate::lending::Lending;

/// The strands of a scheduler, as the primitives see them: by a type that only says which scheduler.
///
/// # Safety
///
/// [`lending`](Self::lending) gives the same place for all clones of one reference to a strand, for as
/// long as any of them lives, and no other strand's. [`CAN_BE_CUT`](Self::CAN_BE_CUT) is true if a frame can go without
/// being unwound while others can still reach what lies in it. All else is about progress, not about memory:
/// what is answered wrongly there is a strand that waits too long, or not at all.
pub unsafe trait Strands: Sized + 'static {
    /// A reference to a strand. While it is kept, the strand can be called without harm, even if it has
    /// ended. Cloned and dropped where nothing may block; a clone of it is made for each wait.
    type Strand: Clone;

    /// Is it cheap to know who runs, so that a mutex knows its owner? If not, nobody is told that he waits for
    /// himself, and nothing is lent.
    const NAMES_OWNERS: bool = true;

    /// Can the frames of a strand go without being unwound, while others run that could wake it? Then what others reach
    /// lies on the heap, which outlives them all.
    const CAN_BE_CUT: bool = false;

    /// Runs `body`, in which an inner lock is taken and given back, so that nothing that may want the
    /// same lock comes in between on this core: in a kernel, interrupts masked. It may nest.
    fn shielded<T>(body: impl FnOnce() -> T) -> T;

    /// An inner lock was found held for the `tries`-th time: lets its holder go on. In a kernel the holder
    /// runs on another core, so a hint to the processor will do; where holders can be preempted, they
    /// must get a core by this, whatever their priority.
    fn relax(tries: u32);

    /// The running strand. Called shielded.
    fn current() -> Self::Strand;

    /// Do both name the same strand?
    fn is_same(one: &Self::Strand, other: &Self::Strand) -> bool;

    /// The running strand might block now: panics if it must not, as in a handler with a time bound.
    /// Called at the beginning of all that may block, whether it will or not, on the strand, unshielded.
    #[track_caller]
    fn might_block() {}

    /// Blocks the running strand until it is called; returns at once if it was called since the last
    /// time. May return for no reason. On the strand, unshielded.
    #[track_caller]
    fn block();

    /// As [`block`](Self::block), but no longer than until `deadline_ns` on the clock of
    /// [`now_ns`](Self::now_ns).
    #[track_caller]
    fn block_until(deadline_ns: u64);

    /// Calls a strand: if it blocks, or will block next, it goes on. True says that it goes on only when
    /// the caller passes it to [`resume`](Self::resume), which he then does, and till then does not
    /// run: so the reference that it keeps in its own frame can be taken. Called shielded, under an inner
    /// lock.
    fn call(strand: &Self::Strand) -> bool;

    /// Lets a strand run of which [`call`](Self::call) said so. Outside of locks.
    fn resume(strand: Self::Strand);

    /// Nanoseconds on the processor's clock.
    fn now_ns() -> u64;

    /// Shall the running strand end, so that its interruptible waits are over? Whoever decides that calls
    /// the strand afterwards, so that it sees it.
    fn is_terminated() -> bool;

    /// Where a strand keeps what is lent to it; `None` for all strands of a scheduler that does not lend.
    #[inline(always)]
    fn lending(strand: &Self::Strand) -> Option<&Lending<Self>> {
        let _ = strand;
        None
    }

    /// How urgent a strand is, what is lent to it included: the greater the sooner. Under locks.
    #[inline(always)]
    fn urgency(strand: &Self::Strand) -> u8 {
        let _ = strand;
        0
    }

    /// How urgent it is of its own.
    #[inline(always)]
    fn own_urgency(strand: &Self::Strand) -> u8 {
        let _ = strand;
        0
    }

    /// Makes a strand at least as urgent as `urgency`, until that is [taken back](Self::take_back): loans are
    /// counted, the highest counts. A runnable one is queued anew, and one that runs elsewhere noticed. Shielded,
    /// under inner locks: it takes only leaf locks, and does not switch.
    fn lend(strand: &Self::Strand, urgency: u8) {
        let _ = (strand, urgency);
    }

    /// Ends one loan of that urgency. Outside of locks: the running strand may lose its core by it.
    fn take_back(strand: &Self::Strand, urgency: u8) {
        let _ = (strand, urgency);
    }
}
