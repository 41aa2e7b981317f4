//! The interrupt descriptor table, one for all cores.

use core::arch::global_asm;

use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::idt::InterruptDescriptorTable;

use super::tables;
use crate::cores::words;

global_asm!(
    include_str!("entry.s"),
    STACK_BOTTOM = const words::STACK_BOTTOM,
    ROOM = const super::INTERRUPT_ROOM,
);

unsafe extern "C" {
    /// The first of 256 entries, [`ENTRY_SIZE`] bytes apart.
    static trap_entries: u8;
}

const ENTRY_SIZE: u64 = 16;

static IDT: Once<InterruptDescriptorTable> = Once::new();

/// Makes the IDT this core's. The core's GDT is loaded.
pub(super) fn load() {
    IDT.call_once(build).load();
}

fn entry(vector: u8) -> VirtAddr {
    VirtAddr::new(&raw const trap_entries as u64 + ENTRY_SIZE * u64::from(vector))
}

fn build() -> InterruptDescriptorTable {
    let mut idt = InterruptDescriptorTable::new();

    macro_rules! exceptions {
        ($($vector:literal $field:ident $($stack:ident)?;)*) => {
            $(
                // SAFETY: entry number `$vector` of `entry.s`, which takes this
                // exception's stack frame, error code or none, and returns by IRET.
                let _options = unsafe { idt.$field.set_handler_addr(entry($vector)) };
                $(
                    // SAFETY: every core's TSS has a stack of its own in this slot.
                    unsafe { _options.set_stack_index(tables::$stack) };
                )?
            )*
        };
    }
    exceptions! {
        0 divide_error;
        1 debug;
        2 non_maskable_interrupt NMI;
        3 breakpoint;
        4 overflow;
        5 bound_range_exceeded;
        6 invalid_opcode;
        7 device_not_available;
        8 double_fault DOUBLE_FAULT;
        10 invalid_tss;
        11 segment_not_present;
        12 stack_segment_fault;
        13 general_protection_fault;
        14 page_fault PAGE_FAULT;
        16 x87_floating_point;
        17 alignment_check;
        18 machine_check MACHINE_CHECK;
        19 simd_floating_point;
        20 virtualization;
        21 cp_protection_exception;
        28 hv_injection_exception;
        29 vmm_communication_exception;
        30 security_exception;
    }
    for vector in 32..=255 {
        // SAFETY: entry number `vector` of `entry.s`, which takes an
        // interrupt's stack frame and returns by IRET.
        let options = unsafe { idt[vector].set_handler_addr(entry(vector)) };
        // SAFETY: every core's TSS has a stack of its own in this slot.
        unsafe { options.set_stack_index(tables::INTERRUPT) };
    }
    idt
}
