//! A core's own descriptor tables.

use spin::{Mutex, MutexGuard};
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::registers::segmentation::SegmentSelector;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

use crate::layout;

/// IST slots, as the IDT names them.
pub(super) const PAGE_FAULT: u16 = 0;
pub(super) const DOUBLE_FAULT: u16 = 1;
pub(super) const NMI: u16 = 2;
pub(super) const MACHINE_CHECK: u16 = 3;
pub(super) const INTERRUPT: u16 = 4;

/// Where a core traps to when its stack cannot be trusted: the upper ends of
/// stacks named for what traps to them, 16-byte aligned, each with an unmapped guard below it,
/// [`layout::TRAP_STACK_SIZE`] bytes or more.
#[derive(Clone, Copy, Debug)]
pub struct Stacks {
    pub page_fault: u64,
    pub double_fault: u64,
    pub nmi: u64,
    pub machine_check: u64,
    pub interrupt: u64,
}

impl Stacks {
    /// The boot core's, from the image.
    pub(super) fn of_boot_core() -> Self {
        let [_, page_fault, double_fault, nmi, machine_check, interrupt] =
            layout::boot_stacks().map(|stack| stack.range.end);
        Self { page_fault, double_fault, nmi, machine_check, interrupt }
    }
}

/// A core's GDT and TSS. They must outlive the core's run, so [`Self::load`]
/// wants them for ever.
#[derive(Debug)]
pub struct CoreTables {
    gdt: GlobalDescriptorTable,
    tss: TaskStateSegment,
}

impl CoreTables {
    /// Tables with nothing in them.
    pub const fn new() -> Self {
        Self { gdt: GlobalDescriptorTable::new(), tss: TaskStateSegment::new() }
    }

    /// Fills the tables in and makes them this core's. Selectors are then 0x08
    /// for kernel code, 0x10 for data, 0x1b and 0x23 for user data and code (the
    /// order that SYSRET wants). FS and GS keep selector and base.
    pub fn load(&'static mut self, stacks: &Stacks) {
        let Self { gdt, tss } = self;
        *gdt = GlobalDescriptorTable::new();
        let mut ist = tss.interrupt_stack_table;
        ist[usize::from(PAGE_FAULT)] = VirtAddr::new(stacks.page_fault);
        ist[usize::from(DOUBLE_FAULT)] = VirtAddr::new(stacks.double_fault);
        ist[usize::from(NMI)] = VirtAddr::new(stacks.nmi);
        ist[usize::from(MACHINE_CHECK)] = VirtAddr::new(stacks.machine_check);
        ist[usize::from(INTERRUPT)] = VirtAddr::new(stacks.interrupt);
        // As a whole: the TSS is packed, and its fields lie unaligned.
        tss.interrupt_stack_table = ist;

        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        gdt.append(Descriptor::user_data_segment());
        gdt.append(Descriptor::user_code_segment());
        let tss = gdt.append(Descriptor::tss_segment(tss));
        gdt.load();

        // SAFETY: `code` selects a 64-bit ring 0 code segment of the GDT just loaded.
        unsafe { CS::set_reg(code) };
        // SAFETY: `data` selects a flat ring 0 data segment, as SS may be.
        unsafe { SS::set_reg(data) };
        // SAFETY: 64-bit code ignores DS but for its being loadable.
        unsafe { DS::set_reg(SegmentSelector::NULL) };
        // SAFETY: as for DS.
        unsafe { ES::set_reg(SegmentSelector::NULL) };
        // SAFETY: `tss` selects a TSS that lives for ever, just made and so not
        // busy, and its stacks are the caller's word.
        unsafe { load_tss(tss) };
    }
}

/// The boot core's tables. Once: a second call waits for ever.
pub(super) fn boot_core() -> &'static mut CoreTables {
    static TABLES: Mutex<CoreTables> = Mutex::new(CoreTables::new());
    MutexGuard::leak(TABLES.lock())
}
