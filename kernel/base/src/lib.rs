//! The parts of Whorl's core that know no machine, so that a host can test them.
//!
//! - [`info`]: what the loader says of the machine, read as a claim and checked.
//! - [`options`]: the kernel's command line.
//! - [`symbols`]: names for code addresses, looked up in the text itself.
//! - [`log_ring`]: the last lines of the log, written without locks.
//! - [`byte_ring`]: bytes on their way from an interrupt to a reader.
//! - [`owner`]: a lock's state that knows its holder.
//! - [`mod@line`]: a line of text in a fixed buffer.
//!
//! Nothing here allocates, blocks or keeps state of its own.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod byte_ring;
pub mod info;
pub mod line;
pub mod log_ring;
pub mod options;
pub mod owner;
pub mod symbols;
