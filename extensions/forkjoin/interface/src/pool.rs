//! Workers, and what they share.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use spindle::{
    Error, Strand, raise,
    strand::{self, Builder, JoinHandle},
};

use crate::{
    Processors, Scheduler,
    deque::{Deque, Job},
    task::{Owner, Task},
    worker::Worker,
};

/// The most workers of a pool.
const MOST_WORKERS: usize = 64;

/// What the workers of a pool share.
pub struct Shared {
    /// Each worker's own tasks.
    pub deques: Vec<Deque>,
    /// The strand of each, as a word; zero before it has begun.
    pub strands: Vec<AtomicU64>,
    /// Jobs from outside, which anybody takes.
    pub jobs: Deque,
    /// Who sleeps, or is about to: bit *n* is worker *n*.
    pub asleep: AtomicU64,
    /// Those of them who would take a task.
    pub takers: AtomicU64,
    /// No more jobs will come.
    pub is_closed: AtomicBool,
}

impl Shared {
    /// Wakes that worker, if it sleeps.
    pub fn wake(&self, worker: usize) -> bool {
        let bit = 1 << worker;
        if self.asleep.load(Ordering::SeqCst) & bit == 0 {
            return false;
        }
        self.takers.fetch_and(!bit, Ordering::SeqCst);
        let was_asleep = self.asleep.fetch_and(!bit, Ordering::SeqCst) & bit != 0;
        if was_asleep {
            // It has told its name before it said that it sleeps. If it has ended, it needs nothing.
            _ = strand::unblock(Strand::from_word(self.strands[worker].load(Ordering::Relaxed)));
        }
        was_asleep
    }

    /// There is one more task: wakes somebody who takes it, if anybody sleeps.
    pub fn published(&self) {
        // Between the task and the look at who sleeps; a sleeper has one between saying so and looking for tasks.
        fence(Ordering::SeqCst);
        let mut takers = self.takers.load(Ordering::Relaxed);
        // One that is just waking by itself looks for tasks once more before it sleeps.
        while takers != 0 && !self.wake(takers.trailing_zeros() as usize) {
            takers &= takers - 1;
        }
    }
}

/// Workers for parallel jobs. When it is dropped they end.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A worker for each core that `forkjoin` has.
    ///
    /// # Errors
    ///
    /// [`Error::Unbound`] if `forkjoin` is gone; else as for [`strand::Builder::spawn`].
    pub fn new() -> Result<Self, Error> {
        Self::with_workers(raise(&Processors { reserved: 0 })? as usize)
    }

    /// So many workers, at least one and at most 64.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_workers(count: usize) -> Result<Self, Error> {
        let count = count.clamp(1, MOST_WORKERS);
        let package = raise(&Scheduler { reserved: 0 })?;
        let shared = Arc::new(Shared {
            deques: (0..count).map(|_| Deque::new()).collect(),
            strands: (0..count).map(|_| AtomicU64::new(0)).collect(),
            jobs: Deque::new(),
            asleep: AtomicU64::new(0),
            takers: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        });
        // If one cannot be made, dropping this ends those before it.
        let mut pool = Self { shared, workers: Vec::with_capacity(count) };
        for index in 0..count {
            let shared = pool.shared.clone();
            let begin = move || Worker::new(shared, index).work();
            pool.workers.push(Builder::new("forkjoin worker").package(package).spawn(begin)?);
        }
        Ok(pool)
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Runs `job` on one of the workers, and waits for its result. On any strand, but not in a task: that one has
    /// a worker already, and could wait for itself.
    ///
    /// # Errors
    ///
    /// What the job fails with; [`Error::Closed`] or [`Error::Terminated`] if the strand must not wait any
    /// longer: the job may go on alone then; [`Error::Full`] if 256 jobs wait.
    pub fn run<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Worker) -> Result<T, Error> + Send + 'static,
    {
        let (task, promise) = Task::new(0, Owner::Outsider(strand::current()?));
        let job: Job = Box::new(move |worker: &Worker| promise.keep(worker, job(worker)));
        self.shared.jobs.push(0, job).map_err(|_| Error::Full)?;
        self.shared.published();
        loop {
            if let Some(result) = task.take() {
                return result;
            }
            strand::block()?;
        }
    }

    /// Lets the workers end, and waits for that.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::Terminated`] if the strand must not wait; they end all the same.
    pub fn end(mut self) -> Result<(), Error> {
        self.close();
        self.workers.drain(..).try_for_each(JoinHandle::join)
    }

    fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        for worker in 0..self.shared.deques.len() {
            self.shared.wake(worker);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}
