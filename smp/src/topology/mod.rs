//! What cores, IO APICs and timers the machine has, read from ACPI's tables.
//!
//! The tables are allegations. [`tables`] finds them (through crate `acpi`) behind checks of bounds and checksums; what is
//! in them is then read from plain byte slices in safe code, by `madt` and `timers`, which tests attack on the host.

mod bytes;
mod madt;
pub mod tables;
mod timers;

use arrayvec::ArrayVec;

pub use madt::{IoApicEntry, Override, Polarity, Trigger};
pub use tables::PhysicalMemory;
pub use timers::{HpetTimer, PmTimer};

use crate::{Error, MAX_CORES};

/// As many IO APICs as are kept.
pub const MAX_IO_APICS: usize = 16;
/// As many overrides of ISA interrupts as are kept: there are 16 ISA interrupts.
pub const MAX_OVERRIDES: usize = 16;

/// The machine as ACPI tells it.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// APIC ids of the enabled cores, in the order of the MADT but the boot core first; the index is the core's id.
    pub cores: ArrayVec<u32, MAX_CORES>,
    /// How many enabled cores there are beyond [`MAX_CORES`], which stay unused.
    pub cores_left_out: usize,
    /// Physical address of the local APIC's registers in xAPIC mode; 0 where no table gives it.
    pub local_apic: u64,
    /// Whether the machine has a pair of 8259 controllers, to be masked.
    pub has_pics: bool,
    /// The IO APICs.
    pub io_apics: ArrayVec<IoApicEntry, MAX_IO_APICS>,
    /// Where ISA interrupts go that are not identity-mapped, edge-triggered and active high.
    pub overrides: ArrayVec<Override, MAX_OVERRIDES>,
    /// The ACPI PM timer, where the FADT has one in I/O space.
    pub pm_timer: Option<PmTimer>,
    /// The HPET, where there is one in memory.
    pub hpet: Option<HpetTimer>,
}

impl Topology {
    /// Reads the tables below the root pointer at physical address `rsdp`; `boot_apic_id` is the running core's.
    ///
    /// # Errors
    /// A missing or garbled root table or MADT, one without an enabled core, or one that does not list the boot core. A
    /// missing or garbled FADT or HPET is no error: the timer in question is then absent.
    ///
    /// # Safety
    /// The caller's `memory` keeps its contract (see [`PhysicalMemory`]), and nothing changes the tables meanwhile.
    pub unsafe fn read<M: PhysicalMemory>(memory: &M, rsdp: u64, boot_apic_id: u32) -> Result<Self, Error> {
        // SAFETY: the caller's promises are the ones that `Tables` asks for.
        let tables = unsafe { tables::Tables::open(memory, rsdp) }?;
        let mut topology = Self::default();
        tables.with(tables::MADT, |bytes| madt::read(bytes, &mut topology))??;
        topology.put_first(boot_apic_id)?;
        topology.pm_timer = tables.with(tables::FADT, timers::pm_timer).ok().flatten();
        topology.hpet = tables.with(tables::HPET, timers::hpet).ok().flatten();
        Ok(topology)
    }

    /// A machine of which only the running core is known, for when ACPI's tables are of no use.
    pub fn boot_core_only(boot_apic_id: u32) -> Self {
        let mut topology = Self { has_pics: true, ..Self::default() };
        topology.cores.push(boot_apic_id);
        topology
    }

    /// Moves the boot core to the front, the others keeping their order.
    fn put_first(&mut self, boot_apic_id: u32) -> Result<(), Error> {
        let position = self.cores.iter().position(|&id| id == boot_apic_id);
        let position = position.ok_or(Error::BootCoreUnlisted { apic_id: boot_apic_id })?;
        self.cores[..=position].rotate_right(1);
        Ok(())
    }

    /// The global system interrupt that ISA interrupt `irq` arrives at, and how it is signalled.
    ///
    /// ```
    /// let topology = smp::topology::Topology::boot_core_only(0);
    /// assert_eq!(topology.isa(4).gsi, 4);
    /// ```
    pub fn isa(&self, irq: u8) -> Override {
        self.overrides.iter().find(|entry| entry.irq == irq).copied().unwrap_or(Override::identity(irq))
    }
}
