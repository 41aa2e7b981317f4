//! A domain's own heap.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use talc::DefaultBinning;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

use crate::chunk::{Chunks, order_for};
use crate::frame::{OutOfFrames, PAGE_SIZE};
use crate::machine::{Lock, Machine};

/// Order of the chunks by which a domain's heap grows: 64 KiB.
const USUAL_ORDER: u8 = 4;

/// Why a domain gets no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapError {
    /// The domain's quota does not allow another chunk that would hold the request.
    OverQuota,
    /// The machine has no free frames.
    OutOfFrames,
}

impl fmt::Display for HeapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverQuota => f.write_str("the domain's memory quota is used up: free something first"),
            Self::OutOfFrames => OutOfFrames.fmt(f),
        }
    }
}

impl core::error::Error for HeapError {}

/// Counts of a domain's heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainCounts {
    /// Sum of the sizes of live allocations, as requested.
    pub bytes: usize,
    /// Live allocations.
    pub blocks: usize,
    /// Frames claimed; what the quota is about.
    pub frames: usize,
}

/// A domain's heap: a talc of its own over chunks of frames, within a quota.
///
/// The quota is in bytes and charged by the frames that are claimed, not by what is asked for:
/// otherwise a domain that asks for single bytes would take 32 times its quota. Chunks are of
/// 64 KiB, smaller where the rest of the quota or of the machine is, larger for larger requests.
/// They stay until the heap is dropped, which hands all of them back, whatever is still allocated
/// in them and in whatever state the domain has left them.
pub struct DomainHeap<M: Machine, C: Chunks> {
    inner: Lock<M, Inner<C>>,
}

struct Inner<C: Chunks> {
    talc: Talc<Claims<C>, DefaultBinning>,
    bytes: usize,
    blocks: usize,
}

/// The chunks of a domain: a list through their first words.
struct Claims<C: Chunks> {
    chunks: C,
    last: Option<NonNull<Header>>,
    quota: usize,
    claimed: usize,
    /// Why the latest `acquire` failed, which talc cannot say.
    error: HeapError,
}

/// At the beginning of each chunk, before what talc manages.
struct Header {
    previous: Option<NonNull<Header>>,
    order: u8,
}

// SAFETY: what the pointers lead to is owned by this value, and `Chunks` is `Send`.
unsafe impl<C: Chunks> Send for Claims<C> {}

impl<M: Machine, C: Chunks> DomainHeap<M, C> {
    /// An empty heap that may claim frames of `quota` bytes together.
    pub const fn new(chunks: C, quota: usize) -> Self {
        let claims = Claims { chunks, last: None, quota, claimed: 0, error: HeapError::OverQuota };
        Self { inner: Lock::new(Inner { talc: Talc::new(claims), bytes: 0, blocks: 0 }) }
    }

    /// Allocates memory for `layout`; for size zero too, as if it were one byte.
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, HeapError> {
        self.inner.with(|inner| {
            let padded = at_least_one(layout).ok_or(HeapError::OverQuota)?;
            // SAFETY: `at_least_one` is never of size zero.
            let block = unsafe { inner.talc.allocate(padded) };
            let block = block.ok_or(inner.talc.source.error)?;
            inner.bytes += layout.size();
            inner.blocks += 1;
            Ok(block)
        })
    }

