//! What crate `smp` needs of this kernel's memory.

use core::ptr::{self, NonNull};

use smp::bringup::{Ground, Passage};
use smp::topology::PhysicalMemory;
use spin::{Mutex, MutexGuard};
use x86_64::registers::control::Cr3;

use crate::{layout, memory};

/// Physical memory through the direct map, where ACPI's tables are.
pub(super) struct DirectMap;

// SAFETY: the direct map maps all of the range for good, readable at least.
unsafe impl PhysicalMemory for DirectMap {
    fn map(&self, physical: u64, length: usize) -> Option<NonNull<u8>> {
        let end = physical.checked_add(length as u64)?;
        memory::is_direct_mapped(physical..end).then(|| direct(physical))?
    }
}

/// Maps a page of device registers for good; None where there is no room, which is told in the log.
pub(super) fn registers(physical: u64) -> Option<u64> {
    match memory::map_mmio(physical, 4096) {
        Ok(registers) => Some(registers.leak().as_u64()),
        Err(error) => {
            ::log::error!("device registers at {physical:#x}: {error}");
            None
        }
    }
}

/// The low page and the page tables on which cores come up.
pub(super) struct LowGround {
    page: u64,
    passage: u64,
}

impl LowGround {
    /// Takes the low page; None where memory has none, or on a second call.
    pub(super) fn take() -> Option<Self> {
        static PASSAGE: Mutex<Passage> = Mutex::new(Passage::new());
        let page = memory::reserve_low_page()?;
        let passage = MutexGuard::leak(PASSAGE.try_lock()?);
        let own = ptr::from_ref(passage).addr() as u64 - layout::KERNEL_OFFSET;
        let (root, _) = Cr3::read();
        let root = direct::<[u64; 512]>(root.start_address().as_u64())?;
        // SAFETY: the root table in use, in the direct map. Nobody writes to it after memory's start.
        let root = unsafe { root.as_ref() };
        Some(Self { page, passage: passage.lay(root, page, own) })
    }
}

// SAFETY: memory gave the page to us alone, and the direct map maps it writable. The passage is in the image, below
// 4 GiB, and maps the page and, by the same lower tables, whatever the kernel maps.
unsafe impl Ground for LowGround {
    fn page(&self) -> (u64, NonNull<u8>) {
        (self.page, direct(self.page).expect("the direct map is not at address 0"))
    }

    fn passage(&self) -> u64 {
        self.passage
    }
}

fn direct<T>(physical: u64) -> Option<NonNull<T>> {
    NonNull::new(ptr::with_exposed_provenance_mut(layout::direct(physical) as usize))
}
