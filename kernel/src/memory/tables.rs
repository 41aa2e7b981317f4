//! The page tables of the kernel's half (Intel SDM vol. 3, 4.5).

use ::memory::{Frame, OutOfFrames, PAGE_SIZE};
use arrayvec::ArrayVec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};
use x86_64::structures::paging::PageTableFlags as Flags;
use x86_64::{PhysAddr, VirtAddr};

use super::machine::{Lock, direct_pointer};
use super::{FRAMES, tlb};

/// What may be done with mapped memory. Nothing is both writable and executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "no page of the kernel is without the right to read")]
pub enum Access {
    /// Constants.
    ReadOnly,
    /// Code.
    ReadExecute,
    /// Data.
    ReadWrite,
}

impl Access {
    /// The flags of a leaf entry. The kernel's half is the same for everyone, hence global.
    pub(super) fn flags(self) -> Flags {
        Flags::PRESENT
            | Flags::GLOBAL
            | match self {
                Self::ReadOnly => Flags::NO_EXECUTE,
                Self::ReadExecute => Flags::empty(),
                Self::ReadWrite => Flags::WRITABLE | Flags::NO_EXECUTE,
            }
    }
}

/// The flags of device registers.
pub(super) const DEVICE: Flags = Flags::PRESENT
    .union(Flags::GLOBAL)
    .union(Flags::WRITABLE)
    .union(Flags::NO_EXECUTE)
    .union(Flags::NO_CACHE)
    .union(Flags::WRITE_THROUGH);

/// The flags of an entry that leads to a table: its leaves decide.
const TABLE: Flags = Flags::PRESENT.union(Flags::WRITABLE);

/// Physical address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Pages that are unmapped between two shootdowns.
const BATCH: usize = 64;

/// The levels of tables: an entry of level 1 maps 4 KiB, of level 2 maps 2 MiB.
pub(super) const TOP: u8 = 4;
pub(super) const LARGE: u8 = 2;

/// One page table. The processor reads the entries and sets bits in them at any time, therefore
/// they are atomic.
#[derive(Clone, Copy)]
pub(super) struct Table {
    entries: &'static [AtomicU64; 512],
    physical: u64,
}

impl Table {
    /// The table in the frame at `physical`.
    ///
    /// # Safety
    /// The frame is in the direct map, holds a page table, and is used as one only, until nobody
    /// uses this value and its copies any more.
    pub(super) unsafe fn at(physical: u64) -> Self {
        let entries: *const [AtomicU64; 512] = direct_pointer(physical).cast();
        // SAFETY: the caller says that the frame is mapped and a table: 512 aligned words that are
        // only used atomically.
        Self { entries: unsafe { &*entries }, physical }
    }

    /// A new table without entries.
    pub(super) fn new() -> Result<Self, OutOfFrames> {
        let physical = FRAMES.alloc()?.address();
        // SAFETY: the frame is ours, in the direct map, and any words are a table; it becomes one
        // before anything leads to it.
        let table = unsafe { Self::at(physical) };
        // Relaxed: `link` publishes them.
        table.entries.iter().for_each(|entry| entry.store(0, Relaxed));
        Ok(table)
    }

    pub(super) fn physical(self) -> PhysAddr {
        PhysAddr::new(self.physical)
    }

    /// The entry that leads on to `address` at this table's level.
    fn entry(self, address: VirtAddr, level: u8) -> &'static AtomicU64 {
        &self.entries[(address.as_u64() >> (12 + 9 * (level - 1))) as usize % 512]
    }

    /// The present entries with their indexes.
    pub(super) fn present(self) -> impl Iterator<Item = (usize, Entry)> {
        let entries = self.entries.iter().enumerate();
        // Relaxed: whoever reads the tables holds their lock.
        entries.map(|(index, entry)| (index, Entry(entry.load(Relaxed)))).filter(|(_, entry)| entry.present())
    }
}

/// The value of an entry.
#[derive(Clone, Copy)]
pub(super) struct Entry(u64);

impl Entry {
    pub(super) fn present(self) -> bool {
        self.flags().contains(Flags::PRESENT)
    }

    pub(super) fn flags(self) -> Flags {
        Flags::from_bits_retain(self.0 & !ADDRESS)
    }

    /// The physical address that it leads to. Bit 12 of a large page's entry is a flag that we
    /// never set.
    pub(super) fn physical(self) -> u64 {
        self.0 & ADDRESS
    }

    /// The table that an entry of `level` leads to, where it leads to one.
    pub(super) fn table(self, level: u8) -> Option<Table> {
        let leads_on = level > 1 && self.present() && !self.flags().contains(Flags::HUGE_PAGE);
        // SAFETY: our own tables lead to tables that `Table::new` made, which are freed only after
        // they were unlinked under the lock that every reader holds, and which lie in RAM.
        leads_on.then(|| unsafe { Table::at(self.physical()) })
    }
}

/// The tables from the top one on.
///
/// The entries of the top table never change after boot: the windows' second tables stay, so that
/// every address space can share them by copying entries.
pub(super) struct Tables {
    root: Option<Table>,
}

/// The tables that are in use.
pub(super) static TABLES: Lock<Tables> = Lock::new(Tables { root: None });

impl Tables {
    /// Tables from `root` on, which leads to nothing but tables of ours.
    pub(super) fn new(root: Table) -> Self {
        Self { root: Some(root) }
    }

    /// The top table.
    ///
    /// # Panics
    /// Before `init`.
    pub(super) fn root(&self) -> Table {
        self.root.expect("memory::init comes first")
    }

