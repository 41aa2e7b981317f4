//! The machine's cores: crate `smp` over this kernel's memory and traps.
//!
//! - [`words`]: the words of the running strand, by single instructions.
//! - [`vectors`]: who interrupts by which vector; the one place.
//! - [`mod@local`]: each core's own area, and what the kernel keeps there.
//! - `ground`: physical memory for ACPI, device registers, the way up.
//! - `interrupts`: the handlers.
//! - `machine`: topology, APICs, clocks; [`topology`].
//! - `start`: bringing the others up.
//!
//! Order at boot: [`init_boot_core`] before anything else that asks which core this is, then, with memory, [`init`].

mod ground;
mod interrupts;
pub mod local;
mod machine;
mod start;
#[cfg(feature = "ktest")]
mod tests;
pub mod vectors;
pub mod words;

pub use interrupts::{Scheduler, set_late_filter, set_scheduler};
pub use local::{Local, area};
pub use machine::topology;
pub use smp::{CoreArea, core_id};

use crate::{hook, log, memory, panic};

/// Gives the boot core its area and starts its clock. The first thing on the boot core, once.
pub fn init_boot_core() {
    local::install_boot_area();
    smp::clock::start();
    hook::set_core_id(|| core_id() as u32);
    log::set_clock(smp::clock::now_ns);
}

/// Finds the machine's cores, turns interrupt controllers on, calibrates the clocks, and brings all other cores up, each of
/// which goes to `run` with its id. On the boot core, once, after memory; interrupts stay masked.
///
/// What is missing of the machine is told in the log, and the kernel goes on with the cores that came up.
///
/// # Panics
/// Where there is no local APIC to be used or no clock that counts: nothing can be scheduled then.
pub fn init(run: fn(usize) -> !) {
    interrupts::install();
    machine::init();
    memory::set_shootdown(smp::call::shootdown);
    panic::set_stop_other_cores(|| _ = smp::call::stop_others());
    start::others(machine::topology(), run);
}

/// Interrupts core `core`: it has something to look at.
pub fn kick(core: usize) {
    smp::apic::ipi::kick(core, vectors::KICK);
}

/// Asks for a timer interrupt on this core at `deadline_ns` since boot, or for none.
pub fn set_timer(deadline_ns: Option<u64>) {
    let set = match deadline_ns {
        Some(deadline) => smp::apic::timer::arm_ns(deadline.saturating_sub(smp::clock::now_ns())),
        None => smp::apic::timer::disarm(),
    };
    set.expect("the timer was calibrated before any strand ran");
}
