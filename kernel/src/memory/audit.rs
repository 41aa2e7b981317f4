//! Whether the live page tables keep what was promised.

extern crate alloc;

use ::memory::PAGE_SIZE;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr3};
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::structures::paging::PageTableFlags as Flags;

use super::tables::{TABLES, TOP, Table};

/// What is wrong with the page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditError {
    /// The processor is not told to respect read-only or non-executable pages.
    NotEnforced,
    /// This core runs on other tables than the kernel's.
    OtherTables,
    /// A page of the kernel is in the lower half or open to user space.
    OpenToUsers(VirtAddr),
    /// A page can be both written and executed.
    WritableExecutable(VirtAddr),
    /// A page can be written whose frame is executable elsewhere.
    WritableAlias(VirtAddr),
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnforced => f.write_str("write protection or no-execute is switched off"),
            Self::OtherTables => f.write_str("this core does not use the kernel's page tables"),
            Self::OpenToUsers(page) => write!(f, "the page at {page:#x} is open to user space"),
            Self::WritableExecutable(page) => write!(f, "the page at {page:#x} is writable and executable"),
            Self::WritableAlias(page) => write!(f, "the page at {page:#x} is a writable alias of code"),
        }
    }
}

impl core::error::Error for AuditError {}

/// What an audit saw, in pages of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Pages that can be written.
    pub writable: usize,
    /// Pages that can be executed.
    pub executable: usize,
    /// Pages that can only be read.
    pub read_only: usize,
    /// Frames that hold page tables.
    pub tables: usize,
}

/// A mapped page of any size, with the rights that all entries on the way to it leave.
struct Leaf {
    page: VirtAddr,
    physical: Range<u64>,
    rights: Flags,
}

/// Walks the live page tables of the kernel: nothing is both writable and executable, not in any
/// alias of a frame either, and nothing is open to user space.
///
/// # Errors
/// The first violation found. Holds the tables' lock for a few thousand steps, and allocates.
pub fn audit() -> Result<AuditReport, AuditError> {
    if !Cr0::read().contains(Cr0Flags::WRITE_PROTECT) || !Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE)
    {
        return Err(AuditError::NotEnforced);
    }
    TABLES.with(|tables| {
        if Cr3::read().0.start_address() != tables.root().physical() {
            return Err(AuditError::OtherTables);
        }
        let mut report = AuditReport::default();
        let mut code = Vec::<Range<u64>>::new();
        walk(tables.root(), &mut report.tables, &mut |leaf| note_code(&leaf, &mut code))?;
        code.sort_unstable_by_key(|range| range.start);
        walk(tables.root(), &mut 0, &mut |leaf| check(&leaf, &code, &mut report))?;
        Ok(report)
    })
}

fn is_executable(leaf: &Leaf) -> bool {
    !leaf.rights.contains(Flags::NO_EXECUTE)
}

/// Remembers executable memory.
fn note_code(leaf: &Leaf, code: &mut Vec<Range<u64>>) -> Result<(), AuditError> {
    if is_executable(leaf) {
        match code.last_mut() {
            Some(last) if last.end == leaf.physical.start => last.end = leaf.physical.end,
            _ => code.push(leaf.physical.clone()),
        }
    }
    Ok(())
}

/// Checks one page against all executable memory, which is sorted, and counts it.
fn check(leaf: &Leaf, code: &[Range<u64>], report: &mut AuditReport) -> Result<(), AuditError> {
    let pages = (leaf.physical.end - leaf.physical.start) as usize / PAGE_SIZE;
    let (writable, executable) = (leaf.rights.contains(Flags::WRITABLE), is_executable(leaf));
    if leaf.rights.contains(Flags::USER_ACCESSIBLE) || leaf.page.as_u64() < 1 << 47 {
        return Err(AuditError::OpenToUsers(leaf.page));
    }
    if writable && executable {
        return Err(AuditError::WritableExecutable(leaf.page));
    }
    // Of the ranges that begin below the leaf's end, which may overlap in aliases of code, any
    // might reach into it: there are few.
    let below = code.partition_point(|range| range.start < leaf.physical.end);
    if writable && code[..below].iter().any(|range| leaf.physical.start < range.end) {
        return Err(AuditError::WritableAlias(leaf.page));
    }
    let count = match (writable, executable) {
        (true, _) => &mut report.writable,
        (_, true) => &mut report.executable,
        _ => &mut report.read_only,
    };
    *count += pages;
    Ok(())
}

/// Shows every page to `visit`, lowest address first.
fn walk(
    root: Table,
    tables: &mut usize,
    visit: &mut impl FnMut(Leaf) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let all = Flags::WRITABLE | Flags::USER_ACCESSIBLE;
    walk_below(root, TOP, 0, all, tables, visit)
}

fn walk_below(
    table: Table,
    level: u8,
    base: u64,
    rights: Flags,
    tables: &mut usize,
    visit: &mut impl FnMut(Leaf) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    *tables += 1;
    let size = (PAGE_SIZE as u64) << (9 * (level - 1));
    for (index, entry) in table.present() {
        let page = VirtAddr::new_truncate(base + index as u64 * size);
        // Writing and user access need the bit in every entry, no-execution in any one.
        let allowed = rights & entry.flags() & (Flags::WRITABLE | Flags::USER_ACCESSIBLE);
        let rights = allowed | (rights | entry.flags()) & Flags::NO_EXECUTE;
        match entry.table(level) {
            Some(next) => walk_below(next, level - 1, page.as_u64(), rights, tables, visit)?,
            None => visit(Leaf { page, physical: entry.physical()..entry.physical() + size, rights })?,
        }
    }
    Ok(())
}
