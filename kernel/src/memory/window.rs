//! Which addresses of a window are taken.

use ::memory::PAGE_SIZE;
use bitmap_allocator::{BitAlloc, BitAlloc64K};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use x86_64::VirtAddr;

use super::machine::Lock;

/// A range of virtual addresses in granules of some pages, 65,536 of them.
pub(super) struct Window {
    base: u64,
    granule_pages: usize,
    free: Lock<BitAlloc64K>,
    taken: AtomicUsize,
}

/// Granules of a window: nobody else has them.
#[derive(Debug)]
pub(super) struct Granules {
    first: usize,
    count: usize,
}

impl Window {
    pub(super) const fn new(base: u64, granule_pages: usize) -> Self {
        Self { base, granule_pages, free: Lock::new(BitAlloc64K::DEFAULT), taken: AtomicUsize::new(0) }
    }

    /// Makes all of the window free. Once.
    pub(super) fn open(&self) {
        self.free.with(|free| free.insert(0..BitAlloc64K::CAP));
    }

    /// Pages in a granule.
    pub(super) const fn granule_pages(&self) -> usize {
        self.granule_pages
    }

    /// Bytes in a granule.
    pub(super) const fn granule(&self) -> u64 {
        (self.granule_pages * PAGE_SIZE) as u64
    }

    /// Takes the lowest granules that hold `pages` pages in a row. `None` where the window is full.
    pub(super) fn take(&self, pages: usize) -> Option<Granules> {
        let count = pages.div_ceil(self.granule_pages).max(1);
        let first = self.free.with(|free| match count {
            1 => free.alloc(),
            count => free.alloc_contiguous(None, count, 0),
        })?;
        self.taken.fetch_add(count, Relaxed);
        Some(Granules { first, count })
    }

    /// Gives granules back, in which nothing is mapped any more.
    pub(super) fn give_back(&self, granules: &mut Granules) {
        let Granules { first, count } = *granules;
        granules.count = 0;
        if count > 0 {
            self.free.with(|free| free.insert(first..first + count));
            self.taken.fetch_sub(count, Relaxed);
        }
    }

    /// Where granules begin.
    pub(super) fn address(&self, granules: &Granules) -> VirtAddr {
        self.address_of(granules.first)
    }

    /// Where a granule begins.
    pub(super) fn address_of(&self, granule: usize) -> VirtAddr {
        VirtAddr::new(self.base + granule as u64 * self.granule())
    }

    /// The granule that holds an address.
    pub(super) fn granule_of(&self, address: VirtAddr) -> Option<usize> {
        let granule = address.as_u64().checked_sub(self.base)? / self.granule();
        (granule < BitAlloc64K::CAP as u64).then_some(granule as usize)
    }

    /// Granules that are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }
}

impl Granules {
    /// The first granule's number.
    pub(super) fn first(&self) -> usize {
        self.first
    }
}
