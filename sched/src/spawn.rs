//! How a strand is made, joined and ended.

use alloc::{boxed::Box, sync::Arc};
use core::{
    any::Any,
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use arrayvec::ArrayString;
use dispatcher::{Crossing, DomainState, epoch::MOST_CORES};
use waiting::Lending;

use crate::{
    account::{Clock, Counter, Whereabouts},
    attributes::Attributes,
    fifo::Links,
    joiners::Joiners,
    machine::Machine,
    package::{self, Package},
    roll::Place,
    spot::Spot,
    strand::{CoreSet, Exclusive, Managed, Priority, Saved, State, Strand},
    switch::{Leaving, finish, leave, must_leave_again},
    terminate::{Terminated, terminate},
    token::Token,
    wait::{block, current},
};

/// Why a strand was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpawnError {
    /// None of the cores that were asked for exists.
    NoSuchCore,
    /// It was to have a name, and the directory has no room, or no memory.
    Nameless,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoSuchCore => "none of the cores that were asked for exists: `cores` lists those that do",
            Self::Nameless => "no room in the directory for one more strand: let some end first",
        })
    }
}

impl core::error::Error for SpawnError {}

/// The most bytes of a strand's name; the rest is cut off.
pub const LONGEST_NAME: usize = 31;

pub(crate) type Name = ArrayString<LONGEST_NAME>;

fn cut(name: &str) -> Name {
    let mut own = Name::new();
    own.push_str(&name[..name.floor_char_boundary(LONGEST_NAME)]);
    own
}

/// What a new strand shall be like.
#[derive(Clone)]
pub struct Builder {
    name: Name,
    priority: Priority,
    affinity: CoreSet,
    domain: Option<Arc<DomainState>>,
    is_named: bool,
    attachment: Option<Arc<dyn Any + Send + Sync>>,
}

impl Builder {
    /// A strand of the core's own, of normal priority, on any core. Of the name [`LONGEST_NAME`] bytes are kept.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: cut(name),
            priority: Priority::NORMAL,
            affinity: CoreSet::ALL,
            domain: None,
            is_named: false,
            attachment: None,
        }
    }

    /// How urgent it is.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The cores on which it may run.
    #[must_use]
    pub fn affinity(self, affinity: CoreSet) -> Self {
        Self { affinity, ..self }
    }

    /// It stays on core `core`: wake-ups queue it there, and no other core steals it.
    ///
    /// # Panics
    ///
    /// If the number is [`MOST_CORES`] or more.
    #[must_use]
    pub fn on_core(self, core: usize) -> Self {
        assert!(core < MOST_CORES, "so many cores are more than the dispatcher takes");
        self.affinity(CoreSet::only(core))
    }

    /// The domain to which it belongs.
    #[must_use]
    pub fn domain(self, domain: Arc<DomainState>) -> Self {
        Self { domain: Some(domain), ..self }
    }

    /// It is listed in the [`Directory`](crate::Directory) before it runs, until it is reaped.
    #[must_use]
    pub fn named(self) -> Self {
        Self { is_named: true, ..self }
    }

    /// `attachment` is kept with the strand, for whoever knows what it is.
    #[must_use]
    pub fn attach(self, attachment: Arc<dyn Any + Send + Sync>) -> Self {
        Self { attachment: Some(attachment), ..self }
    }

    /// Makes the strand and lets it run.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`].
    pub fn spawn<M: Machine>(
        self,
        stack: M::Stack,
        entry: impl FnOnce() + Send + 'static,
    ) -> Result<Handle<M>, SpawnError> {
        self.make(stack, None, entry)
    }

    /// Makes a strand of a thread package's, which is told that it can run. It is [named](Self::named); its
    /// affinity is where the package's virtual processors are, its priority theirs.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`].
    pub fn spawn_managed<M: Machine>(
        self,
        package: &Arc<Package<M>>,
        stack: M::Stack,
        entry: impl FnOnce() + Send + 'static,
    ) -> Result<Handle<M>, SpawnError> {
        self.named().make(stack, Some(package), entry)
    }

    fn make<M: Machine>(
        self,
        stack: M::Stack,
        package: Option<&Arc<Package<M>>>,
        entry: impl FnOnce() + Send + 'static,
    ) -> Result<Handle<M>, SpawnError> {
        let scheduler = M::scheduler();
        // Of a package's, too: it is the global scheduler's, should the package end.
        if scheduler.present().first_of(self.affinity).is_none() {
            return Err(SpawnError::NoSuchCore);
        }
        let is_named = self.is_named;
        let mut stack = stack;
        let stack_pointer = M::prepare(&mut stack, main::<M>);
        let saved = Saved { stack_pointer, bottom: M::stack_bottom(&stack), crossing: Crossing::new() };
        let strand = self.build(Some(stack), package, Some(Box::new(entry)), saved);
        if is_named && scheduler.directory().enter(&strand).is_none() {
            return Err(SpawnError::Nameless);
        }
        M::masked(|| scheduler.home_of(&strand).roll.lock().enter(strand.clone()));
        if let Some(package) = package {
            package.strands.fetch_add(1, Ordering::Relaxed);
        }
        // As in `unblock`: a more urgent one is given way to when this ends.
        M::unpreempted(|| M::masked(|| scheduler.wake(strand.clone())));
        Ok(Handle { strand })
    }

    /// The idle strand of core `core`: what runs there already becomes it.
    #[must_use]
    pub fn idle<M: Machine>(core: usize) -> Arc<Strand<M>> {
        let name = alloc::format!("idle {core}");
        let builder = Self { priority: Priority::new(0), affinity: CoreSet::only(core), ..Self::new(&name) };
        // It runs already, and what it is will be saved when it leaves.
        let saved = Saved { stack_pointer: 0, bottom: 0, crossing: Crossing::new() };
        let strand = builder.build(None, None, None, saved);
        strand.set_state(State::Running);
        strand.clock.start(M::ticks());
        strand.spot.leave(core);
        strand
    }

    fn build<M: Machine>(
        self,
        stack: Option<M::Stack>,
        package: Option<&Arc<Package<M>>>,
        entry: Option<Box<dyn FnOnce() + Send>>,
        saved: Saved,
    ) -> Arc<Strand<M>> {
        // A new strand begins where its maker is, and is taken elsewhere if somebody there is idle.
        let (core, id) = M::masked(|| (M::core_id(), M::scheduler().next_id()));
        Arc::new(Strand {
            id,
            home: core as u16,
            handle: AtomicU64::new(0),
            name: self.name,
            attributes: Attributes::new(self.priority, self.affinity),
            domain: self.domain,
            attachment: self.attachment,
            state: AtomicU8::new(State::Runnable as u8),
            token: Token::new(),
            spot: Spot::new(core),
            clock: Clock::new(),
            switches: Counter::new(),
            preemptions: Counter::new(),
            steals: Counter::new(),
            waits_at: Whereabouts::new(),
            entry: spin::Mutex::new(entry),
            stack: spin::Mutex::new(stack),
            joiners: spin::Mutex::new(Joiners::new()),
            saved: Exclusive::new(saved),
            lending: Lending::new(),
            managed: package.cloned().map(Managed::new),
            links: Exclusive::new(Links::new()),
            place: Exclusive::new(Place::new()),
        })
    }
}

