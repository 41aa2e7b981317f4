//! # Strands and the global scheduler
//!
//! A *strand* is a schedulable context: a stack, a place in a program, a priority. The *global
//! scheduler* shares the cores among strands: preemptive, by priority, round robin within one. This
//! crate knows no processor; what it needs of one is the trait [`Machine`].
//!
//! The parts, in the order in which a reader needs them:
//!
//! - [`machine`]: what must be supplied.
//! - [`strand`]: what a strand is; [`attributes`]: how urgent it is, and where it may run; [`change`]: how
//!   that changes while it lives; [`spawn`]: how one is made, joined and ended.
//! - [`scheduler`]: what all cores share; [`core`](mod@core): what each has for itself.
//! - [`switch`]: how a core goes from one strand to another, and what it leaves for afterwards.
//! - [`wait`]: block, unblock, sleep; [`timers`]: who sleeps until when.
//! - [`mod@terminate`]: how a strand is asked to end.
//! - [`queue`]: the run queue of a core; [`fifo`]: the intrusive list that it is made of.
//! - `account`: what is counted of all these, for people.
//! - `roll`: every strand that was made on a core; `joiners`: who waits for a strand's end.
//! - [`idle`]: what a core does without work: steal, else halt.
//! - [`workers`]: the strands that deliver what was posted for their core.
//! - [`sync`]: mutex, condition, semaphore, channel, barrier: those of [`waiting`], over these strands.
//! - [`package`]: thread packages, application schedulers above the global one.
//! - [`directory`]: the strands that spindles can name; `slots`: what it is made of, model-checked.
//! - `token`, `hail` and `spot`: the words by which strands and cores are called and found, model-checked.
//! - `host` (a feature): a machine of threads, for tests.
//!
//! # Locks
//!
//! Every lock in here is a leaf, a spin lock taken with interrupts masked and held for a few dozen
//! instructions; no two are ever held at once. So they need no order. The inner locks of [`waiting`] come
//! before all of them.
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | a strand is made runnable before its registers are saved | it is put on a queue, or opened to wakers, only by the strand that comes after it on its core ([`switch::After`]) | a strand runs on one core at a time | `tests/strands.rs` |
//! | a wake-up comes before the wait | wake-ups leave a token, and blocking takes it | no wake-up is lost | `tests/loom.rs`, `tests/strands.rs` |
//! | a core halts while work arrives | it says that it is idle before it looks at its queue a last time; who brings work looks at that word after queueing it | a queued strand's core does not stay halted | `tests/loom.rs`, `tests/strands.rs` |
//! | a post finds every worker busy, and one of them then sleeps | before it delivers, a worker makes sure that another watches | a delivery that sleeps holds up nobody else's, up to a bound | `tests/workers.rs` |
//! | a spindle names a strand that has ended, or invents a name | a name is a slot and its generation, compared under the slot's lock | a name leads to the strand that it was given for, or to nobody | `tests/loom_slots.rs`, `tests/directory.rs` |
//! | an ended strand's stack is freed or used again under its feet | it is given away by the strand that comes next on its core, to whoever needs one or to the reaper, who alone frees stacks | a stack has one user, and is freed when it has none | `tests/strands.rs` |
#![no_std]

extern crate alloc;
#[cfg(feature = "host")]
extern crate std;

mod account;
pub mod attributes;
pub mod change;
pub mod core;
pub mod directory;
pub mod fifo;
mod hail;
#[cfg(all(feature = "host", not(loom)))]
pub mod host;
pub mod idle;
mod joiners;
pub mod machine;
pub mod package;
mod primitive;
pub mod queue;
mod roll;
pub mod scheduler;
mod slots;
pub mod spawn;
mod spot;
pub mod strand;
pub mod switch;
pub mod sync;
pub mod terminate;
pub mod timers;
mod token;
pub mod wait;
pub mod workers;

pub use crate::{
    change::{AffinityError, lend, set_affinity, set_priority, take_back},
    core::Core,
    directory::Directory,
    idle::run_idle,
    machine::Machine,
    scheduler::Scheduler,
    spawn::{Builder, Handle, SpawnError, reap},
    strand::{CoreSet, Priority, State, Strand},
    switch::{hand_off, is_due, keep_ticking, on_kick, on_nudge, on_timer, preempt_if_due, repin, yield_now},
    sync::{Barrier, Channel, Condition, Mutex, MutexGuard, Refused, Semaphore, WaitError},
    terminate::{Terminated, Woken, is_terminated, terminate, try_block, try_block_until, try_sleep_ns},
    wait::{block, block_until, current, sleep_ns, unblock, wait_until},
    workers::Workers,
};
