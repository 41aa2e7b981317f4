//! A thread package that answers with a strand of somebody else's: the one that loads it.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
    strand,
};
use tenants_interface::Queue;

struct Borrows(Queue, Strand);

impl ThreadPackage for Borrows {
    fn resume(&self, _core: u32) -> Next {
        self.0.pop().map_or(Next::Idle, |_| Next::Run(self.1))
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
    tenants_interface::open("borrows", Borrows(Queue::new(), strand::current()?))?;
    Ok(())
}
