//! The strands that sleep for a domain's code, so that they can be woken when it is closed: a list whose
//! links lie on their own stacks, so that going to sleep takes no memory.

use alloc::sync::Arc;
use core::{cell::Cell, ptr};

use dispatcher::Processor;

use crate::strands::{Cpu, Strand};

/// Who sleeps for one domain. The lock is a leaf among locks.
pub struct Naps(spin::Mutex<List>);

struct List {
    first: *const Nap,
}

// SAFETY: the links lead to naps, which are read and written under the list's lock alone.
unsafe impl Send for List {}

/// One who sleeps, on its own stack. All but the strand is the list's, under its lock.
struct Nap {
    strand: Arc<Strand>,
    is_listed: Cell<bool>,
    before: Cell<*const Nap>,
    after: Cell<*const Nap>,
}

impl Naps {
    /// Nobody sleeps.
    pub const fn new() -> Self {
        Self(spin::Mutex::new(List { first: ptr::null() }))
    }

    /// Lets the running strand sleep until `deadline_ns`, unless the domain is closed already, or is
    /// closed meanwhile; may return early. Says whether it is open still. Cost: constant, beside the
    /// sleep's own.
    pub fn nap_until(&self, deadline_ns: u64, is_open: impl Fn() -> bool) -> bool {
        let nap = Nap {
            strand: sched::current::<Cpu>(),
            is_listed: Cell::new(false),
            before: Cell::new(ptr::null()),
            after: Cell::new(ptr::null()),
        };
        // SAFETY: it stays where it is until it is taken out again, below: nothing unwinds here, and
        // trusted code is never cut.
        Cpu::unpreempted(|| unsafe { self.0.lock().add(&nap) });
        // Asked once it is in the list: whoever closes the domain wakes those in the list after that.
        let was_open = is_open();
        if was_open {
            sched::block_until::<Cpu>(deadline_ns);
        }
        // SAFETY: it was added to this list.
        Cpu::unpreempted(|| unsafe { self.0.lock().remove(&nap) });
        was_open && is_open()
    }

    /// Wakes all who sleep, once the domain was closed. Whoever comes later finds it so.
    pub fn wake_all(&self) {
        while let Some(strand) = Cpu::unpreempted(|| self.0.lock().take_first()) {
            sched::unblock(&strand);
        }
    }
}

impl List {
    /// # Safety
    ///
    /// The nap is on no list, and stays where it is until it is on none again.
    unsafe fn add(&mut self, nap: &Nap) {
        nap.is_listed.set(true);
        nap.after.set(self.first);
        // SAFETY: who is on the list is there, and is touched under the lock alone.
        if let Some(after) = unsafe { self.first.as_ref() } {
            after.before.set(nap);
        }
        self.first = nap;
    }

    /// Takes it out, if it is not out already.
    ///
    /// # Safety
    ///
    /// The nap is on no other list.
    unsafe fn remove(&mut self, nap: &Nap) {
        if !nap.is_listed.replace(false) {
            return;
        }
        let (before, after) = (nap.before.get(), nap.after.get());
        // SAFETY: as in `add`.
        match unsafe { before.as_ref() } {
            Some(before) => before.after.set(after),
            None => self.first = after,
        }
        // SAFETY: as in `add`.
        if let Some(after) = unsafe { after.as_ref() } {
            after.before.set(before);
        }
    }

    /// Takes the one out that came last; says whose it is.
    fn take_first(&mut self) -> Option<Arc<Strand>> {
        // SAFETY: as in `add`: its owner cannot go before it has had the lock, which the caller has.
        let nap = unsafe { self.first.as_ref() }?;
        let strand = nap.strand.clone();
        // SAFETY: it is on this list.
        unsafe { self.remove(nap) };
        Some(strand)
    }
}
