//! Parallel jobs: what an application of `forkjoin` uses.
//!
//! A [`Pool`] has a worker for each core, which is a strand that `forkjoin` schedules. A job runs on one of them,
//! and leaves parts of itself as tasks; a worker that has nothing to do takes the oldest, and so the
//! largest, of somebody else's.
//!
//! ```ignore
//! use forkjoin_interface::{Pool, Worker};
//! use spindle::Error;
//!
//! fn fibonacci(worker: &Worker, n: u64) -> Result<u64, Error> {
//!     if n < 16 {
//!         return Ok(alone(n));
//!     }
//!     let (one, other) =
//!         worker.join(|worker| fibonacci(worker, n - 1), move |worker| fibonacci(worker, n - 2))?;
//!     Ok(one + other)
//! }
//!
//! let pool = Pool::new()?;
//! let answer = pool.run(|worker| fibonacci(worker, 30))?;
//! // The same by numbers: at most a hundred at a time are added up by one worker.
//! let sum = pool.run(|worker| {
//!     let part = Arc::new(|_: &Worker, part: Range<usize>| Ok(part.sum::<usize>()));
//!     worker.reduce(0..10_000, 100, &part, |one, other| one + other)
//! })?;
//! ```
//!
//! What a task uses it owns, or shares by `Arc`: it may run on any worker, at any time until it is waited for. All
//! of it lies in the application; only the workers' strands are `forkjoin`'s.
//!
//! # What it costs
//!
//! A task is two pieces of the heap, two locks that nobody else wants, mostly, and a call of the kernel: about a
//! thousand instructions. Make tasks that are worth it, ten thousand and more. It must also not be too
//! long: a worker notices between tasks, and where it leaves a new one, that its spindle is being unloaded, and
//! has three seconds for that.
//!
//! # When something fails
//!
//! Each of these functions fails with [`Error::Terminated`] or [`Error::Closed`] when the spindle is being
//! unloaded: pass it on. If `forkjoin` is unloaded, or ejected, the workers go on as ordinary strands, and
//! nothing fails. A task that panics takes the whole application along, like any panic.
//!
//! # Stack
//!
//! A worker has 64 KiB. While it waits for a task that another has, it does others, on top of what it was at; but no
//! more than [`MOST_HELPED`] deep. So a task and all that it calls should do with 8 KiB.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod deque;
mod pool;
mod task;
mod worker;

pub use pool::Pool;
pub use task::Task;
pub use worker::{MOST_HELPED, Worker};

use spindle::package::Package;

spindle::events! { "ForkJoin":
    /// Who schedules workers.
    pub event Scheduler { pub reserved: u64 } -> Package;
    /// How many workers can run at once.
    pub event Processors { pub reserved: u64 } -> u64;
}