/// Where every strand begins. Interrupts are masked.
extern "C" fn main<M: Machine>() -> ! {
    finish::<M>();
    if must_leave_again::<M>() {
        leave::<M>(Leaving::Yielding);
    }
    M::unmask();
    {
        let this = current::<M>();
        let entry = this.entry.lock().take().expect("a strand begins once");
        let is_terminated = this.is_terminated();
        // The reference to the strand is dropped first: it would never be dropped otherwise.
        drop(this);
        if is_terminated {
            drop(entry);
        } else {
            entry();
        }
    }
    package::carried::end::<M>();
    unreachable!("an ended strand has no turn")
}

/// A strand that was made, for whoever waits for its end.
pub struct Handle<M: Machine> {
    strand: Arc<Strand<M>>,
}

impl<M: Machine> Handle<M> {
    /// The strand.
    pub fn strand(&self) -> &Arc<Strand<M>> {
        &self.strand
    }

    /// Waits until the strand has ended and its stack can be had by others.
    #[track_caller]
    pub fn join(self) {
        let this = current::<M>();
        while M::masked(|| self.strand.joiners.lock().enter(&this)) {
            block::<M>();
        }
    }

    /// Asks the strand to end: see [`terminate`](crate::terminate()).
    pub fn terminate(&self) -> bool {
        terminate(&self.strand)
    }

    /// As [`join`](Self::join), unless the strand that waits is terminated: then whoever has the handle can
    /// still join.
    ///
    /// # Errors
    ///
    /// [`Terminated`], at once if it was so before.
    #[track_caller]
    pub fn try_join(&self) -> Result<(), Terminated> {
        let this = current::<M>();
        loop {
            // Once for each turn: a call that comes after it is kept for `block`.
            let is_terminated = this.is_terminated();
            let is_waiting = M::masked(|| {
                let mut joiners = self.strand.joiners.lock();
                if is_terminated { joiners.strike(&this) } else { joiners.enter(&this) }
            });
            if !is_waiting {
                return Ok(());
            }
            if is_terminated {
                return Err(Terminated);
            }
            block::<M>();
        }
    }
}

/// Settles a strand that has ended, on the core that it has left: nothing runs on its stack any more. If
/// all that is left of it is a stack that the machine keeps for others, that is all; else the reaper is
/// called, for nothing is destroyed here. Interrupts masked.
pub(crate) fn end<M: Machine>(strand: Arc<Strand<M>>) {
    strand.set_state(State::Ended);
    let is_plain = strand.domain.is_none() && strand.attachment.is_none() && strand.handle().is_none();
    let stack = strand.stack.lock().take();
    // Kept for others whatever else is left to do, so that stacks are not made faster than they can be unmapped.
    let refused = stack.and_then(M::keep_stack);
    if is_plain && refused.is_none() {
        close(&strand);
    } else {
        *strand.stack.lock() = refused;
        M::scheduler().ended.lock().push(strand);
        M::summon_reaper();
    }
}

/// Strikes off a strand of which nothing is left, and tells those who wait for that.
fn close<M: Machine>(strand: &Arc<Strand<M>>) {
    let gone = M::masked(|| M::scheduler().home_of(strand).roll.lock().strike(strand));
    let joiners = M::masked(|| strand.joiners.lock().close());
    drop(gone);
    joiners.call();
}

/// Frees the stacks of the strands that have ended and are left to it, and tells those who wait; says how
/// many there were. On a strand, where memory can be unmapped: the housekeeper's.
pub fn reap<M: Machine>() -> usize {
    let scheduler = M::scheduler();
    let mut ended = M::masked(|| core::mem::take(&mut *scheduler.ended.lock()));
    let mut count = 0;
    while let Some(strand) = ended.pop() {
        let stack = M::masked(|| strand.stack.lock().take());
        drop(stack);
        drop(strand.handle().and_then(|handle| scheduler.directory().strike(handle)));
        close(&strand);
        count += 1;
    }
    count
}
