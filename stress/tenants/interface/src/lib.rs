//! What `tenants` and the thread packages that run them have in common. Each of these packages is honest but in one
//! thing: so here is the honest part.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spindle::{
    Error, Strand, export,
    package::{Builder, Next, Package, Reason, ThreadPackage, Why},
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

/// A package that is honest in everything.
impl ThreadPackage for Queue {
    fn resume(&self, _core: u32) -> Next {
        self.next()
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        self.push(strand);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        self.gives_up(strand, reason)
    }

    fn unblock(&self, strand: Strand) {
        self.push(strand);
    }
}

/// Keeps whoever asks, and his core, in the package's own code, until it is asked for nothing.
pub struct Stay {
    kept: AtomicU64,
    is_over: AtomicU64,
}

impl Stay {
    /// Of nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: AtomicU64::new(0), is_over: AtomicU64::new(0) }
    }

    /// The answer to [`Ask`]. Asked for 1,000 it only says how many it keeps.
    pub fn answer(&self, number: u64) -> u64 {
        match number {
            0 => self.is_over.swap(1, Relaxed),
            1_000 => self.kept.load(Relaxed),
            _ => {
                self.kept.fetch_add(1, Relaxed);
                while self.is_over.load(Relaxed) == 0 {
                    core::hint::spin_loop();
                }
                self.kept.fetch_sub(1, Relaxed)
            }
        }
    }
}

impl Default for Stay {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers a package on every core, where tenants find it.
pub fn open(name: &str, package: impl ThreadPackage) -> Result<Package, Error> {
    open_for(Builder::new(name), package, |_, _| 0)
}

/// As [`open`], for one that is like that, and does something for the strands that ask.
pub fn open_for(
    builder: Builder<'_>,
    package: impl ThreadPackage,
    answer: impl Fn(Package, u64) -> u64 + Send + Sync + 'static,
) -> Result<Package, Error> {
    let package = builder.register(package)?;
    export(move |_: &Scheduler| package)?;
    export(move |ask: &Ask| answer(package, ask.number))?;
    Ok(package)
}
