//! What an application of `edf` uses: periodic tasks that were promised to meet their deadlines.
//!
//! ```ignore
//! use edf_interface::{Refusal, Task, spawn};
//!
//! // Every 20 ms it needs 2 ms, within 10 ms.
//! let task = Task { period_ns: 20_000_000, cost_ns: 2_000_000, deadline_ns: 10_000_000 };
//! let sampler = spawn("sampler", task, |jobs| {
//!     let mut missed = 0;
//!     for _ in 0..100 {
//!         sample();
//!         missed += u64::from(!jobs.wait_for_next()?.was_met);
//!     }
//!     Ok::<u64, spindle::Error>(missed)
//! });
//! match sampler {
//!     Ok(sampler) => assert_eq!(sampler.join()???, 0),
//!     Err(Refusal::NoRoom { most_ns, .. }) => println!("{most_ns} ns would be possible")?,
//!     Err(refusal) => println!("{refusal}")?,
//! }
//! ```
//!
//! # What is promised
//!
//! Each job of an admitted task, one in each period, has its `cost_ns` of a core before its deadline, whatever other
//! tasks, and all other strands of the machine, do; provided that it does not block in the kernel, and that the kernel's
//! own delays stay within the margins of `edf`'s admission. The first job begins when the strand does.
//!
//! # What is not
//!
//! - A job that needs more than it said goes on with what nobody else wants, until the next period brings its task
//!   a new budget: it may miss its deadline, and no other task does for its sake.
//! - A job that blocks in the kernel (sleeps, waits for a mutex or for a line of the console) has lost its promise until
//!   the next period, and goes on as above. A task that came back late to what it was promised could take it
//!   twice in a row, at the cost of others.
//! - A job that ends after the next one should have begun: those that should have begun meanwhile are left out,
//!   but for the last.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

use spindle::{
    Error,
    package::Package,
    raise,
    strand::{Builder, JoinHandle},
};

/// The raw events: what an answer says.
pub mod answer {
    /// Done.
    pub const DONE: u64 = 0;
    /// The task makes no sense.
    pub const BAD_TASK: u64 = 1;
    /// No core has so much to give.
    pub const NO_ROOM: u64 = 2;
    /// There are as many tasks as there can be.
    pub const FULL: u64 = 3;
    /// The strand that asks is one of the package's own, or the wrong one.
    pub const NOT_HERE: u64 = 4;
    /// There is no such task any more.
    pub const UNKNOWN: u64 = 5;
    /// The strand shall end, or the package is no more.
    pub const OVER: u64 = 6;
}

spindle::plain! {
    /// What a task needs, in nanoseconds: in each period, its cost within the deadline that is counted from the
    /// period's beginning.
    pub struct Task {
        /// From the beginning of a job to the beginning of the next: 1 ms to 1 s.
        pub period_ns: u64,
        /// The longest that a job computes, the call that waits for the next one included.
        pub cost_ns: u64,
        /// Between the cost and the period.
        pub deadline_ns: u64,
    }

    /// What came of asking.
    pub struct Admission {
        /// [`answer::DONE`], or why not.
        pub answer: u64,
        /// The task's number.
        pub ticket: u64,
        /// The core on which it will run.
        pub core: u64,
        /// If there is no room: the highest cost that would be admitted, in nanoseconds; zero for none.
        pub most_ns: u64,
        /// And of the core that has most, how much is not promised to anybody, in thousandths.
        pub left: u64,
    }

    /// The job that begins.
    pub struct Turn {
        /// [`answer::DONE`], or why there is none.
        pub answer: u64,
        /// When it was released, in nanoseconds since boot.
        pub release_ns: u64,
        /// When it must be done.
        pub deadline_ns: u64,
        /// How many jobs were left out, since the one before was too late.
        pub skipped: u64,
        /// Was the one before done by its deadline?
        pub was_met: bool,
    }
}

spindle::events! { "Edf":
    /// Who schedules.
    pub event Scheduler { pub reserved: u64 } -> Package;
    /// Asks for room for a task. Not by a strand of the package's.
    pub event Admit { pub task: Task } -> Admission;
    /// The strand that asks does the task's jobs from now on, and the first begins.
    pub event Join { pub ticket: u64 } -> Turn;
    /// The job of the strand that asks is done: waits until the next one begins.
    pub event Wait { pub ticket: u64 } -> Turn;
    /// The task is over: gives its share back.
    pub event Leave { pub ticket: u64 } -> u64;
}

