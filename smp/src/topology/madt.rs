//! The MADT: cores, IO APICs, overrides (ACPI 6.5, section 5.2.12). Crate `acpi` has an iterator over its entries, which
//! trusts their lengths; this one does not.
#![forbid(unsafe_code)]

use super::Topology;
use super::bytes::{u8_at, u16_at, u32_at, u64_at};
use crate::Error;

/// Where the entries begin, after the header, the APIC's address and the flags.
const ENTRIES: usize = 44;

/// An IO APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApicEntry {
    /// Physical address of its registers.
    pub address: u64,
    /// The first global system interrupt that it serves.
    pub first_gsi: u32,
}

/// Which level asserts an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// High, as on ISA.
    High,
    /// Low, as on PCI.
    Low,
}

/// What counts as an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The change to the asserted level, as on ISA.
    Edge,
    /// The asserted level, until it is acknowledged, as on PCI.
    Level,
}

/// Where an ISA interrupt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA interrupt.
    pub irq: u8,
    /// The global system interrupt where it arrives.
    pub gsi: u32,
    /// Its polarity.
    pub polarity: Polarity,
    /// Its trigger mode.
    pub trigger: Trigger,
}

impl Override {
    /// What holds for an ISA interrupt that no override names.
    pub const fn identity(irq: u8) -> Self {
        Self { irq, gsi: irq as u32, polarity: Polarity::High, trigger: Trigger::Edge }
    }
}

/// Fills in what the table whose bytes are `table` tells.
pub(super) fn read(table: &[u8], topology: &mut Topology) -> Result<(), Error> {
    let garbled = |offset| Error::GarbledTable { signature: *b"APIC", offset };
    topology.local_apic = u32_at(table, 36).ok_or(garbled(36))?.into();
    topology.has_pics = u32_at(table, 40).ok_or(garbled(40))? & 1 != 0;
    let mut offset = ENTRIES;
    while offset < table.len() {
        let length = usize::from(u8_at(table, offset + 1).ok_or(garbled(offset))?);
        if length < 2 {
            return Err(garbled(offset));
        }
        let entry = table.get(offset..offset + length).ok_or(garbled(offset))?;
        read_entry(entry, topology).ok_or(garbled(offset))?;
        offset += length;
    }
    if topology.cores.is_empty() { Err(Error::NoCore) } else { Ok(()) }
}

/// Reads one entry; None where it is too short for its type. Entries of no interest are passed over.
fn read_entry(entry: &[u8], topology: &mut Topology) -> Option<()> {
    match u8_at(entry, 0)? {
        // Local APIC. Id 255 means none.
        0 => {
            let id = u8_at(entry, 3)?;
            if id != 0xff {
                add_core(topology, id.into(), u32_at(entry, 4)?);
            }
        }
        1 => {
            let io_apic = IoApicEntry { address: u32_at(entry, 4)?.into(), first_gsi: u32_at(entry, 8)? };
            // More than fit are left alone: their interrupts have no route, which routing reports.
            let _ = topology.io_apics.try_push(io_apic);
        }
        // Interrupt source override, of the ISA bus (0).
        2 if u8_at(entry, 2)? == 0 => {
            let flags = u16_at(entry, 8)?;
            let polarity = if flags & 3 == 3 { Polarity::Low } else { Polarity::High };
            let trigger = if flags >> 2 & 3 == 3 { Trigger::Level } else { Trigger::Edge };
            let over = Override { irq: u8_at(entry, 3)?, gsi: u32_at(entry, 4)?, polarity, trigger };
            if topology.overrides.iter().all(|other| other.irq != over.irq) {
                let _ = topology.overrides.try_push(over);
            }
        }
        // Local APIC address override.
        5 => topology.local_apic = u64_at(entry, 4)?,
        // Local x2APIC.
        9 => {
            let id = u32_at(entry, 4)?;
            if id != u32::MAX {
                add_core(topology, id, u32_at(entry, 8)?);
            }
        }
        _ => (),
    }
    Some(())
}

/// Adds a core if it is enabled (bit 0), once.
fn add_core(topology: &mut Topology, apic_id: u32, flags: u32) {
    if flags & 1 == 0 || topology.cores.contains(&apic_id) {
        return;
    }
    if topology.cores.try_push(apic_id).is_err() {
        topology.cores_left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Topology, read};
    use crate::{Error, MAX_CORES};

    fn table(entries: &[u8]) -> Vec<u8> {
        [&[0; 44], entries].concat()
    }

    fn parse(entries: &[u8]) -> Result<Topology, Error> {
        let mut topology = Topology::default();
        read(&table(entries), &mut topology).map(|()| topology)
    }

    #[test]
    fn x2apic_entries_count_and_duplicates_do_not() {
        let mut entries = vec![0, 8, 0, 1, 1, 0, 0, 0];
        entries.extend([9, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        entries.extend([9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        entries.extend([9, 16, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&entries).unwrap().cores[..], [1, 300]);
    }

    #[test]
    fn an_address_override_wins() {
        let entries = [5, 12, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 1, 1, 0, 0, 0];
        assert_eq!(parse(&entries).unwrap().local_apic, 1 << 32);
    }

    #[test]
    fn cores_beyond_the_limit_are_counted() {
        let entries: Vec<u8> = (0..70).flat_map(|id| [0, 8, id, id, 1, 0, 0, 0]).collect();
        let topology = parse(&entries).unwrap();
        assert_eq!((topology.cores.len(), topology.cores_left_out), (MAX_CORES, 6));
    }

    #[test]
    fn entries_that_lie_about_their_length_are_errors() {
        let garbled = |offset| Error::GarbledTable { signature: *b"APIC", offset };
        assert_eq!(parse(&[0, 0]).unwrap_err(), garbled(44));
        assert_eq!(parse(&[0, 1]).unwrap_err(), garbled(44));
        assert_eq!(parse(&[0, 9, 0, 0, 1, 0, 0, 0]).unwrap_err(), garbled(44));
        assert_eq!(parse(&[0, 3, 0]).unwrap_err(), garbled(44));
        assert_eq!(parse(&[3, 2, 0]).unwrap_err(), garbled(46));
        assert_eq!(read(&[0; 38], &mut Topology::default()).unwrap_err(), garbled(36));
        assert_eq!(parse(&[]).unwrap_err(), Error::NoCore);
    }
}
