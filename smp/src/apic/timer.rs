//! The local timer: one interrupt at a time, at the time that was asked for.

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::registers::model_specific::Msr;

use super::with;
use crate::Error;
use crate::clock::{Scale, tsc};

/// The TSC deadline.
const IA32_TSC_DEADLINE: u32 = 0x6e0;

/// How often the timer counts in a second, 0 until it is calibrated. Not used where there are deadlines.
static HZ: AtomicU64 = AtomicU64::new(0);

/// Asks for one interrupt on this core in `delay_ns`, in place of whatever was asked for before.
///
/// It comes no later than the counter's 32 bits reach (over 60 s on QEMU): who asked for more, asks again when it comes.
///
/// # Errors
/// [`Error::ApicNotReady`] before this core's APIC is enabled and its timer calibrated.
pub fn arm_ns(delay_ns: u64) -> Result<(), Error> {
    let hz = hz();
    with(|apic, setup| {
        if setup.has_deadline {
            // SAFETY: unmasks an entry whose vector has a handler (the contract of `enable`).
            unsafe { apic.enable_timer() };
            // In xAPIC mode the entry's write must not pass the deadline's (Intel SDM, volume 3, section 11.5.4.1).
            // SAFETY: x86-64 has SSE2.
            unsafe { core::arch::x86_64::_mm_mfence() };
            set_deadline(crate::clock::tsc_in_ns(delay_ns).max(1));
            return Ok(());
        }
        if hz == 0 {
            return Err(Error::ApicNotReady);
        }
        let ticks = Scale::from_hz(hz).ticks(delay_ns).clamp(1, u32::MAX.into());
        // SAFETY: as above.
        unsafe { apic.enable_timer() };
        // SAFETY: starts the counter, whose interrupt has a handler.
        unsafe { apic.set_timer_initial(ticks as u32) };
        Ok(())
    })?
}

/// Takes back what was asked for. An interrupt that is already on its way still comes.
///
/// # Errors
/// [`Error::ApicNotReady`] before this core's APIC is enabled.
pub fn disarm() -> Result<(), Error> {
    with(|apic, setup| {
        // SAFETY: masks the timer's entry.
        unsafe { apic.disable_timer() };
        if setup.has_deadline {
            set_deadline(0);
        } else {
            // SAFETY: stops the counter.
            unsafe { apic.set_timer_initial(0) };
        }
    })
}

/// How often the timer counts in a second; 0 until it is calibrated.
pub fn hz() -> u64 {
    // Relaxed: set on the boot core before the others start.
    HZ.load(Ordering::Relaxed)
}

pub(crate) fn set_hz(hz: u64) {
    // Relaxed: see `hz`.
    HZ.store(hz, Ordering::Relaxed);
}

/// Lets the counter run down from its top, masked, for calibration. Not where there are deadlines: it stands still then.
pub(crate) fn run_free() -> Result<(), Error> {
    with(|apic, _| {
        // SAFETY: masks the timer's entry.
        unsafe { apic.disable_timer() };
        // SAFETY: starts the counter, masked.
        unsafe { apic.set_timer_initial(u32::MAX) };
    })
}

/// How far a counter that [runs free](run_free) has come.
pub(crate) fn elapsed() -> Result<u64, Error> {
    // SAFETY: reads a register.
    with(|apic, _| u64::from(u32::MAX - unsafe { apic.timer_current() }))
}

fn set_deadline(at: u64) {
    let at = if at == 0 { 0 } else { at.max(tsc().saturating_sub(1)) };
    let mut deadline = Msr::new(IA32_TSC_DEADLINE);
    // SAFETY: the processor has the register (`has_deadline`), and the interrupt has a handler. 0 disarms.
    unsafe { deadline.write(at) };
}
