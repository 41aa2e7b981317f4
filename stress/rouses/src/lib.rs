//! A thread package that answers, once one of its strands has blocked, with that one, which still waits.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

struct Rouses(Queue, AtomicU64);

impl ThreadPackage for Rouses {
    fn resume(&self, _core: u32) -> Next {
        match self.1.load(Ordering::Relaxed) {
            0 => self.0.next(),
            blocked => Next::Run(Strand::from_word(blocked)),
        }
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        self.0.push(strand);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        if reason == Reason::Blocked {
            self.1.store(strand.to_word(), Ordering::Relaxed);
        }
        self.0.gives_up(strand, reason)
    }

    fn unblock(&self, strand: Strand) {
        self.0.push(strand);
    }
}

/// Registers it.
pub fn start() -> Result<(), Error> {
    tenants_interface::open("rouses", Rouses(Queue::new(), AtomicU64::new(0)))?;
    Ok(())
}
