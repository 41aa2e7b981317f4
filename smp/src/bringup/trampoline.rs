//! The trampoline's code and its parameters.

use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::ptr::{self, NonNull};

use x86_64::registers::control::{Cr0, Cr3, Cr4, Cr4Flags, Efer, EferFlags};

use super::{PAGE_SIZE, Seat};
use crate::Error;

global_asm!(include_str!("trampoline.s"), options(att_syntax));

unsafe extern "C" {
    static smp_trampoline: u8;
    static smp_trampoline_end: u8;
    static smp_trampoline_long: u8;
    static smp_landing: u8;
}

/// A code segment of 64 bits, and data.
const GDT: [u64; 3] = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
const CODE_SELECTOR: u16 = 8;
/// Where [`Parameters`] lie in the page.
const OFFSET: usize = 16;

/// What the code finds at its head.
#[derive(Clone, Copy)]
#[repr(C)]
struct Parameters {
    stage: u32,
    apic_id: u32,
    cr3: u64,
    cr0: u64,
    cr4: u64,
    efer: u64,
    stack_top: u64,
    entry: u64,
    argument: u64,
    long_offset: u32,
    long_selector: u32,
    first_cr4: u32,
    unused: [u32; 3],
    final_cr3: u64,
    landing: u64,
    gdt_limit: u16,
    gdt_base: [u16; 3],
    gdt: [u64; 3],
}

// The offsets that trampoline.s uses.
const _: () = assert!(OFFSET + offset_of!(Parameters, cr3) == 24);
const _: () = assert!(OFFSET + offset_of!(Parameters, cr0) == 32);
const _: () = assert!(OFFSET + offset_of!(Parameters, cr4) == 40);
const _: () = assert!(OFFSET + offset_of!(Parameters, efer) == 48);
const _: () = assert!(OFFSET + offset_of!(Parameters, stack_top) == 56);
const _: () = assert!(OFFSET + offset_of!(Parameters, entry) == 64);
const _: () = assert!(OFFSET + offset_of!(Parameters, argument) == 72);
const _: () = assert!(OFFSET + offset_of!(Parameters, long_offset) == 80);
const _: () = assert!(OFFSET + offset_of!(Parameters, first_cr4) == 88);
const _: () = assert!(OFFSET + offset_of!(Parameters, final_cr3) == 104);
const _: () = assert!(OFFSET + offset_of!(Parameters, landing) == 112);
const _: () = assert!(OFFSET + offset_of!(Parameters, gdt_limit) == 120);
const _: () = assert!(size_of::<Parameters>() == 136);

/// The trampoline in its page.
#[derive(Debug)]
pub(super) struct Trampoline {
    physical: u64,
    bytes: NonNull<u8>,
    root: u64,
}

impl Trampoline {
    /// Copies the code into the page at `physical`, which is written through `bytes`.
    ///
    /// # Errors
    /// Where real mode cannot begin at the page, or load the page tables at `root`.
    ///
    /// # Safety
    /// `bytes` leads to the page and is valid for reads and writes while this lives.
    pub(super) unsafe fn copy(physical: u64, bytes: NonNull<u8>, root: u64) -> Result<Self, Error> {
        if !physical.is_multiple_of(PAGE_SIZE) || !(PAGE_SIZE..1 << 20).contains(&physical) {
            return Err(Error::TrampolineAddress { physical });
        }
        if u32::try_from(root).is_err() {
            return Err(Error::PageTablesTooHigh { root });
        }
        let start = &raw const smp_trampoline;
        let length = (&raw const smp_trampoline_end).addr() - start.addr();
        assert!(length <= PAGE_SIZE as usize);
        // SAFETY: the code's own bytes, to a page of the caller's that holds them all.
        unsafe { ptr::copy_nonoverlapping(start, bytes.as_ptr(), length) };
        Ok(Self { physical, bytes, root })
    }

    /// The page's number, which a start-up interrupt carries.
    pub(super) fn page(&self) -> u8 {
        (self.physical / PAGE_SIZE) as u8
    }

    /// Writes down where the next core is to go, in which mode and page tables: this core's.
    pub(super) fn aim(&mut self, seat: &Seat) {
        let long = (&raw const smp_trampoline_long).addr() - (&raw const smp_trampoline).addr();
        let gdt = self.physical + (OFFSET + offset_of!(Parameters, gdt)) as u64;
        let cr4 = Cr4::read();
        // Paging of this kind can only be chosen before long mode, and PCIDs only in it.
        let first_cr4 =
            cr4 & (Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::L5_PAGING | Cr4Flags::PAGE_GLOBAL);
        let parameters = Parameters {
            stage: 0,
            apic_id: seat.apic_id,
            cr3: self.root,
            cr0: Cr0::read_raw(),
            cr4: cr4.bits(),
            efer: (Efer::read() - EferFlags::LONG_MODE_ACTIVE).bits(),
            stack_top: seat.stack_top,
            entry: seat.entry as usize as u64,
            argument: seat.argument as u64,
            long_offset: self.physical as u32 + long as u32,
            long_selector: CODE_SELECTOR.into(),
            first_cr4: first_cr4.bits() as u32,
            unused: [0; 3],
            final_cr3: Cr3::read_raw().0.start_address().as_u64(),
            landing: (&raw const smp_landing).addr() as u64,
            gdt_limit: size_of::<[u64; 3]>() as u16 - 1,
            gdt_base: [gdt as u16, (gdt >> 16) as u16, 0],
            gdt: GDT,
        };
        let at = self.parameters();
        // SAFETY: inside the page, whose start is page-aligned, so the parameters are aligned too. No core reads them now:
        // the last one has arrived, or has been stopped by INIT.
        unsafe { at.write_volatile(parameters) };
    }

    /// How far the core came that was started last: 0 nowhere, 1 real mode, 2 long mode, 3 it was the wrong one.
    pub(super) fn stage(&self) -> u32 {
        // SAFETY: inside the page.
        let stage = unsafe { &raw const (*self.parameters()).stage };
        // SAFETY: written by a core in the trampoline, at any time, in one store: so is it read.
        unsafe { stage.read_volatile() }
    }

    fn parameters(&self) -> *mut Parameters {
        // SAFETY: inside the page.
        unsafe { self.bytes.as_ptr().add(OFFSET) }.cast()
    }
}
