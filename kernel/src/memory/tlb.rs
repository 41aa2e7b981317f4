//! Forgetting translations, on this core and on the others.

use x86_64::VirtAddr;
use x86_64::instructions::{interrupts, tlb};
use x86_64::registers::control::{Cr4, Cr4Flags};

use crate::hook::{Hook, Procedure};

/// Forgets the translations of a number of pages from an address on, on every core.
pub type Shootdown = fn(start: VirtAddr, pages: usize);

// SAFETY: a function pointer.
unsafe impl Procedure for Shootdown {}

static SHOOTDOWN: Hook<Shootdown> = Hook::new();

/// More pages than this are not invalidated one by one.
const ONE_BY_ONE: usize = 64;

/// Says how to make every core forget translations. The procedure returns when all cores that are
/// online, *this one included*, have done so, as [`flush_local`] does; a core that is waited for may
/// itself be waiting in the same procedure. It is called with no lock of this module held. Until it is
/// set, only this core is told: set it before a second core runs.
pub fn set_shootdown(shootdown: Shootdown) {
    SHOOTDOWN.set(shootdown);
}

/// Makes this core forget the translations of `pages` pages from `start` on, global ones included,
/// and all that it remembers of the page tables on the way there. Any context.
pub fn flush_local(start: VirtAddr, pages: usize) {
    if pages <= ONE_BY_ONE {
        for page in 0..pages as u64 {
            tlb::flush(start + page * 4096);
        }
        return;
    }
    interrupts::without_interrupts(|| {
        let flags = Cr4::read();
        // SAFETY: clearing PGE makes no mapping invalid; it only empties the TLB, which it is for
        // (Intel SDM vol. 3, 4.10.4.1).
        unsafe { Cr4::write(flags - Cr4Flags::PAGE_GLOBAL) };
        // SAFETY: the flags as they were.
        unsafe { Cr4::write(flags) };
    });
}

/// Makes every core forget `pages` pages from `start` on.
///
/// Never with a lock held that other cores wait for with interrupts masked, as for all of this
/// module's: such a core would be waited for by this one, and this one by it.
pub(super) fn flush(start: VirtAddr, pages: usize) {
    match SHOOTDOWN.get() {
        Some(shootdown) => shootdown(start, pages),
        None => flush_local(start, pages),
    }
}
