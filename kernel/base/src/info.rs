//! What a PVH loader says of the machine (Xen, `xen/include/public/arch-x86/hvm/start_info.h`).
//!
//! All of it is a claim: every address is bounds-checked by the [`Physical`] it
//! is read through, and what is kept is copied, because the loader's memory is
//! free for others afterwards.

use core::fmt;
use core::ops::Range;

use crate::line::Line;

/// Bytes of command line that the kernel keeps.
pub const COMMAND_LINE_SIZE: usize = 2048;
/// Entries of the loader's memory map that are looked at.
const MAX_ENTRIES: usize = 128;
/// Regions that the map can have once overlaps are resolved.
const MAX_REGIONS: usize = 2 * MAX_ENTRIES;

const MAGIC: u32 = 0x336e_c578;

/// Physical memory as far as it can be read at boot.
pub trait Physical {
    /// The `len` bytes at physical address `start`; `None` where any of them is out of reach.
    fn bytes(&self, start: u64, len: usize) -> Option<&[u8]>;
}

/// What a region of physical memory may be used for. Of two claims on the same
/// byte the later one in this order holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// RAM, free but for the image, the boot archive and what firmware left there.
    Usable,
    /// ACPI's tables; RAM once they are read.
    Acpi,
    /// ACPI's non-volatile storage; keep away.
    AcpiNvs,
    /// Devices, firmware, defects: keep away.
    Reserved,
}

/// A region of physical memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Bytes, at least 1; `start + len` does not overflow.
    pub len: u64,
    /// What it may be used for.
    pub kind: Kind,
}

impl Region {
    /// The first address behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// Why the loader's information cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No start info at the address.
    Magic(u32),
    /// Part of it lies where the kernel cannot read yet.
    OutOfReach {
        /// What was to be read.
        what: &'static str,
        /// Its physical address.
        address: u64,
    },
    /// The command line has more than [`COMMAND_LINE_SIZE`] bytes.
    CommandLineTooLong,
    /// The command line is not UTF-8.
    CommandLineNotText,
    /// The loader gave no memory map: PVH before version 1.
    NoMemoryMap,
    /// The memory map has this many entries, too many.
    TooManyRegions(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(found) => {
                write!(
                    f,
                    "no PVH start info (magic {found:#x}): boot with QEMU's -kernel or another PVH loader"
                )
            }
            Self::OutOfReach { what, address } => {
                write!(
                    f,
                    "the loader's {what} at {address:#x} lies above 4 GiB: give the machine less memory"
                )
            }
            Self::CommandLineTooLong => {
                write!(f, "the command line is longer than {COMMAND_LINE_SIZE} bytes: shorten the script")
            }
            Self::CommandLineNotText => write!(f, "the command line is not UTF-8: check -append"),
            Self::NoMemoryMap => {
                write!(f, "the loader gave no memory map: it must speak PVH version 1 or later")
            }
            Self::TooManyRegions(count) => {
                write!(f, "the memory map has {count} entries, and {MAX_ENTRIES} are the most that fit")
            }
        }
    }
}

impl core::error::Error for Error {}

/// What the kernel knows of its machine when it starts. Owns all it says.
#[derive(Debug)]
pub struct Info {
    command_line: Line<COMMAND_LINE_SIZE>,
    /// Physical addresses of the boot archive, where there is one.
    pub module: Option<Range<u64>>,
    /// Physical address of ACPI's root pointer, where the loader gave one.
    pub rsdp: Option<u64>,
    regions: [Region; MAX_REGIONS],
    count: usize,
}

impl Info {
    /// Reads the start info at physical address `start`.
    ///
    /// # Errors
    /// See [`Error`]; nothing is known then, and the kernel cannot go on.
    pub fn read(start: u64, memory: &impl Physical) -> Result<Self, Error> {
        let header = Claim::read("start info", start, 40, memory)?;
        if header.u32(0) != MAGIC {
            return Err(Error::Magic(header.u32(0)));
        }
        let version = header.u32(4);
        let modules = header.u32(12);
        let mut info = Self {
            command_line: Line::new(),
            module: None,
            rsdp: Some(header.u64(32)).filter(|&address| address != 0),
            regions: [Region { start: 0, len: 0, kind: Kind::Reserved }; MAX_REGIONS],
            count: 0,
        };
        if modules > 0 {
            let module = Claim::read("module list", header.u64(16), 32, memory)?;
            let (start, len) = (module.u64(0), module.u64(8));
            let out_of_reach = Error::OutOfReach { what: "module", address: start };
            let end = start.checked_add(len).ok_or(out_of_reach)?;
            info.module = Some(start..end).filter(|range| !range.is_empty());
        }
        if header.u64(24) != 0 {
            info.read_command_line(header.u64(24), memory)?;
        }
        if version == 0 {
            return Err(Error::NoMemoryMap);
        }
        let map = Claim::read("start info", start, 56, memory)?;
        info.read_map(map.u64(40), map.u32(48), memory)?;
        Ok(info)
    }

