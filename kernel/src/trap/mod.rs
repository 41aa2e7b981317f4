//! Exceptions and interrupts.
//!
//! - `entry.s`: the processor's way in, and back.
//! - [`frame`]: what is saved of the interrupted code.
//! - [`tables`]: a core's GDT and TSS, [`CoreTables`]; the stacks it traps to.
//! - [`idt`]: the one IDT of all cores.
//! - [`interrupt`]: who handles which vector.
//! - [`exception`]: each exception by its name; [`Fault`] and the filter.
//! - [`report`]: how a fault of the core is told.
//!
//! Everything here runs with interrupts masked. Exceptions that may strike on a
//! bad stack (page fault, double fault, NMI, machine check) have a stack each.
//! Interrupts have one, too, but are moved to the interrupted stack if that has
//! [`INTERRUPT_ROOM`], since they may end in a switch to another strand.

mod exception;
mod frame;
mod idt;
mod interrupt;
mod report;
mod tables;

pub use exception::{Fault, Handled, set_fault_filter};
pub use frame::Frame;
pub use interrupt::{NMI, set_handler, set_short_stack_filter, spurious};
pub use tables::{CoreTables, Stacks};

/// The stack that an interrupt finds where it is handled, in bytes: enough for handlers, and for the
/// switch to another strand, which take about 1.1 KiB, and 4.1 KiB in a kernel that is not optimised. Where
/// the interrupted strand has less left, it is handled elsewhere.
pub const INTERRUPT_ROOM: usize = if cfg!(debug_assertions) { 8 << 10 } else { 4 << 10 };

/// Readies this core for exceptions and interrupts, which stay masked: its own
/// `tables`, then the IDT. GS keeps its base.
pub fn init(tables: &'static mut CoreTables, stacks: &Stacks) {
    tables.load(stacks);
    idt::load();
}

/// [`init`] for the boot core, whose tables and stacks are in the image. Once.
pub fn init_boot_core() {
    interrupt::mask_legacy_controllers();
    init(tables::boot_core(), &Stacks::of_boot_core());
}
