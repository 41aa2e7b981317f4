//! # Waiting: blocking primitives over strands
//!
//! A mutex, a condition, a semaphore, a bounded channel and a barrier for whoever has strands that can be
//! blocked and called. What they need of strands is the trait [`Strands`]: the kernel's scheduler has it, so
//! has the spindle's kit, so have threads in the tests; the source is the same.
//!
//! The parts, in the order in which a reader needs them:
//!
//! - [`Strands`]: what must be supplied.
//! - [`Mutex`], [`Condition`], [`Semaphore`], [`Channel`], [`Barrier`]; [`Error`]: why a wait brought nothing.
//! - `wait`: the one way in which all of them wait; `queue`: who stands in line; `lock`: the inner lock.
//! - `lending`: who waits for a mutex lends his urgency to its owner.
//!
//! # Three ways to wait
//!
//! Each primitive has them all. The plain one (`lock`, `wait`, `send`, `receive`) waits on, whatever
//! happens. The one that is `interruptible` ends with [`Error::Terminated`] when the strand shall end. The
//! one with a deadline (`_until`, in nanoseconds on the processor's clock) ends with that too, or with
//! [`Error::TimedOut`]. Who was granted what he waits for has it, even if his deadline has passed or he
//! shall end: what is granted is never lost.
//!
//! All three first ask whether the strand may block at all, and panic if it must not, even where there would
//! have been no need to wait. What never waits (`try_`, `signal`, `notify_`, `close`, the end of a
//! guard) may be called from anywhere that the inner lock's discipline allows; in the kernel from interrupts,
//! too, but for `try_lock` and guards, which belong to strands.
//!
//! # How it works
//!
//! A primitive is a few words and a queue under an inner lock. Who must wait puts a node, which lies in his
//! own frame, at the end of the queue, gives the lock back, and blocks. Who has something to grant takes
//! the first node out, exchanges what there is to exchange, calls the strand and then *settles* the node, all
//! under the lock; then he makes the strand run. So what is granted is handed over, and nobody who comes
//! later overtakes. A wait and its wake-up are one round through the lock each, without allocation, and
//! with the one clone of the strand's reference that then moves on to the run queue.
//!
//! Whoever is woken for another reason looks at his node, and blocks again. A primitive may so use up a
//! call that was meant for something else: who waits by [`Strands::block`] for something of his own
//! looks for it after each use of a primitive, not only before.
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | a grant comes between the look and the block | the look and the place in line are one step under the lock; calls leave tokens | no wake-up is lost | `loom`: all models; `threads`, `sched/tests/sync.rs` |
//! | a frame ends while its node is in line | the node is settled, or taken out under the lock, before the wait returns or unwinds | a linked node lies where it was pushed | `threads` under Miri |
//! | a waker calls a strand that has gone on and ended | the call comes before settling, both under the lock; a reference that outlives the lock is the waker's own | no strand is touched that may have ended | `loom`: `a_frame_may_end_once_settled` |
//! | a deadline passes while a grant is under way | the node is taken out, or found settled, under the lock | a grant is received, or not made; nothing is lost or twice | `loom`: `a_deadline_races_with_a_signal`; `threads` |
//! | others overtake for ever | direct hand-over, first come, first served | everybody's turn comes | `threads`: `first_come_first_served` |
//! | somebody notifies while a waiter gives his mutex back | the waiter stands in line before he gives it back | who is notified under the mutex finds those who wait | `loom`: `no_notification_is_lost` |
//! | the channel is closed while others come | closing, and coming into line, are steps under one lock | nobody waits at a closed channel | `loom`: `closing_wakes_everybody` |
//! | a strand of middling urgency keeps the owner from running | who waits lends, along the chain, until the lock is handed on, and that comes first | an urgent strand waits for critical sections, not for others' work | `threads`: `lending_*`; `sched/tests/sync.rs`; in the kernel `who_waits_lends` |
//! | strands wait for each other in a circle | the chain is followed for [`MOST_LINKS`]; along it, locks are only tried | lending ends | `threads`: `lending_ends_in_a_circle` |
//! | a core is kept with interrupts masked for long | one strand is woken for each round through the lock | the inner lock is held for a few dozen instructions | weak spot, below |
//!
//! # Weak spots
//!
//! - When a mutex with loans is handed on, or a waiter gives up, all its waiters are looked at under the inner
//!   lock, a few instructions each. A mutex that thousands wait for is better a different design.
//! - First come, first served is fair and slow: a contended mutex changes hands at the pace of switches.
//! - A semaphore, a condition and a channel have no owner, so nobody inherits by them.
//! - A guard that is forgotten is a lock that stays.
#![no_std]

extern crate alloc;

mod barrier;
mod channel;
mod condition;
mod error;
mod lending;
mod lock;
mod mutex;
mod primitive;
mod queue;
#[cfg(not(loom))]
mod raw;
mod semaphore;
mod strands;
mod wait;

pub use crate::{
    barrier::Barrier,
    channel::Channel,
    condition::Condition,
    error::{Error, Refused},
    lending::{Lending, MOST_LINKS, walk},
    mutex::{Mutex, MutexGuard},
    semaphore::Semaphore,
    strands::Strands,
};
