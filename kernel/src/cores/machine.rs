//! The machine as found: topology, interrupt controllers, clocks.

use core::ptr::{self, NonNull};

use smp::apic::{self, Vectors};
use smp::clock::calibrate::calibrate;
use smp::clock::reference::Reference;
use smp::topology::Topology;
use smp::{Error, roster};
use spin::Once;

use super::ground::{DirectMap, registers};
use super::vectors;
use crate::{boot, serial};

static TOPOLOGY: Once<Topology> = Once::new();

/// What ACPI tells of the machine.
///
/// # Panics
/// Before [`init`](super::init): a bug of the boot order.
pub fn topology() -> &'static Topology {
    TOPOLOGY.get().expect("cores::init comes first")
}

/// Reads the topology, turns the boot core's APIC and the IO APICs on, and calibrates.
pub(super) fn init() {
    let boot_apic_id = apic::own_id();
    let topology = TOPOLOGY.call_once(|| read_topology(boot_apic_id));

    let vectors = Vectors {
        timer: vectors::TIMER,
        call: vectors::CALL,
        error: vectors::APIC_ERROR,
        spurious: vectors::SPURIOUS,
    };
    let local_apic = if topology.local_apic == 0 { DEFAULT_LOCAL_APIC } else { topology.local_apic };
    // In x2APIC mode the registers are not used, but they are there all the same.
    let apic_registers = registers(local_apic).expect("a page for the local APIC's registers");
    // SAFETY: mapped just now, uncached and for good.
    unsafe { apic::setup(vectors, apic_registers) };
    // SAFETY: `trap::init_boot_core` has masked both 8259s, and `interrupts::install` has set the handlers.
    let enabled = unsafe { apic::enable() };
    enabled.expect("a local APIC");
    roster::set_online(0, boot_apic_id);

    let hpet = topology.hpet.and_then(|hpet| registers(hpet.address));
    let hpet = hpet.and_then(|address| NonNull::new(ptr::with_exposed_provenance_mut(address as usize)));
    // SAFETY: the HPET is mapped for good, and nothing else in this kernel uses it or the PIT.
    let reference = unsafe { Reference::choose(topology.pm_timer, hpet) };
    let calibration = reference.ok_or(Error::NoReferenceClock).and_then(calibrate);
    match calibration {
        Ok(calibration) => ::log::info!("{}: {calibration}", apic::mode()),
        Err(error) => panic!("{error}"),
    }

    // SAFETY: `registers` maps uncached and for good, and this is the one user of IO APICs.
    let io_apics = unsafe { apic::io::setup(topology, registers) };
    ::log::debug!("{io_apics} IO APICs, {} overrides", topology.overrides.len());
    match apic::io::route_isa(topology, serial::IRQ, vectors::SERIAL, 0) {
        Ok(()) => serial::enable_interrupts(),
        Err(error) => ::log::warn!("the serial line is polled: {error}"),
    }
}

/// Where every processor has its local APIC unless firmware moved it.
const DEFAULT_LOCAL_APIC: u64 = 0xfee0_0000;

fn read_topology(boot_apic_id: u32) -> Topology {
    let rsdp = boot::info().rsdp.ok_or(Error::NoRootTable);
    let topology = rsdp.and_then(|rsdp| {
        // SAFETY: nothing in this kernel writes to ACPI's tables.
        unsafe { Topology::read(&DirectMap, rsdp, boot_apic_id) }
    });
    let topology = topology.unwrap_or_else(|error| {
        ::log::error!("{error}; going on with one core");
        Topology::boot_core_only(boot_apic_id)
    });
    if topology.cores_left_out > 0 {
        ::log::warn!("{} cores more than {} stay unused", topology.cores_left_out, smp::MAX_CORES);
    }
    topology
}
