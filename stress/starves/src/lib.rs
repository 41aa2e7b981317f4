//! A thread package that never answers with a strand, although it is told of them.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
};

struct Starves;

impl ThreadPackage for Starves {
    fn resume(&self, _core: u32) -> Next {
        Next::Idle
    }

    fn checkpoint(&self, _core: u32, _strand: Strand, _why: Why) {}

    fn block(&self, _core: u32, _strand: Strand, _reason: Reason) -> Option<Strand> {
        None
    }

    fn unblock(&self, _strand: Strand) {}
}

/// Registers it.
pub fn start() -> Result<(), Error> {
    tenants_interface::open("starves", Starves)?;
    Ok(())
}
