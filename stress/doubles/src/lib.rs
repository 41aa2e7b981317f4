//! A thread package that answers with the first strand of which it was told, wherever that is.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

struct Doubles(Queue, AtomicU64);

impl ThreadPackage for Doubles {
    fn resume(&self, _core: u32) -> Next {
        // On whichever core it was answered with first it is there again as soon as the package hears of it.
        let first = match self.1.load(Ordering::Relaxed) {
            0 => {
                let Some(strand) = self.0.pop() else { return Next::Idle };
                let word = strand.to_word();
                self.1.compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(word)
            }
            first => first,
        };
        Next::Run(Strand::from_word(first))
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        self.0.push(strand);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        self.0.gives_up(strand, reason)
    }

    fn unblock(&self, strand: Strand) {
        self.0.push(strand);
    }
}

/// Registers it.
pub fn start() -> Result<(), Error> {
    tenants_interface::open("doubles", Doubles(Queue::new(), AtomicU64::new(0)))?;
    Ok(())
}