/// Why a task was not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Its period is too short or too long, it costs nothing, or its cost, deadline and period are not in that order.
    BadTask,
    /// No core can promise so much.
    NoRoom {
        /// With this period and deadline, that much could be promised, in nanoseconds; zero for nothing.
        most_ns: u64,
        /// What is promised to nobody of the core that has most of that, in thousandths of a core.
        left: u64,
    },
    /// There are as many tasks as there can be.
    Full,
    /// It could not be asked, or the strand could not be made.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadTask => out.write_str(
                "a task's period is 1 to 1000 ms, its deadline no longer, and its cost no longer still",
            ),
            Self::NoRoom { most_ns: 0, left } => write!(
                out,
                "so soon a deadline cannot be met: {left} thousandths of a core are left, for later ones"
            ),
            Self::NoRoom { most_ns, left } => write!(
                out,
                "with that period and deadline {most_ns} ns can be promised; {left} thousandths of a core are left"
            ),
            Self::Full => out.write_str("there are too many tasks: wait until one has ended"),
            Self::Failed(error) => error.fmt(out),
        }
    }
}

impl core::error::Error for Refusal {}

fn done(answer: u64) -> Result<(), Error> {
    match answer {
        answer::DONE => Ok(()),
        answer::UNKNOWN => Err(Error::BadArgument),
        answer::OVER => Err(Error::Terminated),
        _ => Err(Error::Context),
    }
}

/// A task that was admitted; its share of a core is given back when this is dropped.
#[derive(Debug)]
struct Share(u64);

impl Drop for Share {
    fn drop(&mut self) {
        // If `edf` is gone, so is the share.
        let _ = raise(&Leave { ticket: self.0 });
    }
}

/// A job that begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    /// When it was released, in nanoseconds of [`clock::now`](spindle::clock::now).
    pub release_ns: u64,
    /// When it must be done.
    pub deadline_ns: u64,
    /// How many jobs before it were left out, since one was too late.
    pub skipped: u64,
    /// Was the job before it done by its deadline? True for the first.
    pub was_met: bool,
}

impl From<Turn> for Job {
    fn from(turn: Turn) -> Self {
        let Turn { release_ns, deadline_ns, skipped, was_met, .. } = turn;
        Self { release_ns, deadline_ns, skipped, was_met }
    }
}

/// A task's jobs, for the strand that does them.
#[derive(Debug)]
pub struct Jobs {
    share: Share,
    job: Job,
}

impl Jobs {
    /// The job that the strand is at.
    #[must_use]
    pub fn job(&self) -> Job {
        self.job
    }

    /// The job is done: waits until the next one begins, and returns it. If that should have begun already, at once.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`] if the strand shall end, or `edf` schedules no more; [`Error::Unbound`] if it is gone.
    pub fn wait_for_next(&mut self) -> Result<Job, Error> {
        let turn = raise(&Wait { ticket: self.share.0 })?;
        done(turn.answer)?;
        self.job = turn.into();
        Ok(self.job)
    }
}

/// Asks for a task, and makes a strand that does its jobs: `body` does the first, and then asks for
/// [the next](Jobs::wait_for_next), as often as it likes. When it returns, the task ends, and its share of the core
/// is free for others one period later. [`JoinHandle::join`] waits for what it returns, or for why it has not begun.
///
/// # Errors
///
/// See [`Refusal`]. [`Error::Context`] on a strand of `edf`'s: it takes a while, which could make others late.
pub fn spawn<T, F>(name: &str, task: Task, body: F) -> Result<JoinHandle<Result<T, Error>>, Refusal>
where
    F: FnOnce(&mut Jobs) -> T + Send + 'static,
    T: Send + 'static,
{
    let package = raise(&Scheduler { reserved: 0 })?;
    let admission = raise(&Admit { task })?;
    match admission.answer {
        answer::DONE => {}
        answer::BAD_TASK => return Err(Refusal::BadTask),
        answer::NO_ROOM => {
            return Err(Refusal::NoRoom { most_ns: admission.most_ns, left: admission.left });
        }
        answer::FULL => return Err(Refusal::Full),
        answer => {
            done(answer)?;
        }
    }
    let share = Share(admission.ticket);
    let strand = Builder::new(name).package(package).spawn(move || {
        let turn = raise(&Join { ticket: share.0 })?;
        done(turn.answer)?;
        Ok(body(&mut Jobs { share, job: turn.into() }))
    })?;
    Ok(strand)
}
