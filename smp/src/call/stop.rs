//! Stopping all other cores for good.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::{apic, core_id, roster};

static STOPPING: AtomicBool = AtomicBool::new(false);

/// Stops every other online core by NMI, masked interrupts or not; their NMI handler halts when [`is_stopping`].
///
/// Returns whether this core was the first to ask: one that was not should halt itself and leave the talking to the
/// other. For panics: takes no lock, uses no per-core state but the core's id, waits for nobody, and may be called before
/// any APIC is on. The others may run some instructions more before the NMI arrives.
pub fn stop_others() -> bool {
    // Acquire and release: the one that wins sees what the one that lost wrote, and cores that see the flag see all that
    // was written before it.
    let first = !STOPPING.swap(true, Ordering::AcqRel);
    if first {
        let online = roster::online();
        // Before any core is online GS may lead nowhere, and there is nobody to stop.
        if !online.is_empty() {
            online.without(core_id()).iter().for_each(apic::ipi::nmi_to);
        }
    }
    first
}

/// Whether some core has asked the others to stop: an NMI then means that.
pub fn is_stopping() -> bool {
    // Acquire: synchronizes with the swap in `stop_others`.
    STOPPING.load(Ordering::Acquire)
}
