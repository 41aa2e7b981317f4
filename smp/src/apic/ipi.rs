//! Interrupts from core to core.

use core::hint::spin_loop;

use x2apic::lapic::LocalApic;
use x86_64::instructions::interrupts::without_interrupts;

use super::{Setup, setup_done, with};
use crate::{Error, roster};

/// Turns to wait for the last interrupt to leave before sending the next: xAPIC only, and far more than it ever takes.
const PATIENCE: u32 = 100_000;

/// Interrupts `core` with `vector`: for instance to make it look at its run queue. Does nothing where it is not online.
/// Cost: some register accesses; returns before the interrupt has arrived.
#[inline]
pub fn kick(core: usize, vector: u8) {
    let Some(apic_id) = roster::apic_id(core) else { return };
    // The error would be that this core's APIC is off, in which case no other core is online.
    let _ = send(apic_id, |apic, destination| {
        // SAFETY: the target is online: it has handlers, and an interrupt does no more than run one.
        unsafe { apic.send_ipi(vector, destination) }
    });
}

/// Sends an NMI to `core`. For panics: makes no use of the state that this core may have been using when it fell.
pub(crate) fn nmi_to(core: usize) {
    let Some(apic_id) = roster::apic_id(core) else { return };
    let Ok(setup) = setup_done() else { return };
    let Ok(mut apic) = setup.build() else { return };
    without_interrupts(|| {
        settle(&apic, setup);
        // SAFETY: the target is online, so it has an NMI handler. The APIC is on, or this core would not have come to be
        // among several.
        unsafe { apic.send_nmi(setup.destination(apic_id)) };
    });
}

/// Sends INIT: the core stops what it does and waits for a start-up interrupt.
///
/// # Safety
/// The core runs nothing that anybody still needs.
pub(crate) unsafe fn init(apic_id: u32) -> Result<(), Error> {
    send(apic_id, |apic, destination| {
        // SAFETY: the caller's promise.
        unsafe { apic.send_init_ipi(destination) }
    })
}

/// Sends a start-up interrupt: a core that waits for one begins in real mode at `page` * 4 KiB.
///
/// # Safety
/// There is code for real mode.
pub(crate) unsafe fn start_up(apic_id: u32, page: u8) -> Result<(), Error> {
    send(apic_id, |apic, destination| {
        // SAFETY: the caller's promise.
        unsafe { apic.send_sipi(page, destination) }
    })
}

fn send(apic_id: u32, act: impl FnOnce(&mut LocalApic, u32)) -> Result<(), Error> {
    with(|apic, setup| {
        settle(apic, setup);
        act(apic, setup.destination(apic_id));
    })
}

/// Waits until the command register takes the next command, and makes what was stored before visible to its receiver.
fn settle(apic: &LocalApic, setup: &Setup) {
    if setup.is_x2apic {
        // The write to the command register is not serializing in x2APIC mode (Intel SDM, volume 3, section 11.12.3).
        // SAFETY: x86-64 has SSE2.
        unsafe { core::arch::x86_64::_mm_mfence() };
        // SAFETY: x86-64 has SSE2.
        unsafe { core::arch::x86_64::_mm_lfence() };
        return;
    }
    for _ in 0..PATIENCE {
        // SAFETY: reads a register of the APIC, which is mapped.
        if !unsafe { apic.get_ipi_delivery_status() } {
            return;
        }
        spin_loop();
    }
}

/// Interrupts `core` with the vector of cross-calls.
pub(crate) fn call(core: usize) {
    if let Ok(setup) = setup_done() {
        kick(core, setup.vectors.call);
    }
}
