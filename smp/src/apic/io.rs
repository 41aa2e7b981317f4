//! The IO APICs: where devices' interrupts go.

use arrayvec::ArrayVec;
use spin::Mutex;
use x2apic::ioapic::{IoApic, IrqFlags, IrqMode, RedirectionTableEntry};
use x86_64::instructions::interrupts::without_interrupts;

use crate::topology::{MAX_IO_APICS, Override, Polarity, Topology, Trigger};
use crate::{Error, roster};

/// One IO APIC and the interrupts that it serves.
struct Served {
    first_gsi: u32,
    entries: u32,
    registers: IoApic,
}

/// The machine's IO APICs. Held for a few register accesses, interrupts masked; nothing is locked inside.
static IO_APICS: Mutex<ArrayVec<Served, MAX_IO_APICS>> = Mutex::new(ArrayVec::new_const());

/// Takes the topology's IO APICs over and masks all their entries. `map` gives the virtual address of the page of
/// registers at a physical address; one that it cannot map is passed over. Returns how many were taken.
///
/// # Safety
/// What `map` returns is mapped for good, writable and uncached, and nobody else uses the IO APICs. Called once.
pub unsafe fn setup(topology: &Topology, mut map: impl FnMut(u64) -> Option<u64>) -> usize {
    let mut served = ArrayVec::<Served, MAX_IO_APICS>::new();
    for entry in &topology.io_apics {
        let Some(address) = map(entry.address) else { continue };
        // SAFETY: the caller's promises about `map`.
        let mut registers = unsafe { IoApic::new(address) };
        // SAFETY: reads a register.
        let last = unsafe { registers.max_table_entry() };
        for pin in 0..=last {
            // SAFETY: masks an entry that nobody uses.
            unsafe { registers.disable_irq(pin) };
        }
        served.push(Served { first_gsi: entry.first_gsi, entries: u32::from(last) + 1, registers });
    }
    let count = served.len();
    without_interrupts(|| *IO_APICS.lock() = served);
    count
}

/// Sends ISA interrupt `irq` to `core` as `vector`, as the topology's overrides say, and unmasks it.
///
/// # Errors
/// No IO APIC serves it, or the core is not online or out of an IO APIC's reach.
pub fn route_isa(topology: &Topology, irq: u8, vector: u8, core: usize) -> Result<(), Error> {
    route(topology.isa(irq), vector, core)
}

/// Sends the global system interrupt of `interrupt` to `core` as `vector`, and unmasks it. The handler must be in place.
///
/// # Errors
/// No IO APIC serves it, or the core is not online or out of an IO APIC's reach.
pub fn route(interrupt: Override, vector: u8, core: usize) -> Result<(), Error> {
    let apic_id = roster::apic_id(core).ok_or(Error::UnreachableCore { apic_id: u32::MAX })?;
    let destination = u8::try_from(apic_id).ok().filter(|&id| id != u8::MAX);
    let destination = destination.ok_or(Error::UnreachableCore { apic_id })?;
    let mut flags = IrqFlags::empty();
    flags.set(IrqFlags::LOW_ACTIVE, interrupt.polarity == Polarity::Low);
    flags.set(IrqFlags::LEVEL_TRIGGERED, interrupt.trigger == Trigger::Level);
    let mut entry = RedirectionTableEntry::default();
    entry.set_vector(vector);
    entry.set_mode(IrqMode::Fixed);
    entry.set_flags(flags);
    entry.set_dest(destination);
    with(interrupt.gsi, |registers, pin| {
        // Masked while its two halves are written, or it could go to the new core by the old vector.
        // SAFETY: masks an entry.
        unsafe { registers.disable_irq(pin) };
        let mut masked = entry;
        masked.set_flags(flags | IrqFlags::MASKED);
        // SAFETY: the entry is masked and names a vector and core of the caller's choice.
        unsafe { registers.set_table_entry(pin, masked) };
        // SAFETY: unmasks it; the handler is in place.
        unsafe { registers.enable_irq(pin) };
    })
}

/// Masks the global system interrupt `gsi`.
///
/// # Errors
/// No IO APIC serves it.
pub fn mask(gsi: u32) -> Result<(), Error> {
    // SAFETY: masks an entry.
    with(gsi, |registers, pin| unsafe { registers.disable_irq(pin) })
}

/// Gives `act` the IO APIC that serves `gsi`, and the entry's number there.
fn with<R>(gsi: u32, act: impl FnOnce(&mut IoApic, u8) -> R) -> Result<R, Error> {
    without_interrupts(|| {
        let mut served = IO_APICS.lock();
        let found = served
            .iter_mut()
            .find(|served| gsi.checked_sub(served.first_gsi).is_some_and(|pin| pin < served.entries));
        let found = found.ok_or(Error::NoIoApic { gsi })?;
        // At most 256 entries: the count is an 8-bit register plus one.
        let pin = (gsi - found.first_gsi) as u8;
        Ok(act(&mut found.registers, pin))
    })
}
