//! An honest thread package whose own procedure keeps the strand that asks, and its core, until it is asked for nothing.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spindle::{
    Error, Strand,
    package::{Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

/// How many are kept now; and they may go.
static KEPT: AtomicU64 = AtomicU64::new(0);
static IS_OVER: AtomicU64 = AtomicU64::new(0);

struct Stays(Queue);

impl ThreadPackage for Stays {
    fn resume(&self, _core: u32) -> Next {
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

/// Registers it. Asked for 1,000 it only says how many it keeps.
pub fn start() -> Result<(), Error> {
    tenants_interface::open_for("stays", Stays(Queue::new()), |_, number| match number {
        0 => IS_OVER.swap(1, Relaxed),
        1_000 => KEPT.load(Relaxed),
        _ => {
            KEPT.fetch_add(1, Relaxed);
            while IS_OVER.load(Relaxed) == 0 {
                core::hint::spin_loop();
            }
            KEPT.fetch_sub(1, Relaxed)
        }
    })?;
    Ok(())
}
