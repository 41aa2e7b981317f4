//! A thread package that goes on for ever when it is told that a strand has lost its core, and sees to it that one does.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error, Strand, clock,
    package::{Next, Reason, ThreadPackage, Why},
};
use tenants_interface::Queue;

/// So long a strand may run, in nanoseconds.
const LIMIT_NS: u64 = 1_000_000;

struct Broods(Queue);

impl ThreadPackage for Broods {
    fn resume(&self, _core: u32) -> Next {
        match (self.0.pop(), clock::now()) {
            (Some(strand), Ok(now)) => Next::RunUntil(strand, now + LIMIT_NS),
            _ => Next::Idle,
        }
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        if !strand.is_none() {
            loop {
                core::hint::black_box(());
            }
        }
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
    tenants_interface::open("broods", Broods(Queue::new()))?;
    Ok(())
}
