//! Cross-calls over this machine's interrupts, and TLB shootdowns over them.

use core::hint::spin_loop;

use x86_64::VirtAddr;
use x86_64::instructions::interrupts::{self, without_interrupts};
use x86_64::instructions::tlb;
use x86_64::registers::control::{Cr4, Cr4Flags, Cr8};

use super::board::{Board, Request};
use crate::{CoreSet, MAX_CORES, apic, core_id, idle, roster};

static BOARD: Board<MAX_CORES> = Board::new();

const PAGE_SIZE: u64 = 4096;
/// The priority class of the call vector: the highest, alone but for the APIC's own vectors.
const CALL_CLASS: u64 = 15;

/// Beyond so many pages a shootdown flushes all translations instead of one after the other.
pub const FLUSH_ALL_ABOVE_PAGES: usize = 32;
const _: () = assert!(
    FLUSH_ALL_ABOVE_PAGES < PAGE_SIZE as usize,
    "the count of pages travels in an address's low bits"
);

/// Runs `function(argument)` on each online core of `targets` and returns when all have run it; on this core directly, on
/// the others in their interrupt handler, all at once.
///
/// May be called on any number of cores at once, with interrupts masked or not; all but calls from others are masked
/// meanwhile. Not from the handlers of the call vector and above it. Cost: an interrupt per target and the slowest one's answer.
///
/// `function` must not block, allocate, start a cross-call, or take a lock that is ever held with interrupts enabled.
/// Called with a lock held that other cores wait for with interrupts masked, this waits for ever.
pub fn call(targets: CoreSet, function: fn(usize), argument: usize) {
    without_interrupts(|| {
        let targets = targets & roster::online();
        let request = Request { function, argument };
        // SAFETY: interrupts are masked, so this core does nothing else as an initiator before this returns; a function
        // that starts a call nonetheless is caught by the board.
        unsafe { BOARD.call(core_id(), targets, request, apic::ipi::call, spin_loop, sleep) }
    });
}

/// Runs what other cores ask of this one: the handler of the call vector. Harmless at any other time, so code that waits
/// with interrupts masked for something that another core does may call this meanwhile.
#[inline]
pub fn serve() {
    without_interrupts(|| BOARD.serve(core_id(), apic::ipi::call));
}

/// Halts until another core calls or acknowledges. Interrupts of lower classes stay masked, by the task priority: so
/// nothing runs but the handler of the call vector, which is what the wait itself would do. Halting instead of spinning
/// lets the targets go first where virtual cores are more than real ones.
fn sleep() {
    let priority = Cr8::read_raw();
    Cr8::write_raw(priority.max(CALL_CLASS - 1));
    idle::halt_until_interrupt();
    interrupts::disable();
    Cr8::write_raw(priority);
}

/// Makes every online core forget its translations of `pages` pages of 4 KiB from `start` on; global ones too.
///
/// Call it after the page tables have been changed; when it returns, no core uses the old translations any more, and
/// frames that they led to can be used again.
pub fn shootdown(start: VirtAddr, pages: usize) {
    shootdown_on(roster::online(), start, pages);
}

/// The same on the cores of `targets` alone, for translations that no other core can have.
pub fn shootdown_on(targets: CoreSet, start: VirtAddr, pages: usize) {
    if pages != 0 {
        call(targets, flush_packed, pack(start.as_u64(), pages));
    }
}

/// Makes this core alone forget its translations of `pages` pages of 4 KiB from `start` on.
pub fn flush(start: VirtAddr, pages: usize) {
    if pages != 0 {
        flush_packed(pack(start.as_u64(), pages));
    }
}

/// A range as one word: the page's address, and in its low bits the count of pages, 0 for all there are.
fn pack(start: u64, pages: usize) -> usize {
    let count = if pages > FLUSH_ALL_ABOVE_PAGES { 0 } else { pages };
    (start & !(PAGE_SIZE - 1)) as usize | count
}

fn unpack(range: usize) -> (u64, u64) {
    (range as u64 & !(PAGE_SIZE - 1), range as u64 & (PAGE_SIZE - 1))
}

fn flush_packed(range: usize) {
    match unpack(range) {
        (_, 0) => flush_all(),
        (start, pages) => (0..pages).for_each(|page| {
            tlb::flush(VirtAddr::new_truncate(start.wrapping_add(page * PAGE_SIZE)));
        }),
    }
}

/// Forgets everything, global translations and other address spaces' included.
fn flush_all() {
    let features = Cr4::read();
    if !features.contains(Cr4Flags::PAGE_GLOBAL) {
        return tlb::flush_all();
    }
    without_interrupts(|| {
        // Changing the bit flushes all (Intel SDM, volume 3, section 4.10.4.1).
        // SAFETY: turns global translations off for two instructions: they are then ordinary ones.
        unsafe { Cr4::write(features - Cr4Flags::PAGE_GLOBAL) };
        // SAFETY: restores what was there before.
        unsafe { Cr4::write(features) };
    });
}

#[cfg(test)]
mod tests {
    use super::{FLUSH_ALL_ABOVE_PAGES, pack, unpack};

    #[test]
    fn a_range_survives_its_packing() {
        let start = 0xffff_d000_0001_2000;
        assert_eq!(unpack(pack(start + 0x123, 1)), (start, 1));
        assert_eq!(unpack(pack(start, FLUSH_ALL_ABOVE_PAGES)), (start, FLUSH_ALL_ABOVE_PAGES as u64));
        assert_eq!(unpack(pack(start, FLUSH_ALL_ABOVE_PAGES + 1)).1, 0);
        assert_eq!(unpack(pack(start, usize::MAX)).1, 0);
    }
}
