//! The allocator of physical frames.

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arrayvec::ArrayVec;

use crate::frame::{Frame, FrameRange, OutOfFrames, PAGE_SIZE};
use crate::machine::{Lock, MAX_CORES, Machine, Padded, PerCore, mine};
use crate::pool::{Pool, Zone};

/// Frames that a core keeps at most, 256 KiB.
const MAGAZINE: usize = 64;
/// Frames that move between a magazine and the pool at once.
const BATCH: usize = MAGAZINE / 2;

/// The allocator of physical frames: a magazine of single frames for each core over one pool.
///
/// Taking or freeing a frame is a few instructions under the core's own lock, and one trip to the
/// pool in 32. From any context; nothing here waits for more than a lock that is held briefly.
pub struct Frames<M> {
    cores: PerCore<Magazine<M>>,
    pool: Lock<M, Pool>,
    /// Frames in the pool; written under its lock only.
    pooled: AtomicUsize,
    total: AtomicUsize,
}

struct Magazine<M> {
    frames: Lock<M, ArrayVec<Frame, MAGAZINE>>,
    /// Its length, for readers without the lock; written under the lock only.
    count: AtomicUsize,
}

/// Counts of frames. Exact when no frame is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Frames that were ever given to the allocator.
    pub total: usize,
    /// Of them those that nobody has taken, cached ones included.
    pub free: usize,
    /// Of the free ones those in some core's magazine.
    pub cached: usize,
}

impl<M: Machine> Frames<M> {
    /// An allocator without frames.
    pub const fn new() -> Self {
        Self {
            cores: [const { Padded(Magazine::empty()) }; MAX_CORES],
            pool: Lock::new(Pool::new()),
            pooled: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
        }
    }

    /// Gives the allocator its bitmaps: [`Zone::needed`] of them, all [`Zone::EMPTY`]. Once, first.
    pub fn start(&self, zones: &'static mut [Zone]) {
        self.pool.with(|pool| pool.set_zones(zones));
    }

    /// Gives the allocator the memory between two physical addresses, multiples of [`PAGE_SIZE`].
    ///
    /// # Panics
    /// Where a frame in it was given before, is frame zero, or lies above the zones.
    ///
    /// # Safety
    /// The caller owns this memory and gives it up.
    pub unsafe fn give(&self, memory: Range<u64>) {
        let page = PAGE_SIZE as u64;
        assert!(memory.start >= page, "frame zero is never owned");
        assert!(memory.start.is_multiple_of(page) && memory.end.is_multiple_of(page), "whole frames");
        let count = self.put(memory.start / page..memory.end / page);
        self.total.fetch_add(count, Relaxed);
    }

    /// Takes one frame, of unknown content.
    pub fn alloc(&self) -> Result<Frame, OutOfFrames> {
        M::masked(|| mine::<M, _>(&self.cores).with(|frames| frames.pop().or_else(|| self.refill(frames))))
            .or_else(|| {
                self.drain();
                self.pool.with(|pool| self.recount(1, pool.take()))
            })
            .ok_or(OutOfFrames)
    }

    /// Gives a frame back.
    pub fn free(&self, frame: Frame) {
        M::masked(|| {
            mine::<M, _>(&self.cores).with(|frames| {
                if frames.is_full() {
                    self.spill(frames, BATCH);
                }
                frames.push(frame);
            });
        });
    }

    /// Takes 2^`order` consecutive frames, aligned to their size, of unknown content. Takes the
    /// pool's lock and looks through the bitmap: for rare things. `order` is at most 16.
    pub fn alloc_range(&self, order: u8) -> Result<FrameRange, OutOfFrames> {
        let take = || self.pool.with(|pool| self.recount(1 << order.min(63), pool.take_range(order)));
        take()
            .or_else(|| {
                self.drain();
                take()
            })
            .ok_or(OutOfFrames)
    }

    /// Gives a range back.
    pub fn free_range(&self, range: FrameRange) {
        self.put(range.number()..range.number() + range.frames() as u64);
    }

    /// Moves every core's cached frames to the pool, where a range can be made of them.
    pub fn drain(&self) {
        for Padded(core) in &self.cores {
            core.with(|frames| self.spill(frames, frames.len()));
        }
    }

    /// The counts. Takes no lock.
    pub fn counts(&self) -> FrameCounts {
        let cached = self.cores.iter().map(|Padded(core)| core.count.load(Relaxed)).sum();
        let free = self.pooled.load(Relaxed) + cached;
        FrameCounts { total: self.total.load(Relaxed), free, cached }
    }

    /// Takes one frame, and a batch for `frames`, from the pool.
    fn refill(&self, frames: &mut ArrayVec<Frame, MAGAZINE>) -> Option<Frame> {
        self.pool.with(|pool| {
            let first = pool.take()?;
            frames.extend((1..BATCH).map_while(|_| pool.take()));
            self.recount(1 + frames.len(), Some(first))
        })
    }

    /// Moves `count` of `frames` to the pool.
    fn spill(&self, frames: &mut ArrayVec<Frame, MAGAZINE>, count: usize) {
        if count == 0 {
            return;
        }
        self.pool.with(|pool| {
            for frame in frames.drain(..count) {
                let number = frame.number();
                pool.put(number..number + 1);
            }
            self.pooled.store(self.pooled.load(Relaxed) + count, Relaxed);
        });
    }

    fn put(&self, frames: Range<u64>) -> usize {
        self.pool.with(|pool| {
            let count = pool.put(frames);
            self.pooled.store(self.pooled.load(Relaxed) + count, Relaxed);
            count
        })
    }

    /// Counts `count` frames as gone from the pool where something was `taken`. Under its lock.
    fn recount<T>(&self, count: usize, taken: Option<T>) -> Option<T> {
        if taken.is_some() {
            // Relaxed: the pool's lock orders the writers, and a reader wants the number alone.
            self.pooled.store(self.pooled.load(Relaxed) - count, Relaxed);
        }
        taken
    }
}

impl<M: Machine> Magazine<M> {
    const fn empty() -> Self {
        Self { frames: Lock::new(ArrayVec::new_const()), count: AtomicUsize::new(0) }
    }

    /// Runs `work` on the magazine and then publishes its length.
    fn with<R>(&self, work: impl FnOnce(&mut ArrayVec<Frame, MAGAZINE>) -> R) -> R {
        self.frames.with(|frames| {
            let result = work(frames);
            // Relaxed: a reader wants the number alone.
            self.count.store(frames.len(), Relaxed);
            result
        })
    }
}

impl<M: Machine> Default for Frames<M> {
    fn default() -> Self {
        Self::new()
    }
}
