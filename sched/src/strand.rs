//! What a strand is.

use alloc::{boxed::Box, sync::Arc};
use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

use dispatcher::{Crossing, DomainState};

use crate::{
    joiners::Joiners,
    machine::Machine,
    package::{
        Package,
        hold::{Held, Hold},
    },
    roll::Place,
    spawn::Name,
    token::Token,
};

/// How urgent a strand is: 0 to 31, the greater the sooner. A runnable strand of higher priority
/// takes the core from one of lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Priority(u8);

impl Priority {
    /// The number of priorities.
    pub const COUNT: usize = 32;
    /// For work that nobody waits for.
    pub const LOW: Self = Self(8);
    /// For all that says nothing else.
    pub const NORMAL: Self = Self(16);
    /// For those whom people wait for.
    pub const HIGH: Self = Self(24);
    /// For the housekeeper, without whom memory does not come back.
    pub const HOUSEKEEPER: Self = Self(30);

    /// The priority of that number; what is too high becomes the highest.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(if number < Self::COUNT as u8 { number } else { Self::COUNT as u8 - 1 })
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of cores: bit *n* is core *n*.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreSet(pub u64);

impl CoreSet {
    /// Every core.
    pub const ALL: Self = Self(u64::MAX);

    /// Just one.
    #[must_use]
    pub const fn only(core: usize) -> Self {
        Self(1 << core)
    }

    /// Is it in the set?
    #[must_use]
    pub const fn has(self, core: usize) -> bool {
        self.0 >> core & 1 != 0
    }

    /// The lowest core in both sets.
    #[must_use]
    pub const fn first_of(self, other: Self) -> Option<usize> {
        match self.0 & other.0 {
            0 => None,
            both => Some(both.trailing_zeros() as usize),
        }
    }
}

/// What a strand is doing, for people to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// On a run queue.
    Runnable,
    /// On a core.
    Running,
    /// Waiting for somebody.
    Blocked,
    /// Over.
    Ended,
    /// With its thread package, which runs it when it likes.
    Held,
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Runnable => "runnable",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Ended => "ended",
            Self::Held => "held",
        })
    }
}

/// A schedulable context.
pub struct Strand<M: Machine> {
    pub(crate) id: u64,
    /// Where it stands in the directory; zero if it is not listed.
    pub(crate) handle: AtomicU64,
    /// The core on whose roll it stands.
    pub(crate) home: u16,
    pub(crate) name: Name,
    pub(crate) priority: Priority,
    pub(crate) affinity: CoreSet,
    pub(crate) domain: Option<Arc<DomainState>>,
    pub(crate) state: AtomicU8,
    pub(crate) token: Token,
    /// The core that it ran on last.
    pub(crate) core: AtomicUsize,
    /// Nanoseconds that it has had a core.
    pub(crate) run_ns: AtomicU64,
    /// What runs when it begins.
    pub(crate) entry: spin::Mutex<Option<Box<dyn FnOnce() + Send>>>,
    pub(crate) stack: spin::Mutex<Option<M::Stack>>,
    /// Who waits for its end.
    pub(crate) joiners: spin::Mutex<Joiners<M>>,
    pub(crate) saved: Exclusive<Saved>,
    /// Of a thread package's strand; none for those whom the global scheduler queues.
    pub(crate) managed: Option<Managed<M>>,
    /// The next in the list in which it stands; guarded by the list's lock.
    pub(crate) next: Exclusive<Option<Arc<Strand<M>>>>,
    /// Its place on the roll of its home; guarded by that roll's lock.
    pub(crate) place: Exclusive<Place<M>>,
}

/// What there is to a strand of a thread package's.
pub(crate) struct Managed<M: Machine> {
    pub(crate) package: Arc<Package<M>>,
    pub(crate) hold: Hold,
    /// What its notice says, while it stands among a seat's notices.
    pub(crate) notice: AtomicU8,
    /// When its package was last told that it can run, in nanoseconds.
    pub(crate) told_ns: AtomicU64,
}

impl<M: Machine> Managed<M> {
    pub(crate) fn new(package: Arc<Package<M>>) -> Self {
        Self { package, hold: Hold::new(Held::Blocked), notice: AtomicU8::new(0), told_ns: AtomicU64::new(0) }
    }
}

/// What is saved of a strand that does not run.
pub(crate) struct Saved {
    pub(crate) stack_pointer: usize,
    /// Where its stack ends.
    pub(crate) bottom: usize,
    pub(crate) crossing: Crossing,
}

/// A cell whose one user is known by the protocol that it is part of.
pub(crate) struct Exclusive<T>(UnsafeCell<T>);

// SAFETY: `get` leaves it to its callers that there is one at a time, and that each sees what the
// one before did.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// Nobody else uses the cell while the reference lives, and the last user's writes happened
    /// before.
    #[allow(clippy::mut_from_ref, reason = "the protocol around it says who may")]
    pub(crate) unsafe fn get(&self) -> &mut T {
        // SAFETY: by the contract.
        unsafe { &mut *self.0.get() }
    }
}

impl<M: Machine> Strand<M> {
    /// Its number: unique as long as the kernel runs.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The word that leads to it in the [`Directory`](crate::Directory), while it is listed.
    pub fn handle(&self) -> Option<u64> {
        // Relaxed: whoever lists the strand, or is told that it has ended, does not learn it from here.
        Some(self.handle.load(Ordering::Relaxed)).filter(|handle| *handle != 0)
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How urgent it is.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The domain that it belongs to; none for the core's own.
    pub fn domain(&self) -> Option<&Arc<DomainState>> {
        self.domain.as_ref()
    }

    /// The core on which it runs, or ran last.
    pub fn core(&self) -> usize {
        self.core.load(Ordering::Relaxed)
    }

    /// Its thread package; none, or one that was ejected, if the global scheduler has it.
    pub fn package(&self) -> Option<&Arc<Package<M>>> {
        self.managed.as_ref().map(|managed| &managed.package)
    }

    /// Nanoseconds that it has had a core, up to the last switch; a carrier's with those that it carried.
    pub fn run_ns(&self) -> u64 {
        self.run_ns.load(Ordering::Relaxed)
    }

    /// What it is doing; it may do something else by the time you look.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Runnable,
            1 => State::Running,
            2 => State::Blocked,
            3 => State::Ended,
            _ => State::Held,
        }
    }

    /// It has had a core for so much longer. By the core that it leaves.
    pub(crate) fn note_run(&self, run_ns: u64) {
        // Not one instruction, and need not be: one core runs it at a time.
        self.run_ns.store(self.run_ns.load(Ordering::Relaxed) + run_ns, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: State) {
        // Relaxed: for people; nothing is decided by it.
        self.state.store(state as u8, Ordering::Relaxed);
    }
}
