//! What each core has of its own.

use core::sync::atomic::{AtomicU64, Ordering};

use smp::{CoreArea, MAX_CORES};
use spin::Once;

use super::words::Words;

/// The kernel's part of a core's area. Other cores read it; the core itself may also reach it by single instructions
/// relative to GS, at `offset_of!(CoreArea<Local>, local.FIELD)`.
#[derive(Debug)]
#[repr(C)]
pub struct Local {
    /// The running strand's words, saved and restored with it.
    pub words: Words,
    /// Timer interrupts.
    pub ticks: AtomicU64,
    /// Kicks by other cores.
    pub kicks: AtomicU64,
    /// Interrupts for cross-calls; calls that were served while waiting are in no count.
    pub calls: AtomicU64,
}

impl Local {
    /// A part in which nothing has been counted.
    pub const fn new() -> Self {
        Self {
            words: Words::new(),
            ticks: AtomicU64::new(0),
            kicks: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }
}

static BOOT_AREA: CoreArea<Local> = CoreArea::new(0, 0, Local::new());

/// The areas of the cores that have one.
static AREAS: [Once<&'static CoreArea<Local>>; MAX_CORES] = [const { Once::new() }; MAX_CORES];

/// Makes the static area the boot core's.
pub(super) fn install_boot_area() {
    // SAFETY: the boot core's alone; every area of this kernel is a `CoreArea<Local>`; and no GS selector is loaded after
    // the boot stub (`CoreTables::load` leaves GS alone).
    unsafe { BOOT_AREA.install() };
    BOOT_AREA.set_apic_id(smp::apic::own_id());
    enter(&BOOT_AREA);
}

/// Lets other cores find an area.
pub(super) fn enter(area: &'static CoreArea<Local>) {
    AREAS[area.id()].call_once(|| area);
}

/// The area of `core`; None where that core did not come up.
pub fn area(core: usize) -> Option<&'static CoreArea<Local>> {
    AREAS.get(core)?.get().copied().filter(|_| smp::roster::online().contains(core))
}

/// The running core's part. Under preemption it may be another core's by the time it is used: see [`smp::area::current`].
#[inline]
pub fn local() -> &'static Local {
    // SAFETY: `install_boot_area` and `start` install a `CoreArea<Local>` on each core before it runs anything else.
    let area = unsafe { smp::area::current::<Local>() };
    &area.local
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    // Relaxed: a counter for humans.
    counter.fetch_add(1, Ordering::Relaxed);
}
