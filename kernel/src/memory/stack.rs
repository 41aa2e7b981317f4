//! Stacks with a guard page below.

use ::memory::PAGE_SIZE;
use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use x86_64::VirtAddr;

use super::tables::{self, Access, TABLES};
use super::window::{Granules, Window};
use super::{FRAMES, MapError};
use crate::layout;

/// Pages of a slot. The stack lies at its upper end, and nothing below it in the slot is mapped.
const SLOT_PAGES: usize = 64;
/// Pages of a slot for a small stack: a strand that parks among a hundred thousand others has one.
const SMALL_SLOT_PAGES: usize = 8;
/// Slots of a window.
const SLOTS: usize = 1 << 16;

/// The largest stack in bytes: a slot less the guard page.
pub const MAX_STACK_SIZE: usize = (SLOT_PAGES - 1) * PAGE_SIZE;

/// Bytes of the addresses of a window of small slots.
const SMALL_WINDOW: u64 = (SLOTS * SMALL_SLOT_PAGES * PAGE_SIZE) as u64;

/// Where slots are, those for small stacks first.
static WINDOWS: [Window; 3] = [
    Window::new(layout::SMALL_STACKS, SMALL_SLOT_PAGES),
    Window::new(layout::SMALL_STACKS + SMALL_WINDOW, SMALL_SLOT_PAGES),
    Window::new(layout::STACKS, SLOT_PAGES),
];

/// For each slot the pages of its stack, zero for none: a fault handler reads it without a lock.
static PAGES: [[AtomicU8; SLOTS]; WINDOWS.len()] =
    [const { [const { AtomicU8::new(0) }; SLOTS] }; WINDOWS.len()];

/// A stack: memory of its own, and below it at least a page that is not mapped. Its content is
/// unknown at first.
///
/// Dropping it unmaps it on all cores and frees its memory: in strand context, and on another stack.
#[derive(Debug)]
pub struct Stack {
    window: u8,
    pages: u8,
    slot: Granules,
}

/// A stack's guard that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The number of the slot in its window.
    pub slot: usize,
    /// The lowest address of the stack.
    pub bottom: VirtAddr,
    /// The address above the stack.
    pub top: VirtAddr,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stack {} ({:#x} to {:#x}) has overflowed", self.slot, self.bottom, self.top)
    }
}

impl Stack {
    /// A stack of `size` bytes, rounded up to pages, at most [`MAX_STACK_SIZE`].
    ///
    /// # Errors
    /// Where the size is zero or too large, or there are no frames or no slots left. Nothing is
    /// taken then.
    pub fn new(size: usize) -> Result<Self, MapError> {
        if size == 0 || size > MAX_STACK_SIZE {
            return Err(MapError::BadSize);
        }
        let pages = size.div_ceil(PAGE_SIZE);
        // The first that has room for the stack and its guard.
        let take = |(number, window): (usize, &Window)| {
            let slot = (pages < window.granule_pages()).then(|| window.take(window.granule_pages()))??;
            Some((number as u8, slot))
        };
        let (window, slot) = WINDOWS.iter().enumerate().find_map(take).ok_or(MapError::WindowFull)?;
        // From here on `drop` undoes what was done.
        let stack = Self { window, pages: pages as u8, slot };
        let mut page = stack.bottom();
        for _ in 0..pages {
            let frame = FRAMES.alloc()?;
            let (physical, flags) = (frame.address(), Access::ReadWrite.flags());
            if let Err(error) = TABLES.with(|tables| tables.map(page, physical, flags, 1)) {
                FRAMES.free(frame);
                return Err(error.into());
            }
            // The page table owns the frame from now on.
            page += PAGE_SIZE as u64;
        }
        // Relaxed: a fault on the stack happens on a core that was given it, hence after this.
        stack.noted_pages().store(pages as u8, Relaxed);
        Ok(stack)
    }

    /// The lowest address of the stack; the page below is the guard.
    pub fn bottom(&self) -> VirtAddr {
        self.top() - self.size() as u64
    }

    /// The address above the stack, where an empty stack's pointer points. Aligned to a page.
    pub fn top(&self) -> VirtAddr {
        let window = self.window();
        window.address(&self.slot) + window.granule()
    }

    fn window(&self) -> &'static Window {
        &WINDOWS[usize::from(self.window)]
    }

    fn noted_pages(&self) -> &'static AtomicU8 {
        &PAGES[usize::from(self.window)][self.slot.first()]
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        usize::from(self.pages) * PAGE_SIZE
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.noted_pages().store(0, Relaxed);
        // SAFETY: `new` took a frame for each page that is mapped, and `unmap` passes each once,
        // when no core can reach it any more.
        tables::unmap(self.bottom(), self.pages.into(), |physical| unsafe { super::free_frame(physical) });
        self.window().give_back(&mut self.slot);
    }
}

/// The stack whose guard `address` lies in, below its lowest page and above the next stack: a fault
/// there is its overflow. Any context, lock-free.
pub fn guard_of(address: VirtAddr) -> Option<Guard> {
    let in_window = |window: &Window| window.granule_of(address);
    let (number, slot) =
        WINDOWS.iter().map(in_window).enumerate().find_map(|(number, slot)| Some((number, slot?)))?;
    let (window, pages) = (&WINDOWS[number], u64::from(PAGES[number][slot].load(Relaxed)));
    let top = window.address_of(slot) + window.granule();
    let bottom = top - pages * PAGE_SIZE as u64;
    (pages > 0 && address < bottom).then_some(Guard { slot, bottom, top })
}

/// Opens the windows. Once.
pub(super) fn init() {
    WINDOWS.iter().for_each(Window::open);
}

/// Stacks that exist.
pub(super) fn count() -> usize {
    WINDOWS.iter().map(Window::taken).sum()
}
