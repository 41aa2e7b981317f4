//! A thread package that goes on for ever when it is asked whom to run, and there is somebody.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

struct Dithers(Queue);

impl ThreadPackage for Dithers {
    fn resume(&self, _core: u32) -> Next {
        if self.0.pop().is_some() {
            loop {
                core::hint::black_box(());
            }
        }
        Next::Idle
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
    tenants_interface::open("dithers", Dithers(Queue::new()))?;
    Ok(())
}
