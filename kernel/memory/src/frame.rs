//! Tokens that own physical memory.

use core::fmt;
use core::num::NonZeroU64;

/// Bytes in a frame.
pub const PAGE_SIZE: usize = 4096;

/// There is no free frame (or no free range of that size). Free something and try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

impl fmt::Display for OutOfFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no physical memory is left: unload a spindle, or start with more memory")
    }
}

impl core::error::Error for OutOfFrames {}

/// Ownership of one frame: [`PAGE_SIZE`] bytes of physical memory. Holds the frame's number, its
/// address divided by [`PAGE_SIZE`]; frame zero is never owned.
///
/// Dropping it leaks the frame: give it back by [`Frames::free`](crate::Frames::free).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a dropped frame is lost until the next boot"]
pub struct Frame(NonZeroU64);

impl Frame {
    /// The token for the frame at physical address `address`, for memory that was remembered by its
    /// address alone, as a page table does.
    ///
    /// # Panics
    /// Where `address` is zero or not a multiple of [`PAGE_SIZE`].
    ///
    /// # Safety
    /// The caller owns the frame: no other token for it exists, and no allocator holds it.
    pub unsafe fn from_address(address: u64) -> Self {
        assert!(address.is_multiple_of(PAGE_SIZE as u64), "a frame's address is page-aligned");
        Self::numbered(address / PAGE_SIZE as u64)
    }

    /// The frame's physical address in bytes.
    pub fn address(&self) -> u64 {
        self.0.get() * PAGE_SIZE as u64
    }

    /// The token for frame `number`; for the allocators, which know that they own it.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(NonZeroU64::new(number).expect("frame zero is never owned"))
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.get()
    }
}

/// Ownership of 2^order consecutive frames, aligned to their size.
///
/// Dropping it leaks the frames: give them back by
/// [`Frames::free_range`](crate::Frames::free_range).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a dropped range is lost until the next boot"]
pub struct FrameRange {
    first: NonZeroU64,
    order: u8,
}

impl FrameRange {
    /// The token for the 2^`order` frames at physical address `address`.
    ///
    /// # Panics
    /// Where `address` is zero or not aligned to the range's size.
    ///
    /// # Safety
    /// The caller owns these frames, as for [`Frame::from_address`].
    pub unsafe fn from_address(address: u64, order: u8) -> Self {
        assert!(address.is_multiple_of((PAGE_SIZE as u64) << order), "a range is aligned to its size");
        Self::numbered(address / PAGE_SIZE as u64, order)
    }

    /// The physical address of the first frame in bytes.
    pub fn address(&self) -> u64 {
        self.first.get() * PAGE_SIZE as u64
    }

    /// The binary logarithm of the number of frames.
    pub fn order(&self) -> u8 {
        self.order
    }

    /// The number of frames.
    pub fn frames(&self) -> usize {
        1 << self.order
    }

    /// The same memory as single frames, lowest first.
    pub fn split(self) -> impl Iterator<Item = Frame> {
        let first = self.first.get();
        (first..first + (1 << self.order)).map(Frame::numbered)
    }

    pub(crate) fn numbered(first: u64, order: u8) -> Self {
        Self { first: NonZeroU64::new(first).expect("frame zero is never owned"), order }
    }

    pub(crate) fn number(&self) -> u64 {
        self.first.get()
    }
}
