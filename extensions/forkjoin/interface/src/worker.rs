//! What a worker does, and what tasks can ask of it.

use alloc::{boxed::Box, sync::Arc};
use core::{
    cell::Cell,
    ops::Range,
    sync::atomic::{Ordering, fence},
};

use spindle::{Error, strand};

use crate::{
    deque::Job,
    pool::Shared,
    task::{Owner, Task},
};

/// How many tasks of others a worker has begun at a time, one on top of the other, at most.
pub const MOST_HELPED: u32 = 6;

/// A worker, as the task that it runs sees it.
pub struct Worker {
    shared: Arc<Shared>,
    index: usize,
    /// The number of its next task.
    number: Cell<u64>,
    /// How many tasks it has begun while it waited for one.
    depth: Cell<u32>,
    /// For victims at random.
    seed: Cell<u32>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let seed = 0x9e37_79b9_u32.wrapping_mul(index as u32 + 1) | 1;
        Self { shared, index, number: Cell::new(1), depth: Cell::new(0), seed: Cell::new(seed) }
    }

    /// Its number among its pool's.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn wake(&self, other: usize) {
        self.shared.wake(other);
    }

    /// Its life: until the pool is closed and nothing is left to do, or the strand shall end.
    pub(crate) fn work(&self) {
        if let Ok(own) = strand::current() {
            // Relaxed: it is looked at by those who have seen, in another word, that this one sleeps.
            self.shared.strands[self.index].store(own.to_word(), Ordering::Relaxed);
            while strand::is_terminated() == Ok(false) {
                if let Some(job) = self.find() {
                    job(self);
                } else if self.shared.is_closed.load(Ordering::SeqCst) {
                    break;
                } else if self.sleep(true, || self.shared.is_closed.load(Ordering::SeqCst)).is_err() {
                    break;
                }
            }
        }
    }

    /// A task: its own newest, else a job from outside, else somebody's oldest.
    fn find(&self) -> Option<Job> {
        let own = self.shared.deques[self.index].pop(0);
        own.or_else(|| self.shared.jobs.steal()).or_else(|| self.steal())
    }

    fn steal(&self) -> Option<Job> {
        let count = self.shared.deques.len();
        let first = self.random() as usize % count;
        let victims = (0..count).map(|step| (first + step) % count).filter(|victim| *victim != self.index);
        victims.into_iter().find_map(|victim| self.shared.deques[victim].steal())
    }

    /// Marsaglia's xorshift.
    fn random(&self) -> u32 {
        let mut next = self.seed.get();
        next ^= next << 13;
        next ^= next >> 17;
        next ^= next << 5;
        self.seed.set(next);
        next
    }

    /// Is there a task that [`find`](Self::find) would find?
    fn has_any(&self) -> bool {
        !self.shared.jobs.is_empty() || self.shared.deques.iter().any(|deque| !deque.is_empty())
    }

    /// Sleeps until it is woken, unless `is_over`, or there is something to take for one who takes.
    fn sleep(&self, is_taker: bool, is_over: impl Fn() -> bool) -> Result<(), Error> {
        let shared = &self.shared;
        let bit = 1 << self.index;
        shared.asleep.fetch_or(bit, Ordering::SeqCst);
        if is_taker {
            shared.takers.fetch_or(bit, Ordering::SeqCst);
        }
        // See `Shared::published`.
        fence(Ordering::SeqCst);
        let slept = if is_over() || (is_taker && self.has_any()) { Ok(()) } else { strand::block() };
        shared.takers.fetch_and(!bit, Ordering::SeqCst);
        shared.asleep.fetch_and(!bit, Ordering::SeqCst);
        slept
    }

    /// Leaves `task` to whoever has time for it; [`wait`](Self::wait) for it on this worker. If 256 are left already
    /// it is done at once.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`] if the worker shall end: return, and pass it on.
    pub fn spawn<T, F>(&self, task: F) -> Result<Task<T>, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Worker) -> Result<T, Error> + Send + 'static,
    {
        if strand::is_terminated()? {
            return Err(Error::Terminated);
        }
        let number = self.number.get();
        self.number.set(number + 1);
        let (to_come, promise) = Task::new(number, Owner::Worker(self.index));
        let job: Job = Box::new(move |worker: &Worker| promise.keep(worker, task(worker)));
        match self.shared.deques[self.index].push(number, job) {
            Ok(()) => self.shared.published(),
            Err(job) => job(self),
        }
        Ok(to_come)
    }

    /// Waits for a task that this worker has left; if nobody has begun it, does it. While another is at it, this one
    /// does what there is to do elsewhere, and sleeps if there is nothing.
    ///
    /// # Errors
    ///
    /// What the task fails with; [`Error::Terminated`] or [`Error::Closed`] if the worker shall end;
    /// [`Error::Context`] for a task that another has left, [`Error::BadArgument`] for one that was waited for before.
    pub fn wait<T: Send + 'static>(&self, task: &Task<T>) -> Result<T, Error> {
        if !task.is_of(self.index) {
            // Only its owner is woken when it is done.
            return Err(Error::Context);
        }
        // Its own, and what it has left since.
        while !task.is_done()
            && let Some(job) = self.shared.deques[self.index].pop(task.number)
        {
            job(self);
        }
        loop {
            if task.is_done() {
                return task.take().unwrap_or(Err(Error::BadArgument));
            }
            let may_help = self.depth.get() < MOST_HELPED;
            if may_help && let Some(job) = self.find() {
                self.depth.set(self.depth.get() + 1);
                job(self);
                self.depth.set(self.depth.get() - 1);
            } else {
                self.sleep(may_help, || task.is_done())?;
            }
        }
    }

    /// Does `here`, and meanwhile lets somebody else do `there`, if anybody has time for it.
    ///
    /// # Errors
    ///
    /// What one of them fails with, else as for [`spawn`](Self::spawn).
    pub fn join<A, B, F, G>(&self, here: F, there: G) -> Result<(A, B), Error>
    where
        B: Send + 'static,
        F: FnOnce(&Worker) -> Result<A, Error>,
        G: FnOnce(&Worker) -> Result<B, Error> + Send + 'static,
    {
        let other = self.spawn(there)?;
        let one = here(self)?;
        Ok((one, self.wait(&other)?))
    }

    /// Calls `body` with parts of `range` that are no longer than `grain`, together all of it.
    ///
    /// # Errors
    ///
    /// What `body` fails with first, in the order of the range, else as for [`spawn`](Self::spawn).
    pub fn parallel_for<F>(&self, range: Range<usize>, grain: usize, body: &Arc<F>) -> Result<(), Error>
    where
        F: Fn(&Worker, Range<usize>) -> Result<(), Error> + Send + Sync + 'static,
    {
        self.reduce(range, grain, body, |(), ()| ())
    }

    /// Makes one of what `part` makes of parts of `range` that are no longer than `grain`. `combine` gets what
    /// came of neighbours, in their order.
    ///
    /// # Errors
    ///
    /// As for [`parallel_for`](Self::parallel_for).
    pub fn reduce<T, F, C>(
        &self,
        range: Range<usize>,
        grain: usize,
        part: &Arc<F>,
        combine: C,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Worker, Range<usize>) -> Result<T, Error> + Send + Sync + 'static,
        C: Fn(T, T) -> T + Copy + Send + 'static,
    {
        if range.len() <= grain.max(1) {
            return part(self, range);
        }
        let middle = range.start + range.len() / 2;
        let (further, rest) = (part.clone(), middle..range.end);
        let (one, other) = self.join(
            |worker| worker.reduce(range.start..middle, grain, part, combine),
            move |worker| worker.reduce(rest, grain, &further, combine),
        )?;
        Ok(combine(one, other))
    }
}
