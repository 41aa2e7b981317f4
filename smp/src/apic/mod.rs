//! The local APIC of each core, interrupts between cores, and the IO APICs.
//!
//! x2APIC where the processor has it, else xAPIC, whose registers the kernel maps. Crate `x2apic` does both; this module
//! gives each core its own instance, masks what the crate leaves unmasked, and shifts ids where xAPIC wants them shifted.
//!
//! - here: setting up, enabling, end of interrupt;
//! - [`ipi`]: interrupts to other cores;
//! - [`timer`]: the one-shot timer;
//! - [`io`]: routing of devices' interrupts.

pub mod io;
pub mod ipi;
pub mod timer;

use core::cell::UnsafeCell;

use raw_cpuid::CpuId;
use spin::Once;
use x2apic::lapic::{LocalApic, LocalApicBuilder, TimerDivide, TimerMode};
use x86_64::instructions::interrupts::without_interrupts;

use crate::{Error, MAX_CORES, core_id};

/// The interrupt vectors that this crate uses, chosen by the kernel, all at least 32.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    /// The local timer's.
    pub timer: u8,
    /// Cross-calls; its handler calls [`call::serve`](crate::call::serve). Of the highest class: 240 or more, and no other
    /// vectors there but the two below.
    pub call: u8,
    /// The APIC's own errors.
    pub error: u8,
    /// Spurious interrupts, which must not be acknowledged; the low four bits set.
    pub spurious: u8,
}

/// What holds for the APICs of all cores.
#[derive(Clone, Copy, Debug)]
struct Setup {
    vectors: Vectors,
    registers: u64,
    is_x2apic: bool,
    has_deadline: bool,
}

static SETUP: Once<Setup> = Once::new();

/// The instance of each core, used by that core alone.
struct Locals([Local; MAX_CORES]);

/// On lines of its own: writing to it disturbs nobody else.
#[repr(align(64))]
struct Local(UnsafeCell<Option<LocalApic>>);

// SAFETY: entry n is touched only by core n with interrupts masked (see `with`), so by one thread of control at a time.
unsafe impl Sync for Locals {}

static LOCALS: Locals = Locals([const { Local(UnsafeCell::new(None)) }; MAX_CORES]);

/// Fixes vectors and mode for all cores; only the first call counts.
///
/// # Panics
/// Where the vectors' classes are not as [`Vectors`] wants them.
///
/// # Safety
/// `registers` is the virtual address where the local APIC's page (the same physical address on each core) is mapped for
/// good, writable and uncached. It is not used in x2APIC mode.
pub unsafe fn setup(vectors: Vectors, registers: u64) {
    assert!(vectors.call >= 0xf0 && vectors.timer < 0xf0, "the call vector is of the highest class, alone");
    SETUP.call_once(|| {
        let features = CpuId::new().get_feature_info();
        let has_deadline = features.as_ref().is_some_and(|features| features.has_tsc_deadline());
        Setup { vectors, registers, is_x2apic: has_x2apic(), has_deadline }
    });
}

/// Turns this core's APIC on: its timer masked, its local pins idle, ready for interrupts from other cores.
///
/// # Errors
/// [`Error::ApicNotReady`] before [`setup`].
///
/// # Safety
/// Both 8259s are masked: crate `x2apic` leaves the local pins open. The kernel's handlers for the vectors are in place.
pub unsafe fn enable() -> Result<(), Error> {
    let setup = setup_done()?;
    let mut apic = setup.build()?;
    without_interrupts(|| {
        // SAFETY: the mode is the processor's, the registers are mapped (the contract of `setup`), and with no initial
        // count the timer, which this unmasks, does not run.
        unsafe { apic.enable() };
        // SAFETY: as above; masks the timer's entry again.
        unsafe { apic.disable_timer() };
        let entry = LOCALS.0[core_id()].0.get();
        // SAFETY: this core's own entry, with interrupts masked.
        unsafe { *entry = Some(apic) };
    });
    Ok(())
}

/// Acknowledges the interrupt that is being handled. Not for spurious ones, NMIs and exceptions.
#[inline]
pub fn end_of_interrupt() {
    // An interrupt came, so the APIC is on and the error cannot be.
    let _ = with(|apic, _| {
        // SAFETY: with nothing in service it does nothing; the caller is in a handler.
        unsafe { apic.end_of_interrupt() }
    });
}

/// This core's APIC id as the processor tells it, before any APIC is set up.
pub fn own_id() -> u32 {
    let cpuid = CpuId::new();
    // Leaf 0xb where there is one (its first level has processors), else the 8 bits of leaf 1.
    let extended = cpuid.get_extended_topology_info().and_then(|mut levels| levels.next());
    match extended {
        Some(level) if level.processors() != 0 => level.x2apic_id(),
        _ => cpuid.get_feature_info().map_or(0, |features| features.initial_local_apic_id().into()),
    }
}

/// Whether this processor has the x2APIC, which is then used.
pub fn has_x2apic() -> bool {
    CpuId::new().get_feature_info().is_some_and(|features| features.has_x2apic())
}

/// Whether the timer takes absolute deadlines of the TSC.
pub fn has_deadline() -> bool {
    SETUP.get().is_some_and(|setup| setup.has_deadline)
}

/// What the machine's APICs have been set up as, for the log.
pub fn mode() -> &'static str {
    match SETUP.get() {
        None => "off",
        Some(setup) if setup.is_x2apic => "x2APIC",
        Some(_) => "xAPIC",
    }
}

fn setup_done() -> Result<&'static Setup, Error> {
    SETUP.get().ok_or(Error::ApicNotReady)
}

impl Setup {
    fn build(&self) -> Result<LocalApic, Error> {
        let mode = if self.has_deadline { TimerMode::TscDeadline } else { TimerMode::OneShot };
        LocalApicBuilder::new()
            .timer_vector(self.vectors.timer.into())
            .error_vector(self.vectors.error.into())
            .spurious_vector(self.vectors.spurious.into())
            .timer_mode(mode)
            .timer_divide(TimerDivide::Div16)
            .timer_initial(0)
            .set_xapic_base(self.registers)
            .build()
            .map_err(|_| Error::ApicNotReady)
    }

    /// An APIC id as a destination: x2APIC takes it as it is, xAPIC in the top byte.
    fn destination(&self, apic_id: u32) -> u32 {
        if self.is_x2apic { apic_id } else { apic_id << 24 }
    }
}

/// Gives `act` this core's APIC, interrupts masked.
#[inline]
fn with<R>(act: impl FnOnce(&mut LocalApic, &Setup) -> R) -> Result<R, Error> {
    let setup = setup_done()?;
    without_interrupts(|| {
        let entry = LOCALS.0[core_id()].0.get();
        // SAFETY: this core's own entry; with interrupts masked nobody on this core gets between, and neither `act` nor an
        // NMI's handler comes back here (`ipi::nmi_to` makes an instance of its own).
        let apic = unsafe { &mut *entry };
        apic.as_mut().map(|apic| act(apic, setup)).ok_or(Error::ApicNotReady)
    })
}
