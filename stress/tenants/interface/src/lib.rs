//! What `tenants` and the thread packages that run them have in common. Each of these packages is honest but in one
//! thing: so here is the honest part.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::VecDeque;

use spindle::{
    Error, Strand, export,
    package::{Builder, Next, Package, Reason, ThreadPackage},
};

spindle::events! { "Landlord":
    /// Who schedules.
    pub event Scheduler { pub reserved: u64 } -> Package;
    /// What a package does for the strand that asks, on that strand.
    pub event Ask { pub number: u64 } -> u64;
}

/// Who can run, in the order in which they came.
#[derive(Default)]
pub struct Queue(spin::Mutex<VecDeque<Strand>>);

impl Queue {
    /// An empty one.
    pub const fn new() -> Self {
        Self(spin::Mutex::new(VecDeque::new()))
    }

    /// It can run.
    pub fn push(&self, strand: Strand) {
        self.0.lock().push_back(strand);
    }

    /// Who is next, if anybody is.
    pub fn pop(&self) -> Option<Strand> {
        self.0.lock().pop_front()
    }

    /// An honest answer to `block`, which leaves it to `resume` who is next.
    pub fn gives_up(&self, strand: Strand, reason: Reason) -> Option<Strand> {
        if reason == Reason::Yielded {
            self.push(strand);
        }
        None
    }

    /// An honest answer to `resume`.
    pub fn next(&self) -> Next {
        self.pop().map_or(Next::Idle, Next::Run)
    }
}

/// Registers a package on every core, where tenants find it.
pub fn open(name: &str, package: impl ThreadPackage) -> Result<Package, Error> {
    open_for(name, package, |_, _| 0)
}

/// As [`open`], for one that does something for the strands that ask.
pub fn open_for(
    name: &str,
    package: impl ThreadPackage,
    answer: impl Fn(Package, u64) -> u64 + Send + Sync + 'static,
) -> Result<Package, Error> {
    let package = Builder::new(name).register(package)?;
    export(move |_: &Scheduler| package)?;
    export(move |ask: &Ask| answer(package, ask.number))?;
    Ok(package)
}
