//! Finding ACPI's tables in physical memory, through crate `acpi`.
//!
//! *Threat*: the crate checks signatures and checksums, but takes lengths and addresses on trust: a table of length 0, or
//! one that runs past the end of memory, would be read out of bounds. *Defence*: what is mapped for the crate passes
//! `Checked`, which looks at each header's own length first, and presents whatever cannot be read in full as a page of
//! zeros, whose signature no table has. *Tests*: `garbled_tables_are_typed_errors` and those beside it.

use core::mem::size_of;
use core::ptr::NonNull;

use acpi::rsdp::Rsdp;
use acpi::sdt::{SdtHeader, Signature};
use acpi::{AcpiHandler, AcpiTable, AcpiTables, PhysicalMapping};

use super::bytes::u32_at;
use crate::Error;

/// Physical memory that firmware left tables in. The kernel implements it over its direct map.
///
/// # Safety
/// What [`map`](Self::map) returns is readable for `length` bytes for as long as the implementor lives.
pub unsafe trait PhysicalMemory {
    /// The address through which `length` bytes from `physical` on can be read; None where they cannot all be.
    fn map(&self, physical: u64, length: usize) -> Option<NonNull<u8>>;
}

/// A table to look for: its four letters, and the type by which crate `acpi` knows it.
pub(super) struct Wanted<T>([u8; 4], core::marker::PhantomData<T>);

/// Cores and interrupt controllers.
pub(super) const MADT: Wanted<Madt> = Wanted(*b"APIC", core::marker::PhantomData);
/// Among many other things the PM timer.
pub(super) const FADT: Wanted<Fadt> = Wanted(*b"FACP", core::marker::PhantomData);
/// The high precision event timer.
pub(super) const HPET: Wanted<Hpet> = Wanted(*b"HPET", core::marker::PhantomData);

macro_rules! table {
    ($name:ident, $signature:ident) => {
        /// The header alone: the rest is read as bytes, since a table may be shorter than any struct for it.
        #[repr(transparent)]
        pub(super) struct $name(SdtHeader);

        // SAFETY: every table begins with a header, and no more than that is claimed.
        unsafe impl AcpiTable for $name {
            const SIGNATURE: Signature = Signature::$signature;

            fn header(&self) -> &SdtHeader {
                &self.0
            }
        }
    };
}
table!(Madt, MADT);
table!(Fadt, FADT);
table!(Hpet, HPET);

/// The machine's tables, the root of which has been checked.
pub(super) struct Tables<'m, M: PhysicalMemory>(AcpiTables<Checked<'m, M>>);

impl<'m, M: PhysicalMemory> Tables<'m, M> {
    /// Follows the root pointer at `rsdp`.
    ///
    /// # Safety
    /// Nothing changes the tables while they are read.
    pub(super) unsafe fn open(memory: &'m M, rsdp: u64) -> Result<Self, Error> {
        // SAFETY: `Checked` hands out either the whole structure or zeros, so any address is valid to read from.
        let tables = unsafe { AcpiTables::from_rsdp(Checked(memory), rsdp as usize) };
        tables.map(Self).map_err(|_| Error::NoRootTable)
    }

    /// Gives `read` the bytes of the wanted table, header included.
    pub(super) fn with<T: AcpiTable, R>(
        &self,
        wanted: Wanted<T>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        let table = self.0.find_table::<T>().map_err(|_| Error::NoTable { signature: wanted.0 })?;
        let start = table.virtual_start().cast::<u8>().as_ptr();
        // SAFETY: the mapping covers `region_length` bytes (see `Checked`), and `table` outlives this borrow of them.
        Ok(read(unsafe { core::slice::from_raw_parts(start, table.region_length()) }))
    }
}

/// Shown instead of what cannot be read. Larger than any structure that crate `acpi` maps by its type.
#[repr(align(8))]
struct Zeros([u8; 512]);
static ZEROS: Zeros = Zeros([0; 512]);

