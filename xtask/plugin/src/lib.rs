//! A plugin for QEMU's translator that records, between marks that the guest sets, how many
//! instructions each virtual core executes and which cache lines it reads and writes.
//!
//! A mark is a no-operation of eight bytes with a displacement of its own ([`marks`]): it costs the
//! guest one instruction, means nothing to any processor, and occurs in no other code. While a core is
//! between the marks *begin* and *end*, each of its loads and stores is noted by physical line
//! ([`record`]). When the machine ends, the file named by the argument `out=FILE` gets the report
//! ([`report`]), whose form stands there.
//!
//! QEMU loads the plugin with `-plugin PATH,out=FILE`. It speaks version 1 of the plugin interface
//! (QEMU 4.2 to 8.2), for which no header is packaged: [`qemu`] declares what is used of it.

pub mod marks;
#[cfg(not(test))]
pub mod qemu;
pub mod record;
pub mod report;
