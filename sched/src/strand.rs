//! What a strand is.

use alloc::{boxed::Box, sync::Arc};
use core::{
    any::Any,
    cell::UnsafeCell,
    fmt,
    panic::Location,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use dispatcher::{Crossing, DomainState};
use waiting::Lending;

use crate::{
    account::{Clock, Counter, Whereabouts},
    attributes::Attributes,
    fifo::Links,
    joiners::Joiners,
    machine::Machine,
    package::{
        Package,
        hold::{Held, Hold},
    },
    roll::Place,
    spawn::Name,
    spot::Spot,
    sync::StrandsOf,
    token::Token,
};

pub use crate::attributes::{CoreSet, Priority};

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
    pub(crate) attributes: Attributes,
    pub(crate) domain: Option<Arc<DomainState>>,
    /// What its maker keeps with it.
    pub(crate) attachment: Option<Arc<dyn Any + Send + Sync>>,
    pub(crate) state: AtomicU8,
    pub(crate) token: Token,
    pub(crate) spot: Spot,
    /// How long it has had a core; how often it got one, lost one without a choice, and was taken to another
    /// by one that had nothing to do; where it waits.
    pub(crate) clock: Clock,
    pub(crate) switches: Counter,
    pub(crate) preemptions: Counter,
    pub(crate) steals: Counter,
    pub(crate) waits_at: Whereabouts,
    /// What runs when it begins.
    pub(crate) entry: spin::Mutex<Option<Box<dyn FnOnce() + Send>>>,
    pub(crate) stack: spin::Mutex<Option<M::Stack>>,
    /// Who waits for its end.
    pub(crate) joiners: spin::Mutex<Joiners<M>>,
    pub(crate) saved: Exclusive<Saved>,
    /// For which mutex it waits.
    pub(crate) lending: Lending<StrandsOf<M>>,
    /// Of a thread package's strand; none for those whom the global scheduler queues.
    pub(crate) managed: Option<Managed<M>>,
    /// Its neighbours in the list in which it stands; guarded by the list's lock.
    pub(crate) links: Exclusive<Links<M>>,
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
    /// How often over it runs its package's own code: written by itself alone.
    pub(crate) depth: AtomicU32,
}

impl<M: Machine> Managed<M> {
    pub(crate) fn new(package: Arc<Package<M>>) -> Self {
        Self {
            package,
            hold: Hold::new(Held::Blocked),
            notice: AtomicU8::new(0),
            told_ns: AtomicU64::new(0),
            depth: AtomicU32::new(0),
        }
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
        // Acquire: pairs with the Release in `strike`, so that whoever finds it struck off sees what it did.
        Some(self.handle.load(Ordering::Acquire)).filter(|handle| *handle != 0)
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How urgent it is: its own priority, or what was lent to it if that is higher.
    pub fn priority(&self) -> Priority {
        self.attributes.effective()
    }

    /// How urgent it is by itself, whatever was lent to it.
    pub fn base_priority(&self) -> Priority {
        M::masked(|| self.attributes.base())
    }

    /// Where it may run.
    pub fn affinity(&self) -> CoreSet {
        self.attributes.affinity()
    }

    /// Has somebody called [`terminate`](crate::terminate())? It may go on nevertheless.
    pub fn is_terminated(&self) -> bool {
        self.attributes.is_terminated()
    }

    /// The domain that it belongs to; none for the core's own.
    pub fn domain(&self) -> Option<&Arc<DomainState>> {
        self.domain.as_ref()
    }

    /// What its maker has [attached](crate::Builder::attach) to it. Lives as long as the strand.
    pub fn attachment(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.attachment.as_deref()
    }

    /// The core on which it runs, for which it waits, or on which it ran last.
    pub fn core(&self) -> usize {
        self.spot.core()
    }

    /// Its thread package; none, or one that was ejected, if the global scheduler has it.
    pub fn package(&self) -> Option<&Arc<Package<M>>> {
        self.managed.as_ref().map(|managed| &managed.package)
    }

    /// Nanoseconds that it has had a core, up to now, the present slice included; a carrier's with those that
    /// it carries.
    pub fn run_ns(&self) -> u64 {
        M::ns_in(self.clock.at(M::ticks()))
    }

    /// Has it a core at this moment? An idle strand's [`state`](Self::state) does not tell.
    pub fn has_core(&self) -> bool {
        self.clock.is_running()
    }

    /// How often it got a core.
    pub fn switches(&self) -> u64 {
        self.switches.get()
    }

    /// How often it had no choice in losing one.
    pub fn preemptions(&self) -> u64 {
        self.preemptions.get()
    }

    /// How often a core that had nothing to do took it from another's queue.
    pub fn steals(&self) -> u64 {
        self.steals.get()
    }

    /// Where in the source it waits, or waited last: the call of [`block`](crate::block), or of what blocks
    /// in its caller's name.
    pub fn waits_at(&self) -> Option<&'static Location<'static>> {
        self.waits_at.get()
    }

    /// Shows `look` its stack; `None` where it has none: it has ended, or is a core's idle one. Not while it is
    /// being freed: `look` holds that up, and must be short.
    pub fn stack<T>(&self, look: impl FnOnce(&M::Stack) -> T) -> Option<T> {
        M::masked(|| self.stack.lock().as_ref().map(look))
    }

    /// The numbers of those who wait for its end, as many as `joiners` has room for; returns how many there
    /// are.
    pub fn joiners(&self, joiners: &mut [u64]) -> usize {
        M::masked(|| {
            let waiting = self.joiners.lock();
            joiners.iter_mut().zip(waiting.iter()).for_each(|(place, joiner)| *place = joiner.id);
            waiting.iter().count()
        })
    }

    /// Was it called since it last waited, so that it will not wait the next time?
    pub fn was_called(&self) -> bool {
        self.token.was_called()
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

    pub(crate) fn set_state(&self, state: State) {
        // Relaxed: for people; nothing is decided by it.
        self.state.store(state as u8, Ordering::Relaxed);
    }
}
