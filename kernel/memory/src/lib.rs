//! Whorl's memory allocators, apart from the machine: frames and heaps with a cache for each core.
//!
//! 1. [`machine`]: what the allocators need of a processor, and the lock built on it.
//! 2. [`frame`]: [`Frame`] and [`FrameRange`], tokens that own physical memory.
//! 3. [`frames`]: [`Frames`], the allocator of frames; [`pool`] is the bitmap behind its caches.
//! 4. [`heap`]: [`Heap`], the kernel's global allocator; `class` and `list` are its cached blocks.
//! 5. [`domain`]: [`DomainHeap`], a heap with a quota that hands everything back when its domain dies.
//! 6. [`chunk`]: [`Chunks`], where both heaps get their memory.
//! 7. [`regions`]: [`Regions`], sets of addresses, to make sense of a memory map.
//!
//! # Invariants
//! - A frame is owned by exactly one of: a token, a core's magazine, the pool. Tokens are neither
//!   `Copy` nor `Clone`, so safe code can free no frame twice.
//! - Counts are sums of per-core numbers: exact when nobody allocates or frees, close otherwise,
//!   and never behind a lock.
//! - On the fast path a core takes only its own lock, whose cache line no other core touches but to
//!   drain the caches when memory runs out.
//! - No allocator of frames allocates from a heap, so a heap may grow while its lock is held.
//!
//! # Lock order
//! A core's heap cache, then the heap behind it, then a core's magazine of frames, then the pool. Two
//! caches or two magazines are never held at once. Interrupts are masked while any of them is held.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod chunk;
mod class;
pub mod domain;
pub mod frame;
pub mod frames;
pub mod heap;
mod list;
pub mod machine;
pub mod pool;
pub mod regions;

pub use chunk::Chunks;
pub use domain::{DomainCounts, DomainHeap, HeapError};
pub use frame::{Frame, FrameRange, OutOfFrames, PAGE_SIZE};
pub use frames::{FrameCounts, Frames};
pub use heap::{Heap, HeapCounts};
pub use machine::{Lock, MAX_CORES, Machine};
pub use pool::Zone;
pub use regions::Regions;

#[cfg(test)]
pub(crate) mod tests;
