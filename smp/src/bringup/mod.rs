//! Bringing up the other cores: INIT, a start-up interrupt, and a second one only if the first was not answered (Intel SDM,
//! volume 3, section 9.4.4), one core at a time.
//!
//! *Threat*: a core that was given up answers after all, and runs on the stack of the next one. *Defence*: it is sent INIT
//! again when it is given up, which stops it, and the trampoline compares its own APIC id with that of the core which it is
//! aimed at.

mod passage;
mod trampoline;

use core::hint::spin_loop;
use core::ptr::NonNull;

pub use passage::Passage;
use trampoline::Trampoline;

use crate::{Error, apic, clock, roster};

const PAGE_SIZE: u64 = 4096;
/// From INIT to the start-up interrupt. The 10 ms of old are for processors of the last century.
const AFTER_INIT_NS: u64 = 100_000;
/// How long a core has to reach the trampoline before it is sent a second start-up interrupt.
const FIRST_SIGN_NS: u64 = 10_000_000;

/// What bringing up needs of the kernel's memory.
///
/// # Safety
/// [`page`](Self::page) leads to a page of RAM that nobody else uses, valid for reads and writes at the returned pointer,
/// for as long as the implementor lives. So long, too, [`passage`](Self::passage) is what it says.
pub unsafe trait Ground {
    /// A page below 1 MiB: its physical address, and where to write to it.
    fn page(&self) -> (u64, NonNull<u8>);
    /// The physical address, below 4 GiB, of the root of page tables that map the page at its own address, executable and
    /// writable, and the kernel's text as the running core's do. [`Passage`] makes them. They are left behind before the
    /// core runs anything but the trampoline, so the kernel's own page tables never map the page.
    fn passage(&self) -> u64;
}

/// Where a core goes when it has come up.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// The id that it will enter in the [`roster`].
    pub core: usize,
    /// Its APIC id.
    pub apic_id: u32,
    /// The end of its stack, aligned to 16. It is entered as if called. Where the core is given up the stack stays its own.
    pub stack_top: u64,
    /// Where it goes: interrupts masked, GS base 0, in the page tables of
    /// the core that started it, the descriptor tables still the trampoline's. It installs its area,
    /// loads its tables, enables its APIC and calls [`roster::set_online`].
    pub entry: extern "C" fn(usize) -> !,
    /// What it is given: its area, for instance.
    pub argument: usize,
}

/// Brings cores up, while it lives.
#[derive(Debug)]
pub struct Launcher<G: Ground> {
    trampoline: Trampoline,
    /// Kept: the trampoline lies on it.
    _ground: G,
}

impl<G: Ground> Launcher<G> {
    /// Lays the trampoline. The control registers of this core are the ones that the others get.
    ///
    /// # Errors
    /// The page is not one below 1 MiB, or the page tables for the way are above 4 GiB.
    pub fn new(ground: G) -> Result<Self, Error> {
        let (physical, bytes) = ground.page();
        // SAFETY: the contract of `Ground`, which is kept for as long as the trampoline.
        let trampoline = unsafe { Trampoline::copy(physical, bytes, ground.passage()) }?;
        Ok(Self { trampoline, _ground: ground })
    }

    /// Starts one core and waits until it is online, `timeout_ns` at most.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] where it did not come up: it is then stopped, and others can be started.
    ///
    /// # Safety
    /// The seat's stack is mapped, big enough and no one else's; its entry and argument fit each other; and the core named
    /// runs nothing.
    pub unsafe fn start(&mut self, seat: &Seat, timeout_ns: u64) -> Result<(), Error> {
        let page = self.trampoline.page();
        self.trampoline.aim(seat);
        // SAFETY: the core runs nothing (the caller's promise).
        unsafe { apic::ipi::init(seat.apic_id) }?;
        clock::busy_wait(AFTER_INIT_NS);
        // SAFETY: the trampoline is in the page.
        unsafe { apic::ipi::start_up(seat.apic_id, page) }?;
        if !self.wait(FIRST_SIGN_NS, |this| this.trampoline.stage() != 0) {
            // SAFETY: as before. A core that is no longer waiting for it ignores it.
            unsafe { apic::ipi::start_up(seat.apic_id, page) }?;
        }
        if self.wait(timeout_ns, |_| roster::online().contains(seat.core)) {
            return Ok(());
        }
        let stage = self.trampoline.stage();
        // SAFETY: it is not online, so nobody counts on it.
        unsafe { apic::ipi::init(seat.apic_id) }?;
        clock::busy_wait(AFTER_INIT_NS);
        Err(Error::NoAnswer { apic_id: seat.apic_id, stage })
    }

    /// Waits for `sign` for `ns` at most. This core spins: one more that runs, and it is one that is awaited.
    fn wait(&self, ns: u64, sign: impl Fn(&Self) -> bool) -> bool {
        let end = clock::now_ns().saturating_add(ns);
        while !sign(self) {
            if clock::now_ns() > end {
                return sign(self);
            }
            spin_loop();
        }
        true
    }
}
