//! A thread package that resigns while it is asked whom to run, and then answers all the same.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand,
    package::{Next, Package, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

static PACKAGE: spin::Mutex<Option<Package>> = spin::Mutex::new(None);

struct Quits(Queue);

impl ThreadPackage for Quits {
    fn resume(&self, _core: u32) -> Next {
        let next = self.0.next();
        let package = *PACKAGE.lock();
        if let (Next::Run(_), Some(package)) = (next, package) {
            // On several cores at once, of which one is the first.
            let _ = package.resign();
        }
        next
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
    *PACKAGE.lock() = Some(tenants_interface::open("quits", Quits(Queue::new()))?);
    Ok(())
}
