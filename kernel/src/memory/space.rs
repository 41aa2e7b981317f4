//! The kernel's address space, built once from the memory map.

use ::memory::{OutOfFrames, PAGE_SIZE, Regions};
use core::ops::Range;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::structures::paging::PhysFrame;

use super::tables::{Access, LARGE, TABLES, Table, Tables};
use crate::layout;

const SMALL_PAGE: u64 = PAGE_SIZE as u64;
const LARGE_PAGE: u64 = 512 * SMALL_PAGE;

/// What the direct map maps.
pub(super) struct Physical {
    /// RAM: writable, but for the code and constants of the image.
    pub(super) ram: Regions,
    /// What firmware keeps in RAM, ACPI's tables among it: read-only.
    pub(super) firmware: Regions,
}

impl Physical {
    fn access(&self, page: u64) -> Access {
        let page = page..page + SMALL_PAGE;
        if self.ram.contains(page.clone()) && !has_constants(&page) {
            return Access::ReadWrite;
        }
        Access::ReadOnly
    }
}

/// Builds the tables and loads them on this core, which must be the only one.
///
/// # Errors
/// Where there are no frames for them.
///
/// # Panics
/// Where the processor cannot forbid execution, or has it switched off: without it there is no W^X.
pub(super) fn init(physical: &Physical) -> Result<(), OutOfFrames> {
    assert!(
        Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE),
        "Whorl needs a processor with no-execute pages (QEMU: -cpu max)"
    );
    let mut tables = Tables::new(Table::new()?);
    map_image(&mut tables)?;
    for region in physical.ram.iter().chain(physical.firmware.iter()) {
        map_direct(&mut tables, region, physical)?;
    }
    // The windows' second tables, which stay. The spindles' window shares the image's.
    for window in [layout::STACKS, layout::MMIO] {
        tables.keep(VirtAddr::new(window))?;
    }
    TABLES.with(|all| *all = tables);
    enter();
    Ok(())
}

/// Loads the kernel's page tables on this core.
fn enter() {
    let root = PhysFrame::containing_address(TABLES.with(|tables| tables.root()).physical());
    // SAFETY: the tables map the image where it runs now, with the stack, and all that was reached
    // through the early tables' direct map in RAM. Low addresses go; nothing uses them any more.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
}

fn map_image(tables: &mut Tables) -> Result<(), OutOfFrames> {
    // The guards below the stacks are in no part, so they are not mapped here.
    for part in layout::boot_stacks().into_iter().chain(layout::image()) {
        let access = match part.access {
            layout::Access::Execute => Access::ReadExecute,
            layout::Access::Read => Access::ReadOnly,
            layout::Access::Write => Access::ReadWrite,
        };
        for page in part.range.step_by(PAGE_SIZE) {
            tables.map(VirtAddr::new(page), page - layout::KERNEL_OFFSET, access.flags(), 1)?;
        }
    }
    Ok(())
}

/// Maps a region in the direct map: by large pages, but for its ends and where a large page would
/// mix the image's constants with data.
fn map_direct(tables: &mut Tables, region: Range<u64>, all: &Physical) -> Result<(), OutOfFrames> {
    let mut next = region.start;
    while next < region.end {
        let large = next..next + LARGE_PAGE;
        let fits = next.is_multiple_of(LARGE_PAGE) && large.end <= region.end && !has_constants(&large);
        let (level, size) = if fits { (LARGE, LARGE_PAGE) } else { (1, SMALL_PAGE) };
        tables.map(VirtAddr::new(layout::direct(next)), next, all.access(next).flags(), level)?;
        next += size;
    }
    Ok(())
}

/// The image's code and constants, by physical address.
fn constants() -> impl Iterator<Item = Range<u64>> {
    let constant = layout::image().into_iter().filter(|part| part.access != layout::Access::Write);
    constant.map(|part| part.range.start - layout::KERNEL_OFFSET..part.range.end - layout::KERNEL_OFFSET)
}

fn has_constants(range: &Range<u64>) -> bool {
    constants().any(|part| part.start < range.end && range.start < part.end)
}
