#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::VecDeque;

use spindle::{
    Error, Strand, clock,
    demo::Hello,
    install,
    package::{Builder, Next, Reason, ThreadPackage, Why},
    strand,
};

/// How long a strand runs at a stretch while others wait, in nanoseconds.
const TURN_NS: u64 = 2_000_000;

/// Who can run, in the order in which they came.
struct RoundRobin(spin::Mutex<VecDeque<Strand>>);

impl ThreadPackage for RoundRobin {
    fn unblock(&self, strand: Strand) {
        self.0.lock().push_back(strand);
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        self.0.lock().push_back(strand);
    }

    fn resume(&self, _core: u32) -> Next {
        match (self.0.lock().pop_front(), clock::now()) {
            (Some(strand), Ok(now)) => Next::RunUntil(strand, now + TURN_NS),
            (Some(strand), Err(_)) => Next::Run(strand),
            (None, _) => Next::Idle,
        }
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        if reason == Reason::Yielded {
            self.0.lock().push_back(strand);
        }
        None
    }
}

/// Registers the package, and has strands for it to run: one for each `Demo.Hello`.
pub fn start() -> Result<(), Error> {
    let package = Builder::new("tutorial").register(RoundRobin(Default::default()))?;
    install(move |hello: &Hello| {
        let number = hello.number;
        let work = move || {
            let _ = strand::yield_now();
            number + 1
        };
        let made = strand::Builder::new("worker").package(package).spawn(work);
        made.and_then(|worker| worker.join()).unwrap_or(0)
    })?;
    Ok(())
}