    /// Frees memory.
    ///
    /// # Safety
    /// [`allocate`](Self::allocate) of this heap returned `block` for this layout, it was not freed
    /// since, and nothing refers to it.
    pub unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.inner.with(|inner| {
            let padded = at_least_one(layout).expect("the block was allocated for this layout");
            // SAFETY: the caller's promise is talc's demand.
            unsafe { inner.talc.deallocate(block.as_ptr(), padded) };
            inner.bytes -= layout.size();
            inner.blocks -= 1;
        });
    }

    /// Changes the size of an allocation in place where there is room.
    ///
    /// # Safety
    /// As for [`deallocate`](Self::deallocate), but for the references: they may stay. Where this
    /// returns true, the block's layout is now of `new_size`.
    pub unsafe fn resize_in_place(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        self.inner.with(|inner| {
            let old = at_least_one(layout).expect("the block was allocated for this layout");
            let new = new_size.max(1);
            // SAFETY: the caller's promise is talc's demand, and `new` is not zero.
            let done = unsafe { inner.talc.try_realloc_in_place(block.as_ptr(), old, new) };
            if done {
                inner.bytes = inner.bytes - layout.size() + new_size;
            }
            done
        })
    }

    /// The quota in bytes.
    pub fn quota(&self) -> usize {
        self.inner.with(|inner| inner.talc.source.quota)
    }

    /// Sets the quota in bytes. One below what is claimed keeps the heap from growing.
    pub fn set_quota(&self, quota: usize) {
        self.inner.with(|inner| inner.talc.source.quota = quota);
    }

    /// The counts, exact. Takes the heap's lock.
    pub fn counts(&self) -> DomainCounts {
        self.inner.with(|inner| DomainCounts {
            bytes: inner.bytes,
            blocks: inner.blocks,
            frames: inner.talc.source.claimed / PAGE_SIZE,
        })
    }
}

/// What talc is asked for: `layout`, but at least a byte. `None` for an alignment of half the address
/// space, which no machine has.
fn at_least_one(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().max(1), layout.align()).ok()
}

impl<C: Chunks> fmt::Debug for Claims<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("quota", &self.quota).field("claimed", &self.claimed).finish()
    }
}

impl<C: Chunks> Claims<C> {
    /// Claims a chunk within the quota, of the usual size or the least that serves `layout`, and
    /// writes its header.
    fn claim(&mut self, layout: Layout) -> Result<NonNull<Header>, HeapError> {
        let least = order_for(layout, size_of::<Header>()).ok_or(HeapError::OverQuota)?;
        let rest = self.quota.saturating_sub(self.claimed);
        let mut error = HeapError::OverQuota;
        for order in (least..=least.max(USUAL_ORDER)).rev() {
            if PAGE_SIZE.checked_shl(order.into()).is_none_or(|size| size > rest) {
                continue;
            }
            let Ok(base) = self.chunks.claim(order) else {
                error = HeapError::OutOfFrames;
                continue;
            };
            let header = base.cast::<Header>();
            // SAFETY: the chunk is ours, writable, page-aligned and larger than a header.
            unsafe { header.write(Header { previous: self.last, order }) };
            self.last = Some(header);
            self.claimed += PAGE_SIZE << order;
            return Ok(header);
        }
        Err(error)
    }
}

// SAFETY: `acquire` reaches talc through its argument only, and `Chunks` promises not to allocate
// from a heap.
unsafe impl<C: Chunks> Source for Claims<C> {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let header = match talc.source.claim(layout) {
            Ok(header) => header,
            Err(error) => {
                talc.source.error = error;
                return Err(());
            }
        };
        // SAFETY: `claim` has written the header, and only `Drop` reads or writes it from now on.
        let order = unsafe { header.as_ref() }.order;
        let size = (PAGE_SIZE << order) - size_of::<Header>();
        // SAFETY: the chunk is longer than its header.
        let base = unsafe { header.add(1) };
        // SAFETY: the rest of the chunk is ours until `Drop` gives it back, when talc is gone.
        let end = unsafe { talc.claim(base.as_ptr().cast(), size) };
        end.map(|_| ()).ok_or(())
    }
}

impl<C: Chunks> Drop for Claims<C> {
    fn drop(&mut self) {
        while let Some(header) = self.last {
            // SAFETY: `claim` wrote the header before what talc manages, so nobody overwrote it.
            let Header { previous, order } = unsafe { header.read() };
            self.last = previous;
            // SAFETY: `claim` got the chunk by this order; each is in the list once. The heap is
            // being dropped: whoever used memory in it promised to be done with it.
            unsafe { self.chunks.give_back(header.cast(), order) };
        }
    }
}