/// Physical memory for crate `acpi`, which cannot be told that something is not there.
struct Checked<'m, M>(&'m M);

impl<M> Clone for Checked<'_, M> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<M: PhysicalMemory> Checked<'_, M> {
    /// Maps `size` bytes, provided that the structure which they begin can be read to its own end.
    fn map_checked(&self, physical: u64, size: usize) -> Option<NonNull<u8>> {
        let start = self.0.map(physical, size)?;
        // SAFETY: `map` promises `size` readable bytes, and nobody writes to firmware's tables.
        let bytes = unsafe { core::slice::from_raw_parts(start.as_ptr(), size) };
        let (length, least) = match bytes.starts_with(b"RSD PTR ") {
            // ACPI 1.0's root pointer (revision 0, byte 15) has 20 bytes and no length.
            true if bytes.get(15) == Some(&0) => (size, size),
            true => (u32_at(bytes, 20)? as usize, size_of::<Rsdp>()),
            false => (u32_at(bytes, 4)? as usize, size_of::<SdtHeader>()),
        };
        if length < least {
            return None;
        }
        self.0.map(physical, length.max(size))
    }
}

impl<M: PhysicalMemory> AcpiHandler for Checked<'_, M> {
    unsafe fn map_physical_region<T>(&self, physical: usize, size: usize) -> PhysicalMapping<Self, T> {
        let start = self.map_checked(physical as u64, size).unwrap_or(NonNull::from(&ZEROS.0).cast());
        assert!(size_of::<T>() <= size_of::<Zeros>(), "a table's type outgrew the page of zeros");
        // SAFETY: `start` leads to `size` readable bytes; or to zeros, as many as T has, of which nobody reads more: a
        // header of zeros fails the check of its signature, which comes before its length is used.
        unsafe { PhysicalMapping::new(physical, start.cast(), size, size, self.clone()) }
    }

    fn unmap_physical_region<T>(_region: &PhysicalMapping<Self, T>) {}
}

#[cfg(test)]
mod tests {
    use super::{NonNull, PhysicalMemory};
    use crate::Error;
    use crate::topology::{Polarity, Topology, Trigger};

    /// The first 16 KiB of a machine.
    struct Memory(Vec<u8>);

    // SAFETY: the range is checked against the vector, which does not change while it is borrowed.
    unsafe impl PhysicalMemory for Memory {
        fn map(&self, physical: u64, length: usize) -> Option<NonNull<u8>> {
            let start = usize::try_from(physical).ok()?;
            let bytes = self.0.get(start..start.checked_add(length)?)?;
            NonNull::new(bytes.as_ptr().cast_mut())
        }
    }

    impl Memory {
        fn put(&mut self, at: usize, bytes: &[u8]) {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }

        fn put_table(&mut self, at: usize, signature: &[u8; 4], body: &[u8]) {
            let mut table = vec![0; 36];
            table[..4].copy_from_slice(signature);
            table[4..8].copy_from_slice(&(36 + body.len() as u32).to_le_bytes());
            table.extend_from_slice(body);
            table[9] = table.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
            self.put(at, &table);
        }

        fn read(&self) -> Result<Topology, Error> {
            // SAFETY: nothing changes the vector while it is borrowed.
            unsafe { Topology::read(self, 0x100, 2) }
        }
    }

