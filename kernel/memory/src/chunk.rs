//! Where the heaps get their memory: chunks of frames.

use core::alloc::Layout;
use core::ptr::NonNull;

use talc::DefaultBinning;
use talc::base::binning::Binning;
use talc::base::{CHUNK_UNIT, Talc};
use talc::source::Source;

use crate::frame::{OutOfFrames, PAGE_SIZE};

/// A source of chunks of memory.
///
/// # Safety
/// Memory that `claim` returns is readable and writable, aligned to [`PAGE_SIZE`], used by nobody
/// else, and stays so until it is given back.
pub unsafe trait Chunks: Send + Sync {
    /// Claims 2^`order` pages of contiguous memory. Called with the heap's lock held and interrupts
    /// masked, so it must neither wait nor allocate from a heap.
    fn claim(&self, order: u8) -> Result<NonNull<u8>, OutOfFrames>;

    /// Takes a chunk back, in the same context.
    ///
    /// # Safety
    /// `claim(order)` returned `base`, it was not given back since, and nothing refers to it.
    unsafe fn give_back(&self, base: NonNull<u8>, order: u8);
}

/// The order of the smallest chunk that surely holds one allocation of `layout`, talc's own
/// structures and `header` bytes. `None` where no chunk is large enough.
pub(crate) fn order_for(layout: Layout, header: usize) -> Option<u8> {
    let own = talc::min_first_heap_size::<DefaultBinning>() + 4 * CHUNK_UNIT + header;
    let bytes = layout.size().checked_add(layout.align())?.checked_add(own)?;
    let pages = bytes.div_ceil(PAGE_SIZE).checked_next_power_of_two()?;
    u8::try_from(pages.trailing_zeros()).ok()
}

/// How the kernel's heap grows, and shrinks by what it grew once that is empty again.
pub(crate) struct Growth<C> {
    chunks: C,
    /// Order of a usual chunk; fewer pages are taken where no such range is free.
    usual: u8,
    /// Bytes claimed now.
    pub(crate) claimed: usize,
}

impl<C> Growth<C> {
    pub(crate) const fn new(chunks: C, usual: u8) -> Self {
        Self { chunks, usual, claimed: 0 }
    }
}

impl<C> core::fmt::Debug for Growth<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Growth").field("claimed", &self.claimed).finish_non_exhaustive()
    }
}

/// Claims a chunk of 2^`order` pages for `talc`.
pub(crate) fn grow<C: Chunks, B: Binning>(
    talc: &mut Talc<Growth<C>, B>,
    order: u8,
) -> Result<(), OutOfFrames> {
    let base = talc.source.chunks.claim(order)?;
    let size = PAGE_SIZE << order;
    // SAFETY: `Chunks` promises that the memory is ours alone until it is given back, which happens
    // in `resize` below only, when talc has given it up.
    let end = unsafe { talc.claim(base.as_ptr(), size) };
    // A page is more than talc's structures take, so it never refuses one.
    assert!(end.is_some(), "talc takes a chunk of a page or more");
    talc.source.claimed += size;
    Ok(())
}

// SAFETY: `acquire` reaches talc through its argument only, and `Chunks` promises not to allocate
// from a heap. `resize` returns one of its two arguments, both of which are talc's own.
unsafe impl<C: Chunks> Source for Growth<C> {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let least = order_for(layout, 0).ok_or(())?;
        let most = least.max(talc.source.usual);
        (least..=most).rev().find_map(|order| grow(talc, order).ok()).ok_or(())
    }

    const TRACK_HEAP_END: bool = true;

    /// Gives back a chunk that has become empty. The first chunk, which holds talc's own lists, is
    /// never reported as empty.
    unsafe fn resize(&mut self, chunk_base: *mut u8, heap_end: *mut u8, is_heap_base: bool) -> *mut u8 {
        if !is_heap_base {
            return heap_end;
        }
        // Talc keeps at most one unit at the chunk's beginning, and the chunk began at a page.
        let lead = match chunk_base.addr() % PAGE_SIZE {
            0 => PAGE_SIZE,
            lead => lead,
        };
        let size = heap_end.addr() - chunk_base.addr() + lead;
        debug_assert!(size.is_power_of_two() && size >= PAGE_SIZE, "chunks are powers of two");
        if let Some(base) = NonNull::new(chunk_base.wrapping_sub(lead)) {
            self.claimed -= size;
            let order = (size / PAGE_SIZE).trailing_zeros() as u8;
            // SAFETY: talc reports the whole chunk as free, from its base to its end, and forgets it
            // when its base is returned as its new end; `grow` claimed it by this base and order.
            unsafe { self.chunks.give_back(base, order) };
        }
        chunk_base
    }
}
