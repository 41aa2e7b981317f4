//! The way from the loader to a kernel that knows its machine.
//!
//! - `entry.s`: from 32-bit mode to [`crate::kernel_main`], and the early page tables.
//! - [`mod@info`]: what the loader says of the machine.
//! - [`archive`]: the files that came along: spindles, and names for code.
//! - [`features`]: the processor's protections, switched on.
//! - `faults`: falling over on command, in kernels with tests.

pub mod archive;
#[cfg(feature = "ktest")]
mod faults;
pub mod features;
mod info;

pub use info::{info, init, options};

core::arch::global_asm!(
    include_str!("entry.s"),
    BOOT_STACK_SIZE = const crate::layout::BOOT_STACK_SIZE,
    TRAP_STACK_SIZE = const crate::layout::TRAP_STACK_SIZE,
    TRAP_STACKS = const crate::layout::TRAP_STACKS,
);

/// Falls over as the option `fault=NAME` asks; only kernels with tests do.
pub fn fall(name: &str) {
    #[cfg(feature = "ktest")]
    faults::raise(name);
    #[cfg(not(feature = "ktest"))]
    log::warn!("ignored `fault={name}`: build the kernel with the feature `ktest` for that");
}
