//! A worker's own tasks: it takes the newest, others take the oldest.

use alloc::{boxed::Box, collections::VecDeque};
use core::{
    hint,
    sync::atomic::{AtomicUsize, Ordering},
};

use spindle::strand;

use crate::worker::Worker;

/// What is to be done by whoever takes it.
pub type Job = Box<dyn FnOnce(&Worker) + Send>;

/// The most that a deque holds.
const MOST: usize = 256;
/// So often a lock is tried before others get the core: one of them may have it.
const TRIES: u32 = 100;

/// Tasks, each with a number that is greater than those of the tasks before it. On cache lines of its own.
#[repr(align(128))]
pub struct Deque {
    jobs: spin::Mutex<VecDeque<(u64, Job)>>,
    /// How many there are, for those who would rather not lock.
    count: AtomicUsize,
}

impl Deque {
    /// With room for as many as it takes.
    pub fn new() -> Self {
        Self { jobs: spin::Mutex::new(VecDeque::with_capacity(MOST)), count: AtomicUsize::new(0) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<(u64, Job)>) -> T) -> T {
        let mut tries = 0_u32;
        loop {
            if let Some(mut jobs) = self.jobs.try_lock() {
                let result = change(&mut jobs);
                // Relaxed: see `is_empty`.
                self.count.store(jobs.len(), Ordering::Relaxed);
                return result;
            }
            tries += 1;
            if tries.is_multiple_of(TRIES) {
                // Where this strand must not give way it spins on.
                _ = strand::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }

    /// Puts one in; gives it back if there is no room.
    pub fn push(&self, number: u64, job: Job) -> Result<(), Job> {
        self.with(|jobs| {
            if jobs.len() == MOST {
                return Err(job);
            }
            jobs.push_back((number, job));
            Ok(())
        })
    }

    /// Takes the newest, if its number is `from` or more.
    pub fn pop(&self, from: u64) -> Option<Job> {
        if self.is_empty() {
            return None;
        }
        self.with(|jobs| match jobs.back() {
            Some((number, _)) if *number >= from => jobs.pop_back().map(|(_, job)| job),
            _ => None,
        })
    }

    /// Takes the oldest.
    pub fn steal(&self) -> Option<Job> {
        if self.is_empty() {
            return None;
        }
        self.with(|jobs| jobs.pop_front().map(|(_, job)| job))
    }

    /// Is there none? Whoever must not miss one has a fence between its own word and this.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }
}
