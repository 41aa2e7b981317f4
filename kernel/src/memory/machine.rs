//! What the allocators need of this machine.

use ::memory::{Chunks, FrameRange, OutOfFrames};
use core::ptr::{self, NonNull};
use x86_64::instructions::interrupts;

use super::FRAMES;
use crate::{hook, layout};

/// The processors that this kernel runs on.
pub struct Cores;

impl ::memory::Machine for Cores {
    fn core() -> usize {
        hook::core_id() as usize
    }

    fn masked<R>(work: impl FnOnce() -> R) -> R {
        interrupts::without_interrupts(work)
    }
}

/// A lock of the memory module: see its lock order.
pub(super) type Lock<T> = ::memory::Lock<Cores, T>;

/// Chunks for heaps: ranges of frames, by their addresses in the direct map.
#[derive(Clone, Copy, Debug)]
pub struct DirectChunks;

// SAFETY: a range of frames is owned by whoever took it, until it is given back. The direct map
// maps all RAM writable, but for the image, which no allocator was given, and blocks of the text
// arena, which are taken from the allocator for as long as they are read-only.
unsafe impl Chunks for DirectChunks {
    fn claim(&self, order: u8) -> Result<NonNull<u8>, OutOfFrames> {
        let range = FRAMES.alloc_range(order)?;
        NonNull::new(direct_pointer(range.address())).ok_or(OutOfFrames)
    }

    unsafe fn give_back(&self, base: NonNull<u8>, order: u8) {
        let physical = base.as_ptr().addr() as u64 - layout::DIRECT_MAP;
        // SAFETY: the caller gives up what `claim` took as a range of this order, and forgot.
        FRAMES.free_range(unsafe { FrameRange::from_address(physical, order) });
    }
}

/// A pointer to physical memory through the direct map.
pub(super) fn direct_pointer(physical: u64) -> *mut u8 {
    ptr::with_exposed_provenance_mut(layout::direct(physical) as usize)
}