    /// Makes the second table for `address`, which then stays.
    pub(super) fn keep(&mut self, address: VirtAddr) -> Result<(), OutOfFrames> {
        descend(self.root(), TOP, address).map(|_| ())
    }

    /// Maps the page of `level` at `page`, which must not be mapped, to `physical`. After an error
    /// there may be tables without entries on the way there: [`unmap`] the page to free them.
    pub(super) fn map(
        &mut self,
        page: VirtAddr,
        physical: u64,
        flags: Flags,
        level: u8,
    ) -> Result<(), OutOfFrames> {
        let mut table = self.root();
        for upper in (level + 1..=TOP).rev() {
            table = descend(table, upper, page)?;
        }
        let entry = table.entry(page, level);
        assert!(!Entry(entry.load(Relaxed)).present(), "{page:?} is mapped already");
        let large = if level == LARGE { Flags::HUGE_PAGE } else { Flags::empty() };
        entry.store(physical | (flags | large).bits(), Release);
        Ok(())
    }

    /// The leaf entry that maps `address`, and its level.
    pub(super) fn leaf(&self, address: VirtAddr) -> Option<(Entry, u8)> {
        let (entry, level) = self.find(address)?;
        Some((Entry(entry.load(Relaxed)), level))
    }

    /// Changes what may be done with the page at `address`, of whatever size it is. Returns whether
    /// it is mapped. The translation must be forgotten by all cores afterwards.
    pub(super) fn protect(&mut self, address: VirtAddr, access: Access) -> bool {
        let Some((entry, level)) = self.find(address) else { return false };
        let large = if level == LARGE { Flags::HUGE_PAGE } else { Flags::empty() };
        let physical = Entry(entry.load(Relaxed)).physical();
        entry.store(physical | (access.flags() | large).bits(), Release);
        true
    }

    fn find(&self, address: VirtAddr) -> Option<(&'static AtomicU64, u8)> {
        let mut table = self.root();
        for level in (1..=TOP).rev() {
            let entry = table.entry(address, level);
            let value = Entry(entry.load(Relaxed));
            match value.table(level) {
                Some(next) => table = next,
                None => return value.present().then_some((entry, level)),
            }
        }
        None
    }

    /// Unmaps a batch of pages within one table of level 1. Returns the physical addresses that
    /// were mapped and the frames of the tables that became empty.
    fn unmap(&mut self, start: VirtAddr, pages: usize) -> (ArrayVec<u64, BATCH>, ArrayVec<Frame, 2>) {
        let page = |index| start + index as u64 * PAGE_SIZE as u64;
        let mapped = (0..pages).filter_map(|index| {
            let (entry, level) = self.find(page(index))?;
            debug_assert_eq!(level, 1, "windows are mapped by small pages");
            Some(Entry(entry.swap(0, Relaxed)).physical())
        });
        (mapped.collect(), self.prune(start))
    }

    /// Unlinks the tables of levels 1 and 2 on the way to `address` that have no entries.
    fn prune(&mut self, address: VirtAddr) -> ArrayVec<Frame, 2> {
        let mut freed = ArrayVec::new();
        let mut path = ArrayVec::<(Table, u8), 4>::new();
        let mut table = Some(self.root());
        for level in (1..=TOP).rev() {
            let Some(this) = table else { break };
            path.push((this, level));
            table = Entry(this.entry(address, level).load(Relaxed)).table(level);
        }
        while let (Some((lower, level @ 1..=2)), Some((upper, above))) = (path.pop(), path.last()) {
            if lower.entries.iter().any(|entry| entry.load(Relaxed) != 0) {
                break;
            }
            upper.entry(address, *above).store(0, Relaxed);
            debug_assert_eq!(level + 1, *above);
            // SAFETY: `Table::new` took the frame for this table; its only entry is gone, and our
            // caller frees it only when no core remembers it.
            freed.push(unsafe { Frame::from_address(lower.physical) });
        }
        freed
    }
}

/// The table below `table`, made where it is missing.
fn descend(table: Table, level: u8, address: VirtAddr) -> Result<Table, OutOfFrames> {
    let entry = table.entry(address, level);
    let value = Entry(entry.load(Relaxed));
    if let Some(next) = value.table(level) {
        return Ok(next);
    }
    assert!(!value.present(), "{address:?} is mapped by a larger page");
    let next = Table::new()?;
    // Release: the processor, which walks in program order, sees the cleared entries first.
    entry.store(next.physical | TABLE.bits(), Release);
    Ok(next)
}

/// Unmaps pages of a window, makes every core forget them, and then passes the physical address of
/// each that was mapped to `free`. Strand context: see [`tlb::flush`].
pub(super) fn unmap(start: VirtAddr, pages: usize, mut free: impl FnMut(u64)) {
    let mut done = 0;
    while done < pages {
        let batch_start = start + (done * PAGE_SIZE) as u64;
        let until_next_table = 512 - (batch_start.as_u64() / PAGE_SIZE as u64 % 512) as usize;
        let count = (pages - done).min(BATCH).min(until_next_table);
        let (mapped, tables) = TABLES.with(|all| all.unmap(batch_start, count));
        if !mapped.is_empty() || !tables.is_empty() {
            tlb::flush(batch_start, count);
        }
        mapped.into_iter().for_each(&mut free);
        tables.into_iter().for_each(|frame| FRAMES.free(frame));
        done += count;
    }
}
