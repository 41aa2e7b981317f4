//! Asynchronous dispatch: handlers that are run by other strands than the raiser's.
//!
//! An invocation is *posted*: its arguments are copied into the [`Mailbox`] of the binding, and a strand
//! of a core's dispatcher, a *worker*, delivers it there. The parts, in the order in which a post meets
//! them:
//!
//! - [`posting`]: what an owner can choose, and who is invoked ([`Addressee`]).
//! - `ring`: the bounded queue of copies; [`mailbox`]: who may deliver, one at a time.
//! - [`agenda`]: the mailboxes of a core that have something to deliver.
//! - [`delivery`]: the way from a raiser to an agenda, and what a worker does.
//!
//! The workers themselves are strands and so are made elsewhere: by `sched`, or in a program by threads.
//! Each does this for ever:
//!
//! ```text
//! while let Some(turn) = post::take::<P>(core) {
//!     // make sure that another one watches, then
//!     turn.deliver::<P>(core);
//! }
//! // become one that Processor::summon_worker would wake, and then
//! if post::watch::<P>(core) { /* sleep */ }
//! ```
//!
//! # What is promised
//!
//! - **Order.** The invocations of one mailbox are delivered one at a time, in one order, which agrees
//!   with the order in which each raiser posted them. Between mailboxes there is no order.
//! - **Place.** Each is delivered on the core that [`Place`] says. A mailbox for `Place::Here` whose
//!   raisers are on several cores moves between these cores to keep both this and the order: each change
//!   of core costs a pass over an agenda and perhaps a kick. Where that is too slow, name a core.
//! - **Bounds.** A mailbox takes no memory after it was made. One that is full is an error for the raiser
//!   or a count, as [`OnFull`] says. The invocation that is being delivered has left the queue.
//! - **Fairness.** A mailbox that never runs empty gives way to the others on its core after each
//!   [`BATCH`] deliveries. A delivery that blocks holds up its own mailbox, and takes one worker with it.
//! - **Nothing is forgotten.** What was posted is delivered, or discarded and counted because the
//!   addressee is gone. A mailbox whose addressee is gone frees itself when it was emptied and its last owner
//!   let go of it: the last reference to the addressee may be dropped by a worker, on a strand.
//! - **No waiting.** A post takes no lock and allocates nothing. It is not atomic towards the scheduler,
//!   though: a raiser that is preempted in the middle of a post keeps what is posted behind it waiting
//!   until it goes on. For that reason one must not be cut there.
//!
//! # The context
//!
//! | what runs | on which strand and stack | may block | may allocate | may raise, may post | may be cut |
//! | --- | --- | --- | --- | --- | --- |
//! | an asynchronous delivery | a worker of the core's dispatcher, of normal priority, on the worker's stack, outside of all borders; the queue's memory was the installer's | yes | yes, from its own domain | yes, also to its own mailbox | at the landing of its own border; the worker goes on |
//! | a post | the raiser's, or an interrupt | no | no | | no |
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | two workers deliver for one binding | the flag of a mailbox is set by whoever gets its turn | there is at most one [`Turn`] | `tests/loom_post.rs` |
//! | a post comes just as a turn ends | both exchange the flag, the pusher after pushing, the other before a last look | what was pushed has a turn | `tests/loom_post.rs`, `tests/post.rs` |
//! | a post comes just as the last worker falls asleep | the watch is a value of the agenda's head, which the post replaces | somebody is summoned | `tests/loom_post.rs`, `tests/post.rs` |
//! | a slot is read while it is written | its sequence is stored after the copy | a copy is whole | `tests/loom_post.rs` |

pub mod agenda;
pub mod delivery;
pub mod mailbox;
pub mod posting;
mod ring;

pub use self::{
    agenda::Agenda,
    delivery::{is_empty, take, watch},
    mailbox::{BATCH, Mailbox, Turn},
    posting::{
        Addressee, Counts, Full, MOST_ALIGN, MOST_ARGS, MOST_CAPACITY, MailboxError, OnFull, Place, Posted,
        Posting,
    },
};