    /// What the user wrote behind `-append`.
    #[must_use]
    pub fn command_line(&self) -> &str {
        self.command_line.as_str()
    }

    /// The memory map: ascending, without overlaps, neighbours of different kinds.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions[..self.count]
    }

    fn read_command_line(&mut self, start: u64, memory: &impl Physical) -> Result<(), Error> {
        let out_of_reach = Error::OutOfReach { what: "command line", address: start };
        let mut bytes = [0; COMMAND_LINE_SIZE];
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let address = start.checked_add(offset as u64).ok_or(out_of_reach)?;
            *byte = memory.bytes(address, 1).ok_or(out_of_reach)?[0];
            if *byte == 0 {
                let text = str::from_utf8(&bytes[..offset]).map_err(|_| Error::CommandLineNotText)?;
                self.command_line.push_str(text.trim());
                return Ok(());
            }
        }
        Err(Error::CommandLineTooLong)
    }

    /// Sweeps over the borders of all entries: between two neighbouring borders
    /// the strictest claim holds, and equal neighbours become one region.
    fn read_map(&mut self, start: u64, count: u32, memory: &impl Physical) -> Result<(), Error> {
        let entries = count as usize;
        if entries == 0 {
            return Err(Error::NoMemoryMap);
        }
        if entries > MAX_ENTRIES {
            return Err(Error::TooManyRegions(count));
        }
        let map = Claim::read("memory map", start, entries * 24, memory)?;
        let entry = |index: usize| {
            let kind = match map.u32(index * 24 + 16) {
                1 => Kind::Usable,
                3 => Kind::Acpi,
                4 => Kind::AcpiNvs,
                _ => Kind::Reserved,
            };
            let start = map.u64(index * 24);
            (start..start.saturating_add(map.u64(index * 24 + 8)), kind)
        };

        let mut borders = [0; 2 * MAX_ENTRIES];
        let borders = &mut borders[..2 * entries];
        for index in 0..entries {
            let (range, _) = entry(index);
            borders[2 * index] = range.start;
            borders[2 * index + 1] = range.end;
        }
        borders.sort_unstable();
        for pair in borders.windows(2).filter(|pair| pair[0] < pair[1]) {
            let (start, len) = (pair[0], pair[1] - pair[0]);
            let claims = (0..entries).map(entry).filter(|(range, _)| range.contains(&start));
            if let Some(kind) = claims.map(|(_, kind)| kind).max() {
                self.push(Region { start, len, kind });
            }
        }
        Ok(())
    }

    fn push(&mut self, region: Region) {
        if let Some(last) = self.regions[..self.count].last_mut()
            && last.end() == region.start
            && last.kind == region.kind
        {
            last.len += region.len;
            return;
        }
        // 2 n borders leave at most 2 n - 1 spaces between them: it always fits.
        self.regions[self.count] = region;
        self.count += 1;
    }
}

/// Bytes that the loader says are a certain structure.
struct Claim<'a>(&'a [u8]);

impl<'a> Claim<'a> {
    fn read(what: &'static str, start: u64, len: usize, memory: &'a impl Physical) -> Result<Self, Error> {
        memory.bytes(start, len).map(Self).ok_or(Error::OutOfReach { what, address: start })
    }

    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0[offset..offset + N].try_into().expect("the slice has N bytes")
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Memory of 64 KiB with what the tests put there.
    struct Memory(Vec<u8>);

    impl Physical for Memory {
        fn bytes(&self, start: u64, len: usize) -> Option<&[u8]> {
            let start = usize::try_from(start).ok()?;
            self.0.get(start..start.checked_add(len)?)
        }
    }

    impl Memory {
        fn put(&mut self, address: usize, bytes: &[u8]) -> &mut Self {
            self.0[address..address + bytes.len()].copy_from_slice(bytes);
            self
        }

        fn put_map(&mut self, entries: &[(u64, u64, u32)]) -> &mut Self {
            for (index, (start, len, kind)) in entries.iter().enumerate() {
                self.put(0x4000 + index * 24, &start.to_le_bytes());
                self.put(0x4008 + index * 24, &len.to_le_bytes());
                self.put(0x4010 + index * 24, &kind.to_le_bytes());
            }
            self.put(0x1000 + 48, &(entries.len() as u32).to_le_bytes())
        }

