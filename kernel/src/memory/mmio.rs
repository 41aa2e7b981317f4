//! Device registers.

use ::memory::PAGE_SIZE;
use x86_64::VirtAddr;

use super::MapError;
use super::tables::{self, DEVICE, TABLES};
use super::window::{Granules, Window};
use crate::layout;

static PAGES: Window = Window::new(layout::MMIO, 1);

/// Physical addresses end here (52 bits).
const PHYSICAL_END: u64 = 1 << 52;

/// Device registers that are mapped, uncached, writable and not executable, until this is dropped
/// (in strand context). An unmapped page follows.
#[derive(Debug)]
pub struct Mmio {
    pages: Granules,
    count: usize,
    offset: u64,
}

/// Maps `len` bytes of device registers at physical address `physical`.
///
/// # Errors
/// Where the range is empty or no physical address, or there are no frames for page tables or no
/// addresses left. Nothing is taken then.
pub fn map_mmio(physical: u64, len: usize) -> Result<Mmio, MapError> {
    let end = physical.checked_add(len as u64).filter(|end| *end <= PHYSICAL_END && len > 0);
    let end = end.ok_or(MapError::BadSize)?;
    let first = physical - physical % PAGE_SIZE as u64;
    let count = (end - first).div_ceil(PAGE_SIZE as u64) as usize;
    // One more, which stays unmapped.
    let pages = PAGES.take(count + 1).ok_or(MapError::WindowFull)?;
    // From here on `drop` undoes what was done.
    let mmio = Mmio { pages, count, offset: physical - first };
    let start = PAGES.address(&mmio.pages);
    for bytes in (0..count as u64).map(|page| page * PAGE_SIZE as u64) {
        TABLES.with(|tables| tables.map(start + bytes, first + bytes, DEVICE, 1))?;
    }
    Ok(mmio)
}

impl Mmio {
    /// Where the first register is.
    pub fn address(&self) -> VirtAddr {
        PAGES.address(&self.pages) + self.offset
    }

    /// Leaves the registers mapped for ever, and says where.
    pub fn leak(self) -> VirtAddr {
        let address = self.address();
        core::mem::forget(self);
        address
    }
}

impl Drop for Mmio {
    fn drop(&mut self) {
        // The pages are a device's: there is nothing to free.
        tables::unmap(PAGES.address(&self.pages), self.count, |_| {});
        PAGES.give_back(&mut self.pages);
    }
}

/// Opens the window. Once.
pub(super) fn init() {
    PAGES.open();
}

/// Pages that are mapped.
pub(super) fn count() -> usize {
    PAGES.taken()
}
