//! Leaving the machine, with an answer for whoever started it.

use x86_64::instructions::port::Port;
use x86_64::instructions::{hlt, interrupts};

/// How the kernel's run ended. QEMU's `isa-debug-exit` turns the value `v` into
/// its own exit code `2 * v + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// Every command or test succeeded; QEMU exits with 33.
    Success = 0x10,
    /// A command or a test failed; QEMU exits with 35.
    Failure = 0x11,
    /// The kernel panicked or met a fault of its own; QEMU exits with 37.
    Panic = 0x12,
}

/// Ends the run: by QEMU's exit device, else by power off, else by halting this
/// core for ever. Callable in any context; other cores are not waited for.
pub fn exit(code: Code) -> ! {
    interrupts::disable();
    // Port of `-device isa-debug-exit,iobase=0xf4,iosize=0x04`.
    let mut device = Port::<u32>::new(0xf4);
    // SAFETY: the port belongs to QEMU's exit device or to nothing; a write to
    // it touches no memory, and it ends the machine where the device exists.
    unsafe { device.write(code as u32) };
    power_off();
    halt()
}

/// Halts this core for ever, with interrupts masked; NMIs only wake it to halt again.
pub fn halt() -> ! {
    loop {
        interrupts::disable();
        hlt();
    }
}

/// Asks the chipset for ACPI's S5 where QEMU's machines have it: the sleep
/// enable bit and type 0 in PM1a control.
fn power_off() {
    // q35 (ICH9), then pc (PIIX4), then microvm's and Bochs' older place.
    for port in [0x604_u16, 0xb004] {
        let mut pm1a_control = Port::<u16>::new(port);
        // SAFETY: both ports are PM1a control on the machines that have them
        // and unassigned elsewhere; the write touches no memory.
        unsafe { pm1a_control.write(0x2000) };
    }
}
