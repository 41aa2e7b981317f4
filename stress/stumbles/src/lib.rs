//! A thread package that panics when it is asked whom to run, and there is somebody.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

struct Stumbles(Queue);

impl ThreadPackage for Stumbles {
    fn resume(&self, _core: u32) -> Next {
        match self.0.pop() {
            None => Next::Idle,
            Some(strand) => panic!("strand {} is too much", strand.to_word()),
        }
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
    tenants_interface::open("stumbles", Stumbles(Queue::new()))?;
    Ok(())
}
