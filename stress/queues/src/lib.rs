//! A thread package that runs its strands first come, first served.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::VecDeque;

use spindle::{
    Error, Strand,
    package::{Builder, Next, Reason, ThreadPackage, Why},
};

#[derive(Default)]
struct Queue(spin::Mutex<VecDeque<Strand>>);

impl ThreadPackage for Queue {
    fn resume(&self, _core: u32) -> Next {
        self.0.lock().pop_front().map_or(Next::Idle, Next::Run)
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        self.0.lock().push_back(strand);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        let mut ready = self.0.lock();
        if reason == Reason::Yielded {
            ready.push_back(strand);
        }
        ready.pop_front()
    }

    fn unblock(&self, strand: Strand) {
        self.0.lock().push_back(strand);
    }
}

/// Registers it.
pub fn start() -> Result<(), Error> {
    Builder::new("queues").register(Queue::default())?;
    Ok(())
}
