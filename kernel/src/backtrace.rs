//! Who called whom: a walk along the frame pointers, which every function of
//! the kernel keeps (`.cargo/config.toml`). It trusts nothing on its way: what
//! it reads it first looks up in the page tables, so it never faults.

use core::arch::asm;
use core::ptr;

use x86_64::registers::control::Cr3;

use crate::layout;
use crate::println;
use crate::symbols::{self, Code};

/// Lines printed at most, and frames walked for them: a deep recursion takes
/// one line for many frames.
const LINES: usize = 40;
const FRAMES: usize = 4096;

/// Prints the callers of the calling function.
pub fn print_here() {
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    print(frame);
}

/// Prints the callers from the frame that starts at `frame`, a value of RBP.
pub fn print(frame: u64) {
    println!("backtrace:");
    let mut callers = Callers { frame }.take(FRAMES).peekable();
    for _ in 0..LINES {
        let Some(caller) = callers.next() else { break };
        let mut times = 1;
        while callers.next_if_eq(&caller).is_some() {
            times += 1;
        }
        match times {
            1 => println!("  {}", Code::return_to(caller)),
            _ => println!("  {}, {times} times", Code::return_to(caller)),
        }
    }
    if callers.next().is_some() {
        println!("  and so on");
    }
    if !symbols::are_known() {
        println!("  (for names, boot with a file `symbols` in the archive, as `cargo xtask run` does)");
    }
}

/// The return addresses from a frame on upwards.
struct Callers {
    frame: u64,
}

impl Iterator for Callers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let caller = read(self.frame)?;
        let return_address = read(self.frame.checked_add(8)?)?;
        // A frame that is its own caller would never end.
        let is_last = return_address == 0 || caller == self.frame;
        self.frame = caller;
        (!is_last).then_some(return_address)
    }
}

/// The word at `address`, where it is aligned and mapped in the kernel's half.
fn read(address: u64) -> Option<u64> {
    if address < layout::DIRECT_MAP || !address.is_multiple_of(8) || !is_mapped(address) {
        return None;
    }
    // SAFETY: the page is mapped and the word, being aligned, lies within it;
    // whatever stands there is a valid u64. Volatile: it may be changing.
    Some(unsafe { ptr::read_volatile(ptr::with_exposed_provenance(address as usize)) })
}

/// Looks `address` up in this core's page tables (Intel SDM, volume 3, 4.5).
fn is_mapped(address: u64) -> bool {
    const PRESENT: u64 = 1;
    const LARGE: u64 = 1 << 7;
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

    let mut table = Cr3::read().0.start_address().as_u64();
    for level in (0..4).rev() {
        let index = (address >> (12 + 9 * level)) & 511;
        let slot = layout::direct(table + 8 * index);
        // SAFETY: page tables lie in RAM and all RAM is in the direct map, so
        // the entry can be read. Volatile: other cores may change it.
        let entry: u64 = unsafe { ptr::read_volatile(ptr::with_exposed_provenance(slot as usize)) };
        if entry & PRESENT == 0 {
            return false;
        }
        if entry & LARGE != 0 && (1..=2).contains(&level) {
            return true;
        }
        table = entry & ADDRESS;
    }
    true
}
