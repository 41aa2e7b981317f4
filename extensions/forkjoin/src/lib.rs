//! `forkjoin`, a thread package for parallel jobs: it runs workers, each of which has tasks of its own to do
//! and takes some from the others when it has none.
//!
//! The tasks are the application's, and never cross a border; what they are, and how workers steal them, is in
//! the library that applications use, `forkjoin_interface`. Here are the strands: which worker has which virtual
//! processor, and for how long.
//!
//! - Each core has a queue of workers that can run ([`Queue`]). A virtual processor takes the first of its own
//!   core's, and if there is none the last of another's.
//! - A worker whose virtual processor lost its core goes on there, first of all, with the rest of its
//!   slice: what it works on is in that core's cache. One whose slice is over goes to the end of the queue, so that
//!   several applications share the cores.
//! - Whoever makes a second worker wait on one core wakes a virtual processor that has nobody, which takes it over.
//! - A worker without work sleeps in the kernel. It is given to a virtual processor that has nobody, if there is
//!   one, when it is woken: the one that it had before, if that is free.
//!
//! So an application with one worker for each core has each on a core of its own, and none of them moves; that is
//! the case for which this package is good. It is bad for strands that wait for each other often, one after the other:
//! each wake-up is a notice to a virtual processor. `cthreads` hands those over directly.
//!
//! Where an application is unloaded, its workers are taken from the package without its knowledge, and it may answer with
//! one that is no more: it is asked again.
//!
//! Weak spot: a worker whose virtual processor waits for its core, behind strands of others, is known to be waiting
//! only when that virtual processor runs again; so nobody takes it over meanwhile. Its *tasks* are taken, though.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod queues;

use core::sync::atomic::{AtomicU64, Ordering};

use forkjoin_interface::{Processors, Scheduler};
use queues::{Found, Queues};
use spindle::{
    Error, Strand, clock, export,
    package::{Builder, Next, Package, Reason, ThreadPackage, Why},
    processor,
};

/// How long a worker runs when others wait for its core, in nanoseconds.
const SLICE_NS: u64 = 20_000_000;
/// After what time to look again where somebody was at a queue, in nanoseconds.
const LOOK_NS: u64 = 100_000;

static QUEUES: Queues = Queues::new();
/// Virtual processors that found nobody when they asked last: bit *n* is core *n*.
static IDLE: AtomicU64 = AtomicU64::new(0);
/// Known as soon as it is registered; who asks before that has nobody idle to wake.
static PACKAGE: spin::Once<Package> = spin::Once::new();

struct ForkJoin;

impl ThreadPackage for ForkJoin {
    fn resume(&self, core: u32) -> Next {
        // Said before it looks, and whoever brings a worker looks at this after that: one of the two finds the other.
        IDLE.fetch_or(1 << core, Ordering::SeqCst);
        let now = clock::now().unwrap_or(0);
        match QUEUES.next(core) {
            Found::Ready(worker) => {
                IDLE.fetch_and(!(1 << core), Ordering::Relaxed);
                Next::RunUntil(worker, QUEUES.slice(core, worker, now, SLICE_NS))
            }
            Found::Nobody => Next::Idle,
            Found::Unknown => Next::IdleUntil(now + LOOK_NS),
        }
    }

    fn checkpoint(&self, core: u32, worker: Strand, why: Why) {
        let now = clock::now().unwrap_or(0);
        let others = QUEUES.interrupted(core, worker, why == Why::Limit, now);
        wake_for(others);
    }

    fn block(&self, core: u32, worker: Strand, reason: Reason) -> Option<Strand> {
        if reason == Reason::Yielded {
            QUEUES.push(core, worker);
        }
        // With nobody here, it is asked in `resume`, which looks elsewhere.
        let next = QUEUES.pop(core)?;
        QUEUES.goes_on(core, next);
        Some(next)
    }

    fn unblock(&self, worker: Strand) {
        // Where this is told: mostly on a virtual processor that was idle, which asks whom to run next.
        let others = QUEUES.push(processor::core().unwrap_or(0), worker);
        wake_for(others);
    }
}

/// So many others wait on the core for which one more has just been queued.
fn wake_for(others: usize) {
    core::sync::atomic::fence(Ordering::SeqCst);
    if others > 0
        && IDLE.load(Ordering::Relaxed) != 0
        && let Some(package) = PACKAGE.get()
    {
        // If the package was ejected there is nobody to wake.
        let _ = package.wake();
    }
}

/// Registers the package, and exports its interface.
pub fn start() -> Result<(), Error> {
    let cores = processor::cores()?;
    QUEUES.prepare(cores as usize);
    let package = Builder::new("forkjoin").register(ForkJoin)?;
    PACKAGE.call_once(|| package);
    export(move |_: &Scheduler| package)?;
    export(move |_: &Processors| u64::from(cores))
}
