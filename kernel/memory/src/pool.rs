//! The free frames that no core has cached: a bitmap for each 256 MiB of physical memory.
//!
//! The bitmaps are crate `bitmap-allocator`'s segment trees: they take no memory but their own, so
//! that the pool needs no heap (as an allocator over sets would, and the heap grows from frames),
//! and neither reads nor writes the frames that it keeps.

use core::ops::Range;

use bitmap_allocator::{BitAlloc, BitAlloc64K};

use crate::frame::{Frame, FrameRange};

/// The free frames among 65,536 consecutive ones (256 MiB). About 9 KiB.
pub struct Zone {
    free: usize,
    bits: BitAlloc64K,
}

impl Zone {
    /// Frames that a zone covers.
    pub const FRAMES: u64 = BitAlloc64K::CAP as u64;

    /// A zone with no free frame.
    pub const EMPTY: Self = Self { free: 0, bits: BitAlloc64K::DEFAULT };

    /// How many zones cover physical memory from zero up to `end` (bytes).
    pub const fn needed(end: u64) -> usize {
        end.div_ceil(Self::FRAMES * crate::PAGE_SIZE as u64) as usize
    }
}

/// The largest order of a range: a whole zone.
pub const MAX_ORDER: u8 = Zone::FRAMES.trailing_zeros() as u8;

/// All zones. The lowest free frame is taken first, so that large ranges stay whole above.
pub(crate) struct Pool {
    zones: &'static mut [Zone],
    /// No zone below this one has a free frame.
    lowest: usize,
}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self { zones: &mut [], lowest: 0 }
    }

    pub(crate) fn set_zones(&mut self, zones: &'static mut [Zone]) {
        assert!(self.zones.is_empty(), "the pool has its zones already");
        self.zones = zones;
    }

    /// Takes the lowest free frame.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        while let Some(zone) = self.zones.get_mut(self.lowest) {
            if let Some(bit) = zone.bits.alloc() {
                zone.free -= 1;
                return Some(Frame::numbered(self.lowest as u64 * Zone::FRAMES + bit as u64));
            }
            self.lowest += 1;
        }
        None
    }

    /// Takes 2^`order` frames. Looks at each free run below the one that it takes: where memory is
    /// badly fragmented this is long, so it is for rare things such as a heap's chunk.
    pub(crate) fn take_range(&mut self, order: u8) -> Option<FrameRange> {
        let size = 1_usize.checked_shl(order.into()).filter(|_| order <= MAX_ORDER)?;
        let candidates = self.zones.iter_mut().enumerate().skip(self.lowest);
        for (index, zone) in candidates.filter(|(_, zone)| zone.free >= size) {
            if let Some(bit) = zone.bits.alloc_contiguous(None, size, order.into()) {
                zone.free -= size;
                return Some(FrameRange::numbered(index as u64 * Zone::FRAMES + bit as u64, order));
            }
        }
        None
    }

    /// Makes the frames with these numbers free. Returns how many they are.
    ///
    /// # Panics
    /// Where one is free already or lies above the last zone: a bug of whoever made the tokens.
    pub(crate) fn put(&mut self, frames: Range<u64>) -> usize {
        let mut next = frames.start;
        while next < frames.end {
            let index = (next / Zone::FRAMES) as usize;
            let base = index as u64 * Zone::FRAMES;
            let end = frames.end.min(base + Zone::FRAMES);
            let zone = self.zones.get_mut(index).expect("the frame lies in a zone");
            let bits = (next - base) as usize..(end - base) as usize;
            let free = zone.bits.next(bits.start).is_some_and(|bit| bit < bits.end);
            assert!(!free, "a frame from number {next:#x} on is freed twice");
            zone.free += bits.len();
            zone.bits.insert(bits);
            self.lowest = self.lowest.min(index);
            next = end;
        }
        (frames.end - frames.start) as usize
    }
}