    /// Two cores (the boot core has id 2), one more that is disabled, an IO APIC, an override, a PM timer, an HPET.
    fn machine() -> Memory {
        let mut memory = Memory(vec![0; 0x4000]);
        let mut rsdp = [0; 20];
        rsdp[..8].copy_from_slice(b"RSD PTR ");
        rsdp[16..20].copy_from_slice(&0x200_u32.to_le_bytes());
        rsdp[8] = rsdp.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
        memory.put(0x100, &rsdp);
        let root: Vec<u8> = [0x1000_u32, 0x2000, 0x3000].into_iter().flat_map(u32::to_le_bytes).collect();
        memory.put_table(0x200, b"RSDT", &root);
        let mut madt = vec![0, 0, 0xe0, 0xfe, 1, 0, 0, 0];
        madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        madt.extend([0, 8, 1, 2, 1, 0, 0, 0]);
        madt.extend([0, 8, 2, 4, 0, 0, 0, 0]);
        madt.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        madt.extend([2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0]);
        memory.put_table(0x1000, b"APIC", &madt);
        let mut fadt = vec![0; 80];
        fadt[76 - 36..80 - 36].copy_from_slice(&0x608_u32.to_le_bytes());
        fadt[91 - 36] = 4;
        memory.put_table(0x2000, b"FACP", &fadt);
        let mut hpet = vec![0; 20];
        hpet[44 - 36..52 - 36].copy_from_slice(&0xfed0_0000_u64.to_le_bytes());
        memory.put_table(0x3000, b"HPET", &hpet);
        memory
    }

    #[test]
    fn reads_a_machine() {
        let topology = machine().read().unwrap();
        assert_eq!(topology.cores[..], [2, 0]);
        assert_eq!(topology.local_apic, 0xfee0_0000);
        assert!(topology.has_pics);
        assert_eq!(topology.io_apics[0].address, 0xfec0_0000);
        assert_eq!(topology.isa(4).gsi, 4);
        assert_eq!((topology.isa(9).trigger, topology.isa(9).polarity), (Trigger::Level, Polarity::High));
        assert_eq!(topology.pm_timer.unwrap().port, 0x608);
        assert_eq!(topology.hpet.unwrap().address, 0xfed0_0000);
    }

    #[test]
    fn garbled_tables_are_typed_errors() {
        let mut memory = machine();
        memory.0[0x1000 + 50] ^= 1;
        assert_eq!(memory.read().unwrap_err(), Error::NoTable { signature: *b"APIC" });
        let mut memory = machine();
        memory.0[0x104] ^= 1;
        assert_eq!(memory.read().unwrap_err(), Error::NoRootTable);
        let mut memory = machine();
        memory.0[0x209] ^= 1;
        assert_eq!(memory.read().unwrap_err(), Error::NoRootTable);
    }

    #[test]
    fn lengths_beyond_memory_or_below_a_header_are_refused() {
        for length in [0_u32, 1, 35, 0x4000, u32::MAX] {
            for table in [0x200, 0x1000, 0x2000, 0x3000] {
                let mut memory = machine();
                memory.put(table + 4, &length.to_le_bytes());
                match table {
                    0x200 => assert_eq!(memory.read().unwrap_err(), Error::NoRootTable),
                    0x1000 => assert_eq!(memory.read().unwrap_err(), Error::NoTable { signature: *b"APIC" }),
                    0x2000 => assert!(memory.read().unwrap().pm_timer.is_none()),
                    _ => assert!(memory.read().unwrap().hpet.is_none()),
                }
            }
        }
    }

    #[test]
    fn a_root_that_points_nowhere_is_an_error() {
        let mut memory = machine();
        memory.put_table(0x200, b"RSDT", &0xffff_fff0_u32.to_le_bytes());
        assert_eq!(memory.read().unwrap_err(), Error::NoTable { signature: *b"APIC" });
        memory.put_table(0x200, b"RSDT", &[0x00, 0x0f]);
        assert_eq!(memory.read().unwrap_err(), Error::NoTable { signature: *b"APIC" });
    }

    #[test]
    fn no_garbling_of_one_byte_panics() {
        let machine = machine();
        for at in (0x100..0x124).chain(0x200..0x240).chain(0x1000..0x1060) {
            for flip in [0x01, 0x80, 0xff] {
                let mut memory = Memory(machine.0.clone());
                memory.0[at] ^= flip;
                let _ = memory.read();
            }
        }
    }
}
