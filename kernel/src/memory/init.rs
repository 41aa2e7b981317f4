//! From the loader's memory map to allocators and page tables.

use ::memory::{OutOfFrames, PAGE_SIZE, Regions, Zone};
use base::info::{Info, Kind, Region};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::{fmt, slice};
use spin::Once;

use super::machine::direct_pointer;
use super::space::{self, Physical};
use super::{FRAMES, HEAP, image, mmio, stack, text};
use crate::layout;

/// The memory below is the firmware's and the starting cores'.
const LOW_MEMORY: u64 = 1 << 20;

/// A page for the starting cores lies from here, above firmware's vectors and data, to the end.
const LOW_PAGES: Range<u64> = 0x8000..0x8_0000;

/// Where physical memory ends for us: what the direct map has room for.
const PHYSICAL_END: u64 = layout::DIRECT_MAP_SIZE;

/// The heap's first chunk: an eighth of RAM, but no less and no more than these (bytes).
const HEAP_SIZES: (u64, u64) = (2 << 20, 32 << 20);

static PHYSICAL: Once<Physical> = Once::new();
static LOW_PAGE: AtomicU64 = AtomicU64::new(0);

/// Why the memory cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// The memory map has not enough RAM below 4 GiB beside the image and the boot archive.
    TooLittle {
        /// Bytes of RAM that the map has altogether.
        ram: u64,
    },
    /// `init` was called before.
    Twice,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittle { ram } => {
                write!(f, "{} MiB of RAM are too little: start the machine with more", ram >> 20)
            }
            Self::Twice => f.write_str("memory::init was called twice"),
        }
    }
}

impl core::error::Error for InitError {}

/// Sets up frames, heap and page tables from what the loader said, and leaves the early page tables.
///
/// On the boot core, alone, with the processor's protections enabled. Then nothing is mapped in the
/// lower half, and the direct map has RAM and firmware's tables only.
///
/// # Errors
/// See [`InitError`]; there is nothing to go on with then.
pub fn init(info: &Info) -> Result<(), InitError> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Relaxed) {
        return Err(InitError::Twice);
    }
    let physical = PHYSICAL.call_once(|| physical(info.regions()));
    let ram = physical.ram.bytes();
    build(info, physical).map_err(|OutOfFrames| InitError::TooLittle { ram })
}

fn build(info: &Info, physical: &Physical) -> Result<(), OutOfFrames> {
    let mut usable = usable(info, &physical.ram);
    if let Some(page) = low_page(info, &physical.ram) {
        LOW_PAGE.store(page, Relaxed);
    }

    // The allocator's own bitmaps come first, from memory that can be reached already.
    let early = 0..layout::EARLY_DIRECT_MAP_SIZE;
    let zone_count = Zone::needed(usable.end());
    let zone_bytes = (zone_count * size_of::<Zone>()) as u64;
    let place = usable.find(zone_bytes, early.clone()).ok_or(OutOfFrames)?;
    usable.remove(place.clone());
    FRAMES.start(zones(place.start, zone_count));

    // The page tables are built from frames that the early ones reach, and then reach all.
    give(&usable, &early);
    space::init(physical)?;
    give(&usable, &(early.end..PHYSICAL_END));

    let wanted = (physical.ram.bytes() / 8).clamp(HEAP_SIZES.0, HEAP_SIZES.1);
    HEAP.reserve((wanted / PAGE_SIZE as u64).ilog2() as u8)?;
    stack::init();
    mmio::init();
    image::init();
    text::claim_block()
}

/// RAM, and what firmware keeps in RAM.
fn physical(map: &[Region]) -> Physical {
    let (mut ram, mut firmware) = (Regions::new(), Regions::new());
    let whole = |region: &Region| region.start..region.end();
    for region in map.iter().filter(|region| region.kind == Kind::Usable) {
        ram.insert(whole(region));
    }
    for region in map.iter().filter(|region| region.kind != Kind::Usable) {
        ram.remove(whole(region));
    }
    // Most firmware calls its tables reserved. They lie in RAM: directly above what it leaves to
    // us, or below 1 MiB. Whatever else is reserved are devices, and mapped by who drives them.
    for (index, region) in map.iter().enumerate() {
        let follows_ram = index > 0
            && map[index - 1].kind != Kind::Reserved
            && map[index - 1].end() == region.start
            && region.len <= 16 << 20;
        let is_firmware = match region.kind {
            Kind::Usable => false,
            Kind::Acpi | Kind::AcpiNvs => true,
            Kind::Reserved => follows_ram || region.end() <= LOW_MEMORY,
        };
        if is_firmware {
            // Its first and last pages may be shared with RAM, which is then not used.
            let page = PAGE_SIZE as u64;
            let start = region.start - region.start % page;
            let end = region.end().next_multiple_of(page);
            firmware.insert(start..end);
        }
    }
    for region in ram.iter() {
        firmware.remove(region);
    }
    for set in [&mut ram, &mut firmware] {
        set.remove(PHYSICAL_END..u64::MAX);
    }
    Physical { ram, firmware }
}

/// RAM that the allocator may have.
fn usable(info: &Info, ram: &Regions) -> Regions {
    let mut usable = ram.clone();
    usable.remove(0..LOW_MEMORY);
    usable.remove(layout::image_physical());
    if let Some(module) = &info.module {
        usable.remove(module.clone());
    }
    usable
}

/// A page that the processor can start other cores at.
fn low_page(info: &Info, ram: &Regions) -> Option<u64> {
    let mut low = ram.clone();
    if let Some(module) = &info.module {
        low.remove(module.clone());
    }
    low.find(PAGE_SIZE as u64, LOW_PAGES).map(|page| page.start)
}

/// The page below 1 MiB at which other cores may start: its physical address, the first time. In
/// RAM, and used by neither firmware nor the loader; reachable through the direct map, writable.
pub fn reserve_low_page() -> Option<u64> {
    Some(LOW_PAGE.swap(0, Relaxed)).filter(|page| *page != 0)
}

/// Whether the direct map maps a range of physical memory, writable or not: RAM does, and firmware's
/// tables. What it does not map needs [`map_mmio`](super::map_mmio).
pub fn is_direct_mapped(range: Range<u64>) -> bool {
    let holds = |physical: &Physical| {
        physical.ram.contains(range.clone()) || physical.firmware.contains(range.clone())
    };
    PHYSICAL.get().is_some_and(holds)
}

/// Writes `count` empty zones at physical address `start`.
fn zones(start: u64, count: usize) -> &'static mut [Zone] {
    let first: *mut Zone = direct_pointer(start).cast();
    for index in 0..count {
        // SAFETY: `build` took this memory, large enough for all of them, out of what others get.
        let zone = unsafe { first.add(index) };
        // SAFETY: aligned to a page, hence to a zone; mapped by the early direct map.
        unsafe { zone.write(Zone::EMPTY) };
    }
    // SAFETY: all of them were written, and nobody else knows of this memory. The direct map maps
    // it, early and later.
    unsafe { slice::from_raw_parts_mut(first, count) }
}

/// Gives the allocator what is usable within `bounds`.
fn give(usable: &Regions, bounds: &Range<u64>) {
    for range in usable.iter() {
        let range = range.start.max(bounds.start)..range.end.min(bounds.end);
        if !range.is_empty() {
            // SAFETY: RAM by the memory map, less the image, the boot archive, low memory and the
            // zones; the loader's information was copied. Each part is given once.
            unsafe { FRAMES.give(range) };
        }
    }
}
