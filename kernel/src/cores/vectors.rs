//! Who interrupts by which vector. Higher ones go first where several are pending.

/// The serial line's input.
pub const SERIAL: u8 = 0x30;
/// Look at your run queue.
pub const KICK: u8 = 0xe0;
/// This core's timer.
pub const TIMER: u8 = 0xe1;
/// Another core calls (`smp::call`). Above the others: somebody waits for it.
pub const CALL: u8 = 0xf0;
/// The local APIC found an error.
pub const APIC_ERROR: u8 = 0xfe;
/// The local APIC gave an interrupt that went away. Never acknowledged.
pub const SPURIOUS: u8 = 0xff;
