//! What time it is, and waiting for it to pass.
//!
//! - here: [`now_ns`] and [`busy_wait`] over the TSC;
//! - [`Scale`]: units, by multiplication and shift;
//! - [`mod@reference`]: the PM timer, the HPET and the PIT;
//! - [`calibrate`]: how fast TSC and APIC timer are, measured by one of those.
//!
//! Weak spot, said frankly: time is monotone on a core. Between cores it is only as equal as firmware or the virtual
//! machine left their TSCs, and on a processor whose TSC is not invariant it changes pace with the core's frequency.

pub mod calibrate;
pub mod reference;
mod scale;

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};

use raw_cpuid::CpuId;

pub use scale::Scale;

/// Until the TSC is calibrated it is taken to be this fast: faster than any is, so that waits are too long, not too short.
const ASSUMED_HZ: u64 = 6_000_000_000;

/// The TSC's pace, and a moment known in both units. All written before a second core runs, with interrupts masked.
static TSC_HZ: AtomicU64 = AtomicU64::new(ASSUMED_HZ);
static BASE_TSC: AtomicU64 = AtomicU64::new(0);
static BASE_NS: AtomicU64 = AtomicU64::new(0);
static NS_PER_TICK: AtomicU64 = AtomicU64::new(Scale::from_hz(ASSUMED_HZ).ns_per_tick());
static TICKS_PER_NS: AtomicU64 = AtomicU64::new(Scale::from_hz(ASSUMED_HZ).ticks_per_ns());

/// The time stamp counter, read after everything before it.
#[inline]
pub fn tsc() -> u64 {
    let (low, high): (u64, u64);
    // Not by the intrinsics: where the compiler may use no vector registers, that of LFENCE is a call.
    // SAFETY: x86-64 has LFENCE, and the kernel runs where RDTSC is allowed (ring 0, or CR4.TSD clear).
    unsafe {
        core::arch::asm!("lfence", "rdtsc", out("rax") low, out("rdx") high, options(nostack, preserves_flags))
    };
    high << 32 | low
}

/// The time stamp counter, read about now: for lengths of time, not for an order of events.
#[inline(always)]
pub fn ticks() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: as in `tsc`.
    unsafe {
        core::arch::asm!("rdtsc", out("rax") low, out("rdx") high, options(nostack, preserves_flags, nomem))
    };
    high << 32 | low
}

/// The nanoseconds in so many [`ticks`].
#[must_use]
pub fn ns_in(ticks: u64) -> u64 {
    scale().ns(ticks)
}

/// Nanoseconds since [`start`], or since power-on where that has not been called; never less than before on this core.
#[inline]
pub fn now_ns() -> u64 {
    // Relaxed, here and below: written before this core or any other came to look (see above).
    let ticks = tsc().saturating_sub(BASE_TSC.load(Ordering::Relaxed));
    BASE_NS.load(Ordering::Relaxed) + scale().ns(ticks)
}

/// Spins until `ns` have passed. For short waits, where nothing else is to be done; halting is better otherwise.
pub fn busy_wait(ns: u64) {
    let end = now_ns().saturating_add(ns);
    while now_ns() < end {
        spin_loop();
    }
}

/// Lets [`now_ns`] count from now on. Called once, on the boot core, before anybody asks for the time.
pub fn start() {
    // Relaxed: see above.
    BASE_TSC.store(tsc(), Ordering::Relaxed);
}

/// How often the TSC counts in a second: measured after calibration, before it a guess that is too high.
pub fn tsc_hz() -> u64 {
    TSC_HZ.load(Ordering::Relaxed)
}

/// Whether the processor says that its TSC always keeps its pace.
pub fn has_invariant_tsc() -> bool {
    CpuId::new().get_advanced_power_mgmt_info().is_some_and(|power| power.has_invariant_tsc())
}

/// What the TSC will be in `ns`.
pub(crate) fn tsc_in_ns(ns: u64) -> u64 {
    tsc().saturating_add(scale().ticks(ns))
}

/// Goes over to the measured pace, without a jump backwards: the assumed one was too fast, so time so far was too slow.
fn set_tsc_hz(hz: u64) {
    let (tsc, ns) = (tsc(), now_ns());
    let scale = Scale::from_hz(hz);
    TSC_HZ.store(hz, Ordering::Relaxed);
    NS_PER_TICK.store(scale.ns_per_tick(), Ordering::Relaxed);
    TICKS_PER_NS.store(scale.ticks_per_ns(), Ordering::Relaxed);
    BASE_TSC.store(tsc, Ordering::Relaxed);
    BASE_NS.store(ns, Ordering::Relaxed);
}

#[inline]
fn scale() -> Scale {
    Scale::from_parts(NS_PER_TICK.load(Ordering::Relaxed), TICKS_PER_NS.load(Ordering::Relaxed))
}
