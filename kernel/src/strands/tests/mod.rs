//! Tests of strands and of the housekeeper in the booted kernel.

mod change;
mod grace;
mod life;
mod order;
mod shares;
mod terminate;
mod ticks;
mod waits;

use core::hint;

use dispatcher::Processor;

use crate::strands::Cpu;

const MILLISECOND: u64 = 1_000_000;
/// What must come does so within this time, however crowded the machine is.
const PATIENCE_NS: u64 = 20_000 * MILLISECOND;

/// Keeps the core until `holds`.
#[track_caller]
fn spin_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Cpu::now_ns() + PATIENCE_NS;
    while !holds() {
        assert!(Cpu::now_ns() < deadline, "waited in vain until {what}");
        hint::spin_loop();
    }
}

/// Keeps the core for so long.
fn spin_ns(nanoseconds: u64) {
    let deadline = Cpu::now_ns() + nanoseconds;
    while Cpu::now_ns() < deadline {
        hint::spin_loop();
    }
}

/// Waits for a wake-up; that none comes is a failure.
#[track_caller]
fn block_for_a_while() {
    let deadline = Cpu::now_ns() + PATIENCE_NS;
    sched::block_until::<Cpu>(deadline);
    assert!(Cpu::now_ns() < deadline, "a wake-up was lost");
}
