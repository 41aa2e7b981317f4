//! Waiting for something to happen.

use core::sync::atomic::{Ordering, compiler_fence};

use x86_64::instructions::interrupts;

/// Enables interrupts and halts until one has been handled; returns with interrupts enabled.
///
/// To wait for a condition without losing the wake-up: mask interrupts, look at the condition, and call this if it does
/// not hold. `sti` takes effect only after the instruction that follows it, so an interrupt that arrived in between wakes
/// the `hlt` instead of slipping in before it.
#[inline]
pub fn halt_until_interrupt() {
    // The instructions are not known to the compiler as ones that touch memory; the handlers do.
    compiler_fence(Ordering::SeqCst);
    interrupts::enable_and_hlt();
    compiler_fence(Ordering::SeqCst);
}

/// Halts this core for ever, interrupts masked. NMIs are answered and halt again.
pub fn halt_for_ever() -> ! {
    interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}
