//! The kernel's memory: what crate `memory`'s allocators get, and what is mapped where.
//!
//! 1. [`init()`]: from the loader's memory map to allocators and page tables that keep W^X.
//! 2. `machine`: what the allocators need of this machine; [`DomainHeap`].
//! 3. `space`: the kernel's address space, loaded on the boot core; a core that starts takes its CR3.
//!    `tables`: page tables.
//! 4. [`Stack`], [`map_mmio`], [`ImageSpace`]: windows of the kernel's half. `text`: frames for code.
//! 5. `tlb`: making every core forget a translation; [`set_shootdown`].
//! 6. [`audit()`]: whether the live tables keep what was promised. [`stats`]: counts.
//!
//! # Invariants
//! - No page is writable and executable, and no frame executable by one address and writable by
//!   another. [`audit()`] checks it, and the kernel's tests call it after each thing that maps.
//! - A frame is used anew only when no core can remember a translation to it: entries go, every core
//!   is told, then the frame is freed.
//! - The top page table never changes after [`init()`], so address spaces share the kernel's half by
//!   copying its entries.
//! - Everything that is mapped through this module is an owner that unmaps and frees when it is
//!   dropped, page tables included: the counts are then exactly what they were.
//!
//! # Lock order
//! `TABLES`, then the heap's and the frames' locks (see crate `memory`). `BLOCKS` of `text` and each
//! window's lock are leaves, and nothing is held while one of them is taken. No lock of this module
//! is held while other cores are told to forget translations: one of them may be waiting for that
//! lock with interrupts masked. What unmaps is therefore for strand context, with no spin lock held:
//! dropping a [`Stack`], an [`Image`] or a mapping of [`map_mmio`], and [`Image::populate`].
//! Allocating and freeing frames and heap memory is for any context but an NMI.

mod audit;
mod image;
mod init;
mod machine;
mod mmio;
mod space;
mod stack;
mod tables;
#[cfg(feature = "ktest")]
mod tests;
mod text;
mod tlb;
mod window;

use ::memory::{Frame, FrameCounts, Frames, Heap, HeapCounts, OutOfFrames};
use core::fmt;
use machine::{Cores, DirectChunks};

pub use audit::audit;
pub use image::{Image, ImageError, ImageSpace};
pub use init::{init, is_direct_mapped, reserve_low_page};
pub use mmio::map_mmio;
pub use stack::{Stack, guard_of};
pub use tables::Access;
pub use tlb::set_shootdown;

/// The machine's free frames.
pub static FRAMES: Frames<Cores> = Frames::new();

/// The kernel's heap.
#[global_allocator]
static HEAP: Heap<Cores, DirectChunks> = Heap::new(DirectChunks);

/// A heap for one domain: see [`::memory::DomainHeap`]. Make one with [`domain_heap`].
pub type DomainHeap = ::memory::DomainHeap<Cores, DirectChunks>;

/// An empty heap that may claim frames of `quota` bytes together. Dropping it hands all of them
/// back, whatever is still allocated: when the domain's code can run no more.
pub const fn domain_heap(quota: usize) -> DomainHeap {
    DomainHeap::new(DirectChunks, quota)
}

/// Why something cannot be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// There is no free frame for it or for its page tables.
    OutOfFrames,
    /// Its window has no such room: something must be unmapped first.
    WindowFull,
    /// The size or the range is zero, too large, or outside of what the processor can address.
    BadSize,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfFrames => OutOfFrames.fmt(f),
            Self::WindowFull => f.write_str("no address range is left for it: free another first"),
            Self::BadSize => f.write_str("nothing of this size can be mapped: check size and address"),
        }
    }
}

impl core::error::Error for MapError {}

impl From<OutOfFrames> for MapError {
    fn from(_: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

/// Frees a frame that was known by its address alone.
///
/// # Safety
/// The caller owns the frame, and no core can reach it by an address other than the direct map's.
unsafe fn free_frame(physical: u64) {
    // SAFETY: the caller owns the frame.
    FRAMES.free(unsafe { Frame::from_address(physical) });
}

/// Counts of the memory. Exact when nothing is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames; unused ones of the text arena are free too.
    pub frames: FrameCounts,
    /// The kernel's heap.
    pub heap: HeapCounts,
    /// Frames in blocks for code and constants.
    pub text_frames: usize,
    /// Of these the unused ones.
    pub text_free: usize,
    /// Stacks that exist.
    pub stacks: usize,
    /// Pages of device registers.
    pub mmio_pages: usize,
}

/// The counts. Any context, lock-free.
pub fn stats() -> Stats {
    let (text_frames, text_free) = text::counts();
    let mut frames = FRAMES.counts();
    frames.free += text_free;
    Stats {
        frames,
        heap: HEAP.counts(),
        text_frames,
        text_free,
        stacks: stack::count(),
        mmio_pages: mmio::count(),
    }
}

/// Gives what the cores have cached back to where other cores find it, and lets the heap shrink to
/// what is in use. Takes every cache's lock in turn: for tests, and for when memory is short.
#[cfg(feature = "ktest")]
pub fn drain() {
    HEAP.drain();
    FRAMES.drain();
}
