//! Parallel jobs over the package `forkjoin`: right on all numbers of cores, with or without the package, and gone
//! without a trace.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::RaiseError;
use sched::Machine;
use spindle::Error;

use super::{all, hello, loaded, unload};
use crate::{
    ktest::{Level, core_count, everywhere, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle},
};

/// Jobs of `queens`, and their answers: so many queens on a board, so many thousand values to sort.
const JOBS: [(u64, u64); 5] = [(1, 1), (6, 4), (8, 92), (10, 724), (100, 100_000)];
/// One that takes long enough to be met in the middle: 13 queens.
const LONG: (u64, u64) = (13, 73_712);

/// The answer of a job that failed with that.
const fn code(error: Error) -> Result<u64, RaiseError> {
    Ok(u64::MAX - error as u64)
}

/// The strands of the package, and whether there is one.
fn workers() -> Option<usize> {
    Cpu::scheduler().packages().all().first().map(|package| package.strands())
}

/// The level when the last strand that has ended is reaped.
fn level() -> Level {
    loop {
        let level = Level::settled();
        sched::sleep_ns::<Cpu>(20_000_000);
        if Level::settled() == level {
            return level;
        }
    }
}

/// Does that twice and compares the levels after it: the first time caches are filled.
#[track_caller]
fn twice(body: impl Fn()) {
    for core in 0..core_count() {
        Cpu::scheduler().directory().reserve(core, 1_024);
    }
    body();
    let before = level();
    body();
    assert_eq!(level(), before);
    assert!(all().is_empty() && workers().is_none());
}

/// A job on a strand of its own, and its answer to come.
struct Running {
    handle: Handle,
    answer: Arc<AtomicU64>,
}

impl Running {
    fn new(core: usize, job: u64) -> Self {
        let answer = Arc::new(AtomicU64::new(0));
        let there = answer.clone();
        let run = move || there.store(hello(job).expect("it is answered"), Ordering::SeqCst);
        let handle = guarded(on(core), run);
        Self { handle, answer }
    }

    fn join(self) -> Result<u64, RaiseError> {
        self.handle.join();
        Ok(self.answer.load(Ordering::SeqCst))
    }
}

/// Waits until the package has so many strands, and has not been ejected.
#[track_caller]
fn wait_for_workers(count: usize) {
    wait_until("the package has so many workers", || workers() == Some(count));
}

#[ktest]
fn parallel_jobs_are_right() {
    twice(|| {
        loaded("forkjoin");
        loaded("queens");
        for (job, answer) in JOBS {
            // One for each core, and any other number.
            for workers in [0, 1, 2, 3, 8, 20] {
                assert_eq!(hello(workers * 1_000 + job), Ok(answer), "job {job}, {workers} workers");
            }
        }
        wait_for_workers(0);
        assert_eq!(unload("queens"), Ok(()));
        assert_eq!(unload("forkjoin"), Ok(()));
    });
}

#[ktest]
fn every_core_has_a_parallel_job() {
    twice(|| {
        loaded("forkjoin");
        loaded("queens");
        everywhere(|_| {
            for (job, answer) in [(8, 92), (100, 100_000)] {
                assert_eq!(hello(2_000 + job), Ok(answer), "job {job}");
            }
        });
        assert_eq!(unload("queens"), Ok(()));
        assert_eq!(unload("forkjoin"), Ok(()));
    });
}

#[ktest]
fn two_applications_share_the_workers_cores() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    twice(|| {
        loaded("forkjoin");
        // Each raise is a job of the one and then a job of the other.
        loaded("queens");
        loaded("rivals");
        IS_OVER.store(false, Ordering::Relaxed);
        let last = core_count() - 1;
        let others = guarded(on(last), || {
            while !IS_OVER.load(Ordering::Relaxed) {
                assert_eq!(hello(9), Ok(352));
                sched::sleep_ns::<Cpu>(1_000_000);
            }
        });
        for _ in 0..3 {
            assert_eq!(hello(11), Ok(2_680));
        }
        IS_OVER.store(true, Ordering::Relaxed);
        others.join();
        for name in ["rivals", "queens", "forkjoin"] {
            assert_eq!(unload(name), Ok(()));
        }
    });
}

#[ktest]
fn an_application_is_unloaded_in_the_middle_of_its_job() {
    twice(|| {
        loaded("forkjoin");
        // More workers than cores, so that some wait in the package's queues.
        let workers = 2 * core_count();
        for round in 0..4 {
            let domain = loaded("queens");
            let job = Running::new(round % core_count(), workers as u64 * 1_000 + LONG.0);
            wait_for_workers(workers);
            // Where they are just beginning, and where they are at it.
            sched::sleep_ns::<Cpu>(3_000_000 * round as u64);
            assert_eq!(unload("queens"), Ok(()));
            let is_cut = domain.has_failed.load(Ordering::Relaxed);
            assert!(!is_cut, "the workers leave by themselves");
            drop(domain);
            let answer = job.join();
            assert!([code(Error::Closed), code(Error::Terminated)].contains(&answer), "{answer:?}");
            // Whoever waited for a worker's last instruction did not wait for the strand's.
            wait_for_workers(0);
            // It is as good as new.
            loaded("queens");
            assert_eq!(hello(8), Ok(92));
            assert_eq!(unload("queens"), Ok(()));
        }
        assert_eq!(unload("forkjoin"), Ok(()));
    });
}

#[ktest]
fn the_package_is_unloaded_in_the_middle_of_a_job() {
    twice(|| {
        for workers in [core_count(), 3 * core_count()] {
            loaded("forkjoin");
            loaded("queens");
            let job = Running::new(0, workers as u64 * 1_000 + LONG.0);
            wait_for_workers(workers);
            assert_eq!(unload("forkjoin"), Ok(()));
            assert!(self::workers().is_none());
            assert_eq!(job.join(), Ok(LONG.1), "the workers go on as ordinary strands");
            assert_eq!(hello(8), code(Error::Unbound), "there is nobody who would schedule new ones");
            assert_eq!(unload("queens"), Ok(()));
        }
    });
}
