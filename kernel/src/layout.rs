//! Where everything lies: the virtual address space, and the parts of the
//! kernel's own image. This is the one place that knows.

use core::ops::Range;
use core::ptr;

/// RAM, all of it, writable and not executable: address = this + physical.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// Bytes set aside for the direct map.
pub const DIRECT_MAP_SIZE: u64 = 64 << 40;

/// Stacks, each in a slot with an unmapped guard page below it.
pub const STACKS: u64 = 0xffff_c000_0000_0000;

/// The same for small stacks, in smaller slots. Below the same entry of the top page table.
pub const SMALL_STACKS: u64 = 0xffff_c010_0000_0000;

/// Device registers, uncached and not executable.
pub const MMIO: u64 = 0xffff_d000_0000_0000;

/// The kernel's image is linked at this plus its physical address.
pub const KERNEL_OFFSET: u64 = 0xffff_ffff_8000_0000;

/// Spindles are mapped here, within 2 GiB of the kernel: calls are near calls.
pub const SPINDLES: Range<u64> = 0xffff_ffff_a000_0000..0xffff_ffff_e000_0000;

/// Physical memory that the early page tables reach through [`DIRECT_MAP`].
pub const EARLY_DIRECT_MAP_SIZE: u64 = 4 << 30;

/// The address of physical address `physical` in the direct map.
#[must_use]
pub const fn direct(physical: u64) -> u64 {
    DIRECT_MAP + physical
}

/// What may be done with a part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Code: read and execute.
    Execute,
    /// Constants: read only.
    Read,
    /// Data and the boot stack: read and write.
    Write,
}

/// A part of the kernel's image, page aligned, in linked (virtual) addresses.
#[derive(Clone, Debug)]
pub struct Part {
    /// As the linker script calls it.
    pub name: &'static str,
    /// Page-aligned virtual addresses; physical = virtual - [`KERNEL_OFFSET`].
    pub range: Range<u64>,
    /// The permissions that it needs, and no more.
    pub access: Access,
}

// Set by the linker script; only their addresses mean something.
unsafe extern "C" {
    static __image_start: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __data_end: u8;
    static __bss_start: u8;
    static __bss_end: u8;
    static __image_end: u8;
}

/// The address of a symbol of the linker script or the boot stub.
macro_rules! address {
    ($symbol:ident) => {
        ptr::addr_of!($symbol) as u64
    };
}

/// Bytes of the stack that the boot core starts on.
pub const BOOT_STACK_SIZE: u64 = 64 << 10;
/// Bytes of each stack that a core enters exceptions of its own on.
pub const TRAP_STACK_SIZE: u64 = 32 << 10;
/// Such stacks of a core: page fault, double fault, NMI, machine check.
pub const TRAP_STACKS: usize = 5;
/// Bytes left unmapped below each stack.
pub const GUARD_SIZE: u64 = 4 << 10;

/// The boot core's stacks: the one it starts on, then its trap stacks. The
/// [`GUARD_SIZE`] bytes below each are a guard and must stay unmapped.
#[must_use]
pub fn boot_stacks() -> [Part; 1 + TRAP_STACKS] {
    let names = [
        "boot stack",
        "page fault stack",
        "double fault stack",
        "NMI stack",
        "machine check stack",
        "interrupt stack",
    ];
    let mut end = address!(__image_start);
    names.map(|name| {
        let start = end + GUARD_SIZE;
        end = start + if name == names[0] { BOOT_STACK_SIZE } else { TRAP_STACK_SIZE };
        Part { name, range: start..end, access: Access::Write }
    })
}

/// Which of the boot core's stacks has its guard at `address`.
#[must_use]
pub fn guarded_boot_stack(address: u64) -> Option<&'static str> {
    let is_guard = |stack: &Part| (stack.range.start - GUARD_SIZE..stack.range.start).contains(&address);
    boot_stacks().into_iter().find(is_guard).map(|stack| stack.name)
}

/// All of the image but [`boot_stacks`], lowest address first.
#[must_use]
pub fn image() -> [Part; 4] {
    let part = |name, start, end, access| Part { name, range: start..end, access };
    [
        part("text", address!(__text_start), address!(__text_end), Access::Execute),
        part("rodata", address!(__rodata_start), address!(__rodata_end), Access::Read),
        part("data", address!(__data_start), address!(__data_end), Access::Write),
        part("bss", address!(__bss_start), address!(__bss_end), Access::Write),
    ]
}

/// Physical addresses that the image takes, guard pages and all.
#[must_use]
pub fn image_physical() -> Range<u64> {
    address!(__image_start) - KERNEL_OFFSET..address!(__image_end) - KERNEL_OFFSET
}
