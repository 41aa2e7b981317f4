//! The machine's cores: what there is, how they come up, how they talk, and what time it is.
//!
//! The crate knows the processor and nothing of a kernel: memory that must be mapped, stacks and interrupt handlers are
//! its user's, who hands them in through small traits and arguments. In the order in which a kernel needs them:
//!
//! 1. [`area`]: what a core finds behind GS, and [`core_id`]; set on the boot core before anything else runs.
//! 2. [`topology`]: which cores, IO APICs and timers the machine has, read from ACPI's tables, which are allegations.
//! 3. [`apic`]: the local APIC (x2APIC where the processor has it, else xAPIC), interrupts between cores, IO APICs.
//! 4. [`clock`]: the TSC and the APIC's timer, calibrated against the PM timer, the HPET or the PIT.
//! 5. [`bringup`]: INIT, SIPI and the way from real mode to the kernel's page tables.
//! 6. [`roster`]: which cores are online.
//! 7. [`call`]: run a function on other cores and wait for it; TLB [shootdown](call::shootdown); stop the others.
//! 8. [`idle`]: halting without losing a wake-up.
//!
//! Invariants:
//! - Core ids are dense, the boot core is 0, and there are at most [`MAX_CORES`].
//! - A core is in [`roster::online`] only when it answers interrupts: its tables are loaded and its APIC is on.
//! - Nothing here takes a lock that another core could hold for long: only [`apic::io`] has one, held for a few register
//!   accesses with interrupts masked. [`call`] needs none, so it works with interrupts masked on every side.

#![cfg_attr(not(any(test, loom)), no_std)]

mod error;
pub mod set;

// Under loom only the algorithm that it checks is built: loom's atomics cannot live in statics.
#[cfg(not(loom))]
pub mod apic;
#[cfg(not(loom))]
pub mod area;
#[cfg(not(loom))]
pub mod bringup;
pub mod call;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
pub mod idle;
#[cfg(not(loom))]
pub mod roster;
#[cfg(not(loom))]
pub mod topology;

#[cfg(not(loom))]
pub use area::{CoreArea, core_id};
pub use error::Error;
pub use set::{CoreSet, MAX_CORES};
