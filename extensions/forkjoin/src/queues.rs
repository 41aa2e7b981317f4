//! Who can run: a queue for each core.

use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicUsize, Ordering};

use spindle::Strand;

/// The most cores that there are.
const MOST_CORES: usize = 64;

/// One core's.
struct Queue {
    ready: VecDeque<Strand>,
    /// Who had the core last, and until when its slice lasts, in nanoseconds.
    last: Strand,
    slice_end_ns: u64,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Line {
    queue: spin::Mutex<Queue>,
    /// How many are ready, for those who would rather not lock.
    count: AtomicUsize,
}

impl Line {
    const fn new() -> Self {
        let queue = Queue { ready: VecDeque::new(), last: Strand::NONE, slice_end_ns: 0 };
        Self { queue: spin::Mutex::new(queue), count: AtomicUsize::new(0) }
    }

    /// Changes the queue, and says what `change` says. Never with another one locked.
    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.queue.lock();
        let result = change(&mut queue);
        // Relaxed: whoever must not miss what was queued has a fence between that and its own word, see `IDLE`.
        self.count.store(queue.ready.len(), Ordering::Relaxed);
        result
    }
}

/// All of them.
pub struct Queues([Line; MOST_CORES]);

impl Queues {
    /// Nobody is ready.
    pub const fn new() -> Self {
        Self([const { Line::new() }; MOST_CORES])
    }

    fn of(&self, core: u32) -> &Line {
        &self.0[core as usize % MOST_CORES]
    }

    /// Queues one behind the others; how many these are.
    pub fn push(&self, core: u32, worker: Strand) -> usize {
        self.of(core).with(|queue| {
            queue.ready.push_back(worker);
            queue.ready.len() - 1
        })
    }

    /// The worker has lost the core. It is the first, unless its slice is over and others wait; how many these are.
    pub fn interrupted(&self, core: u32, worker: Strand, is_over: bool, now_ns: u64) -> usize {
        self.of(core).with(|queue| {
            if is_over || queue.last != worker || now_ns >= queue.slice_end_ns {
                queue.ready.push_back(worker);
            } else {
                queue.ready.push_front(worker);
            }
            queue.ready.len() - 1
        })
    }

    /// Takes the first on that core.
    pub fn pop(&self, core: u32) -> Option<Strand> {
        self.of(core).with(|queue| queue.ready.pop_front())
    }

    /// Takes the first on that core, or the last on another.
    pub fn next(&self, core: u32) -> Option<Strand> {
        self.pop(core).or_else(|| {
            (1..MOST_CORES as u32).find_map(|further| {
                let line = self.of(core + further);
                if line.count.load(Ordering::Relaxed) == 0 {
                    return None;
                }
                line.with(|queue| queue.ready.pop_back())
            })
        })
    }

    /// The worker is about to run on that core; until when. It has the rest of its slice, or a new one.
    pub fn slice(&self, core: u32, worker: Strand, now_ns: u64, slice_ns: u64) -> u64 {
        self.of(core).with(|queue| {
            if queue.last != worker || now_ns >= queue.slice_end_ns {
                queue.last = worker;
                queue.slice_end_ns = now_ns + slice_ns;
            }
            queue.slice_end_ns
        })
    }

    /// The worker is about to run on that core in the rest of somebody else's slice.
    pub fn goes_on(&self, core: u32, worker: Strand) {
        self.of(core).with(|queue| queue.last = worker);
    }

    /// Takes the worker out, wherever it stands; how often it stood there.
    pub fn forget(&self, worker: Strand) -> u64 {
        let mut found = 0;
        for line in &self.0 {
            line.with(|queue| {
                let before = queue.ready.len();
                queue.ready.retain(|other| *other != worker);
                found += before - queue.ready.len();
            });
        }
        found as u64
    }
}
