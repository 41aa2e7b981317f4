//! A thread package whose own procedure takes its lock, on the first of its strands that asks, and never gives it back.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand,
    package::{Builder, Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

/// Everything that this one does is done under it.
static LOCK: spin::Mutex<()> = spin::Mutex::new(());

struct Clutches(Queue);

impl ThreadPackage for Clutches {
    fn resume(&self, _core: u32) -> Next {
        let _all = LOCK.lock();
        self.0.next()
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

/// Registers it, and does that to who asks.
pub fn start() -> Result<(), Error> {
    tenants_interface::open_for(Builder::new("clutches"), Clutches(Queue::new()), |_, _| {
        let Some(_all) = LOCK.try_lock() else { return 0 };
        loop {
            core::hint::spin_loop();
        }
    })?;
    Ok(())
}