        fn info(&self) -> Result<Info, Error> {
            Info::read(0x1000, self)
        }
    }

    /// A start info as QEMU writes one: at 0x1000, with one module.
    fn machine() -> Memory {
        let mut memory = Memory(std::vec![0; 0x10000]);
        memory
            .put(0x1000, &MAGIC.to_le_bytes())
            .put(0x1004, &1_u32.to_le_bytes())
            .put(0x100c, &1_u32.to_le_bytes())
            .put(0x1010, &0x2000_u64.to_le_bytes())
            .put(0x1018, &0x3000_u64.to_le_bytes())
            .put(0x1020, &0xf5b20_u64.to_le_bytes())
            .put(0x1028, &0x4000_u64.to_le_bytes())
            .put(0x2000, &0x7f0_0000_u64.to_le_bytes())
            .put(0x2008, &0x1234_u64.to_le_bytes())
            .put(0x3000, b"log=debug -- help; halt\0")
            .put_map(&[(0, 0x9fc00, 1), (0xf0000, 0x10000, 2), (0x10_0000, 0x7f0_0000, 1)]);
        memory
    }

    #[test]
    fn reads_what_qemu_gives() {
        let info = machine().info().unwrap();
        assert_eq!(info.command_line(), "log=debug -- help; halt");
        assert_eq!(info.module, Some(0x7f0_0000..0x7f0_1234));
        assert_eq!(info.rsdp, Some(0xf5b20));
        assert_eq!(info.regions().len(), 3);
        assert_eq!(info.regions()[1], Region { start: 0xf0000, len: 0x10000, kind: Kind::Reserved });
    }

    #[test]
    fn does_without_module_command_line_and_rsdp() {
        let mut memory = machine();
        memory.put(0x100c, &[0; 4]).put(0x1018, &[0; 16]);
        let info = memory.info().unwrap();
        assert_eq!(info.command_line(), "");
        assert_eq!((info.module, info.rsdp), (None, None));
    }

    #[test]
    fn strictest_of_overlapping_claims_holds() {
        let mut memory = machine();
        memory.put_map(&[
            (0x8000, 0x4000, 2),
            (0, 0x10000, 1),
            (0x10000, 0x1000, 1),
            (0xb000, 0x2000, 3),
            (0x20000, 0, 1),
            (u64::MAX - 0xfff, 0x2000, 7),
        ]);
        let info = memory.info().unwrap();
        let found: Vec<_> = info.regions().iter().map(|r| (r.start, r.end(), r.kind)).collect();
        let expected = [
            (0, 0x8000, Kind::Usable),
            (0x8000, 0xc000, Kind::Reserved),
            (0xc000, 0xd000, Kind::Acpi),
            (0xd000, 0x11000, Kind::Usable),
            (u64::MAX - 0xfff, u64::MAX, Kind::Reserved),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn refuses_lies() {
        let mut memory = machine();
        memory.put(0x1000, &[1]);
        assert_eq!(memory.info().unwrap_err(), Error::Magic(0x336e_c501));

        let mut memory = machine();
        memory.put(0x1028, &u64::MAX.to_le_bytes());
        let out = Error::OutOfReach { what: "memory map", address: u64::MAX };
        assert_eq!(memory.info().unwrap_err(), out);

        let mut memory = machine();
        memory.put(0x1030, &u32::MAX.to_le_bytes());
        assert_eq!(memory.info().unwrap_err(), Error::TooManyRegions(u32::MAX));

        let mut memory = machine();
        memory.put(0x2000, &u64::MAX.to_le_bytes());
        let out = Error::OutOfReach { what: "module", address: u64::MAX };
        assert_eq!(memory.info().unwrap_err(), out);

        let mut memory = machine();
        memory.put(0x1004, &[0; 4]);
        assert_eq!(memory.info().unwrap_err(), Error::NoMemoryMap);
    }

    #[test]
    fn refuses_command_lines_that_are_endless_or_no_text() {
        let mut memory = machine();
        memory.put(0x3000, &[b'x'; COMMAND_LINE_SIZE]);
        assert_eq!(memory.info().unwrap_err(), Error::CommandLineTooLong);
        memory.put(0x3000, b"\xff\0");
        assert_eq!(memory.info().unwrap_err(), Error::CommandLineNotText);
        memory.put(0x1018, &0xffff_u64.to_le_bytes()).put(0xffff, b"x");
        let out = Error::OutOfReach { what: "command line", address: 0xffff };
        assert_eq!(memory.info().unwrap_err(), out);
    }
}
