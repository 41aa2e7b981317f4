//! What can go wrong with the machine's cores, each with what to do about it.

use core::fmt;

/// Why a part of the machine could not be read, calibrated, routed or started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The ACPI root pointer, or the root table that it names, is absent or garbled.
    NoRootTable,
    /// The named ACPI table is absent, unreadable or fails its checksum.
    NoTable {
        /// The table's four letters, such as `APIC`.
        signature: [u8; 4],
    },
    /// The named ACPI table contradicts its own lengths.
    GarbledTable {
        /// The table's four letters.
        signature: [u8; 4],
        /// Where in the table, in bytes.
        offset: usize,
    },
    /// No table names a core that is enabled.
    NoCore,
    /// The boot core's APIC id is in no table's list of cores.
    BootCoreUnlisted {
        /// The id that the boot core reports.
        apic_id: u32,
    },
    /// The local APIC could not be set up, or was used before it was.
    ApicNotReady,
    /// No reference clock counts, so nothing can be calibrated.
    NoReferenceClock,
    /// Two calibrations in a row disagreed, over and over.
    UnsteadyClock {
        /// How far apart the best two were, in parts per million.
        apart_ppm: u32,
    },
    /// The trampoline's page is not page-aligned or not below 1 MiB.
    TrampolineAddress {
        /// The physical address that was given.
        physical: u64,
    },
    /// The page tables for the way up lie above 4 GiB, where a core that starts in real mode cannot load them.
    PageTablesTooHigh {
        /// The physical address of the root table.
        root: u64,
    },
    /// A core did not come up in time.
    NoAnswer {
        /// The core that was called.
        apic_id: u32,
        /// How far it came: 0 no sign of life, 1 real mode, 2 long mode, 3 a core of another id answered.
        stage: u32,
    },
    /// No IO APIC serves this interrupt.
    NoIoApic {
        /// The global system interrupt.
        gsi: u32,
    },
    /// An IO APIC can name only the APIC ids 0 to 254.
    UnreachableCore {
        /// The id of the core that was asked for.
        apic_id: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = |signature: &[u8; 4]| signature.map(|byte| char::from(byte & 0x7f));
        match self {
            Self::NoRootTable => {
                write!(f, "no valid ACPI root table; check what the boot loader passes as RSDP")
            }
            Self::NoTable { signature } => {
                let [a, b, c, d] = letters(signature);
                write!(
                    f,
                    "ACPI table {a}{b}{c}{d} is missing or fails its checksum; enable ACPI in the firmware"
                )
            }
            Self::GarbledTable { signature, offset } => {
                let [a, b, c, d] = letters(signature);
                write!(f, "ACPI table {a}{b}{c}{d} is garbled at byte {offset}; update the firmware")
            }
            Self::NoCore => write!(f, "ACPI lists no enabled core; check the firmware's processor settings"),
            Self::BootCoreUnlisted { apic_id } => {
                write!(f, "ACPI does not list the boot core (APIC id {apic_id}); update the firmware")
            }
            Self::ApicNotReady => {
                write!(f, "the local APIC is not set up; call apic::setup and apic::enable first")
            }
            Self::NoReferenceClock => {
                write!(f, "no PM timer, HPET or PIT counts; give the machine one of them")
            }
            Self::UnsteadyClock { apart_ppm } => {
                write!(f, "two calibrations differ by {apart_ppm} ppm; boot again on a quieter machine")
            }
            Self::TrampolineAddress { physical } => {
                write!(f, "{physical:#x} is no page below 1 MiB; give bring-up one that is")
            }
            Self::PageTablesTooHigh { root } => {
                write!(f, "page tables at {root:#x} are above 4 GiB; put those for bring-up below")
            }
            Self::NoAnswer { apic_id, stage } => {
                write!(f, "core with APIC id {apic_id} did not come up (stage {stage}); going on without it")
            }
            Self::NoIoApic { gsi } => write!(f, "no IO APIC serves interrupt {gsi}; poll the device instead"),
            Self::UnreachableCore { apic_id } => {
                write!(f, "no IO APIC can reach APIC id {apic_id}; route to a core below 255")
            }
        }
    }
}

impl core::error::Error for Error {}
