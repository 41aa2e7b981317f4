//! Who can run: a queue for each core.
//!
//! Nobody waits for a lock here: whoever has it may lose its core to strands of others, for longer than a package may
//! take for an answer. Who finds a queue locked takes another.

use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicUsize, Ordering};

use spindle::Strand;

/// The most cores that there are.
const MOST_CORES: usize = 64;
/// Queues beside those of the cores, for those who find theirs locked.
const SPARE: usize = 4;
/// Room that each begins with, so that hardly anybody asks for memory in between.
const ROOM: usize = 32;

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

    /// Changes the queue, and says what `change` says; nothing, if somebody else is at it.
    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let mut queue = self.queue.try_lock()?;
        let result = change(&mut queue);
        // Relaxed: whoever must not miss what was queued has a fence between that and its own word, see `IDLE`.
        self.count.store(queue.ready.len(), Ordering::Relaxed);
        Some(result)
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }
}

/// What [`Queues::next`] has found.
pub enum Found {
    /// This one.
    Ready(Strand),
    /// Nobody is ready.
    Nobody,
    /// Somebody may be, in a queue that was locked.
    Unknown,
}

/// All of them.
pub struct Queues {
    lines: [Line; MOST_CORES + SPARE],
    /// How many are used.
    count: AtomicUsize,
}

impl Queues {
    /// Nobody is ready.
    pub const fn new() -> Self {
        Self {
            lines: [const { Line::new() }; MOST_CORES + SPARE],
            count: AtomicUsize::new(MOST_CORES + SPARE),
        }
    }

    /// So many cores there are. Before anybody is queued.
    pub fn prepare(&self, cores: usize) {
        let count = cores.min(MOST_CORES) + SPARE;
        self.count.store(count, Ordering::Relaxed);
        for line in &self.lines[..count] {
            line.with(|queue| queue.ready.reserve(ROOM));
        }
    }

    /// The queues, that core's first.
    fn from(&self, core: u32) -> impl Iterator<Item = &Line> {
        let (before, after) = self.lines[..self.count.load(Ordering::Relaxed)].split_at(core as usize);
        after.iter().chain(before)
    }

    fn of(&self, core: u32) -> &Line {
        &self.lines[core as usize]
    }

    /// Queues one behind the others; how many these are.
    pub fn push(&self, core: u32, worker: Strand) -> usize {
        self.put(core, |queue| queue.ready.push_back(worker))
    }

    /// The worker has lost the core. It is the first, unless its slice is over; how many the others are.
    pub fn interrupted(&self, core: u32, worker: Strand, is_over: bool, now_ns: u64) -> usize {
        self.put(core, |queue| {
            if is_over || queue.last != worker || now_ns >= queue.slice_end_ns {
                queue.ready.push_back(worker);
            } else {
                queue.ready.push_front(worker);
            }
        })
    }

    /// Changes that core's queue, or the first that nobody else is at. Each is locked for a few instructions, and
    /// there are more than virtual processors.
    fn put(&self, core: u32, change: impl Fn(&mut Queue)) -> usize {
        loop {
            let put = self.from(core).find_map(|line| {
                line.with(|queue| {
                    change(queue);
                    queue.ready.len() - 1
                })
            });
            if let Some(others) = put {
                return others;
            }
        }
    }

    /// Takes the first on that core.
    pub fn pop(&self, core: u32) -> Option<Strand> {
        let line = self.of(core);
        if line.is_empty() { None } else { line.with(|queue| queue.ready.pop_front())? }
    }

    /// Takes the first on that core, or the last in another queue.
    pub fn next(&self, core: u32) -> Found {
        if let Some(worker) = self.pop(core) {
            return Found::Ready(worker);
        }
        let mut found = Found::Nobody;
        for line in self.from(core).filter(|line| !line.is_empty()) {
            match line.with(|queue| queue.ready.pop_back()) {
                Some(Some(worker)) => return Found::Ready(worker),
                Some(None) => {}
                None => found = Found::Unknown,
            }
        }
        found
    }

    /// The worker is about to run on that core; until when. It has the rest of its slice, or a new one.
    pub fn slice(&self, core: u32, worker: Strand, now_ns: u64, slice_ns: u64) -> u64 {
        let end = self.of(core).with(|queue| {
            if queue.last != worker || now_ns >= queue.slice_end_ns {
                queue.last = worker;
                queue.slice_end_ns = now_ns + slice_ns;
            }
            queue.slice_end_ns
        });
        end.unwrap_or(now_ns + slice_ns)
    }

    /// The worker is about to run on that core in the rest of somebody else's slice.
    pub fn goes_on(&self, core: u32, worker: Strand) {
        self.of(core).with(|queue| queue.last = worker);
    }
}
