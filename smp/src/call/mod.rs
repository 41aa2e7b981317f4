//! Running a function on other cores, and waiting until it has run there.
//!
//! - [`board`]: the protocol, free of any processor, checked by loom.
//! - `cross`: the protocol over this machine's interrupts: [`call`], [`shootdown`], [`serve`].
//! - `stop`: stopping the others by NMI, for panics.

pub mod board;
#[cfg(not(loom))]
mod cross;
#[cfg(not(loom))]
mod stop;
#[cfg(test)]
mod tests;

#[cfg(not(loom))]
pub use cross::{FLUSH_ALL_ABOVE_PAGES, call, flush, serve, shootdown, shootdown_on};
#[cfg(not(loom))]
pub use stop::{is_stopping, stop_others};
