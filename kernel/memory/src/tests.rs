//! The allocators on the host: threads for cores, the host's allocator for frames.

mod domain;
mod frames;
mod heap;

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::boxed::Box;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread_local;
use std::vec::Vec;

use crate::{Chunks, Machine, OutOfFrames, PAGE_SIZE, Zone};

/// Threads as cores. No interrupt interrupts a thread, so masking them is nothing.
pub(crate) struct Threads;

impl Machine for Threads {
    fn core() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static MINE: usize = NEXT.fetch_add(1, Relaxed) % crate::MAX_CORES);
        MINE.with(|mine| *mine)
    }

    fn masked<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

/// Pages of the host, up to a limit. What was not given back goes with the last user.
pub(crate) struct Pages {
    pub(crate) left: AtomicUsize,
    claimed: Mutex<HashMap<usize, Chunk>>,
}

/// A chunk that was claimed.
struct Chunk(NonNull<u8>, u8);

// SAFETY: plain memory.
unsafe impl Send for Chunk {}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: `claim` allocated it with this layout, and made this value for it alone.
        unsafe { std::alloc::dealloc(self.0.as_ptr(), Pages::layout(self.1)) };
    }
}

impl Pages {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(limit), claimed: Mutex::default() })
    }

    /// What the host is asked for. Talc 5.1 computes where a request would end in a gap before it
    /// looks whether the gap is that long: in the kernel's direct map an address like any other, but
    /// under Miri out of bounds, so there the host's memory goes on behind the chunk.
    fn layout(order: u8) -> Layout {
        let slack = if cfg!(miri) { 4 << 20 } else { 0 };
        Layout::from_size_align((PAGE_SIZE << order) + slack, PAGE_SIZE).unwrap()
    }
}

// SAFETY: the host's allocator gives fresh memory of the layout, and nobody else has it.
unsafe impl Chunks for Arc<Pages> {
    fn claim(&self, order: u8) -> Result<NonNull<u8>, OutOfFrames> {
        let pages = 1 << order;
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(pages)).map_err(|_| OutOfFrames)?;
        // SAFETY: the layout is not of size zero.
        let base = NonNull::new(unsafe { std::alloc::alloc(Pages::layout(order)) }).unwrap();
        self.claimed.lock().unwrap().insert(base.addr().into(), Chunk(base, order));
        Ok(base)
    }

    unsafe fn give_back(&self, base: NonNull<u8>, order: u8) {
        self.left.fetch_add(1 << order, Relaxed);
        let chunk = self.claimed.lock().unwrap().remove(&base.addr().into());
        assert_eq!(chunk.map(|chunk| chunk.1), Some(order), "a chunk comes back as it was claimed");
    }
}

/// Small numbers without pattern (xorshift), the same in each run.
pub(crate) struct Random(pub(super) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// Rounds of a random test: few where Miri interprets them.
pub(crate) const fn rounds(native: usize) -> usize {
    if cfg!(miri) { native / 300 } else { native }
}

/// Empty zones for memory up to `end` bytes, which stay for ever.
pub(crate) fn zones(end: u64) -> &'static mut [Zone] {
    struct Kept(#[expect(dead_code, reason = "what it points to counts as not leaked")] *mut [Zone]);
    // SAFETY: never used again.
    unsafe impl Send for Kept {}
    static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

    let zones: Box<[Zone]> = (0..Zone::needed(end)).map(|_| Zone::EMPTY).collect();
    let zones = Box::into_raw(zones);
    KEPT.lock().unwrap().push(Kept(zones));
    // SAFETY: just made, and never freed; nobody else uses the pointer.
    unsafe { &mut *zones }
}
