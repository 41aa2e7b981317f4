//! How a strand is made, joined and ended.

use alloc::{borrow::ToOwned, boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

use dispatcher::{Crossing, DomainState, epoch::MOST_CORES};

use crate::{
    machine::Machine,
    roll::Place,
    strand::{CoreSet, Exclusive, Priority, Saved, State, Strand},
    switch::{Leaving, finish, leave},
    token::Token,
    wait::{block, current, unblock},
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

/// What a new strand shall be like.
#[derive(Clone)]
pub struct Builder {
    name: String,
    priority: Priority,
    affinity: CoreSet,
    domain: Option<Arc<DomainState>>,
    is_named: bool,
}

impl Builder {
    /// A strand of the core's own, of normal priority, on any core.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            priority: Priority::NORMAL,
            affinity: CoreSet::ALL,
            domain: None,
            is_named: false,
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
        let scheduler = M::scheduler();
        if !scheduler.cores().any(|core| self.affinity.has(core.id())) {
            return Err(SpawnError::NoSuchCore);
        }
        let is_named = self.is_named;
        let mut stack = stack;
        let stack_pointer = M::prepare(&mut stack, main::<M>);
        let saved = Saved { stack_pointer, bottom: M::stack_bottom(&stack), crossing: Crossing::new() };
        let strand = self.build(Some(stack), Some(Box::new(entry)), saved);
        if is_named && scheduler.directory().enter(&strand).is_none() {
            return Err(SpawnError::Nameless);
        }
        M::masked(|| scheduler.strands.lock().enter(strand.clone()));
        // As in `unblock`: a more urgent one is given way to when this ends.
        M::unpreempted(|| scheduler.enqueue(strand.clone()));
        Ok(Handle { strand })
    }

    /// The idle strand of core `core`: what runs there already becomes it.
    #[must_use]
    pub fn idle<M: Machine>(core: usize) -> Arc<Strand<M>> {
        let name = alloc::format!("idle {core}");
        let builder = Self { priority: Priority::new(0), affinity: CoreSet::only(core), ..Self::new(&name) };
        // It runs already, and what it is will be saved when it leaves.
        let saved = Saved { stack_pointer: 0, bottom: 0, crossing: Crossing::new() };
        let strand = builder.build(None, None, saved);
        strand.set_state(State::Running);
        strand.core.store(core, Ordering::Relaxed);
        strand
    }

    fn build<M: Machine>(
        self,
        stack: Option<M::Stack>,
        entry: Option<Box<dyn FnOnce() + Send>>,
        saved: Saved,
    ) -> Arc<Strand<M>> {
        // A new strand begins where its maker is, and is taken elsewhere if somebody there is idle.
        let core = M::masked(M::core_id);
        Arc::new(Strand {
            id: M::scheduler().next_id.fetch_add(1, Ordering::Relaxed),
            handle: AtomicU64::new(0),
            name: self.name,
            priority: self.priority,
            affinity: self.affinity,
            domain: self.domain,
            state: AtomicU8::new(State::Runnable as u8),
            token: Token::new(),
            core: AtomicUsize::new(core),
            run_ns: AtomicU64::new(0),
            entry: spin::Mutex::new(entry),
            stack: spin::Mutex::new(stack),
            joiners: spin::Mutex::new(Some(Vec::new())),
            saved: Exclusive::new(saved),
            next: Exclusive::new(None),
            place: Exclusive::new(Place::new()),
        })
    }
}

/// Where every strand begins. Interrupts are masked.
extern "C" fn main<M: Machine>() -> ! {
    finish::<M>();
    M::unmask();
    {
        let this = current::<M>();
        let entry = this.entry.lock().take().expect("a strand begins once");
        // The reference to the strand is dropped first: it would never be dropped otherwise.
        drop(this);
        entry();
    }
    M::masked(|| leave::<M>(Leaving::Ending));
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

    /// Waits until the strand has ended and its stack was freed.
    #[track_caller]
    pub fn join(self) {
        let this = current::<M>();
        loop {
            let has_ended = M::masked(|| match &mut *self.strand.joiners.lock() {
                None => true,
                Some(joiners) => {
                    if !joiners.iter().any(|joiner| Arc::ptr_eq(joiner, &this)) {
                        joiners.push(this.clone());
                    }
                    false
                }
            });
            if has_ended {
                return;
            }
            block::<M>();
        }
    }
}

/// Frees the stacks of the strands that have ended and tells those who wait; says how many there
/// were. On a strand, where memory can be unmapped: the housekeeper's.
pub fn reap<M: Machine>() -> usize {
    let scheduler = M::scheduler();
    let mut ended = M::masked(|| core::mem::take(&mut *scheduler.ended.lock()));
    let mut count = 0;
    while let Some(strand) = ended.pop() {
        let stack = M::masked(|| strand.stack.lock().take());
        drop(stack);
        drop(strand.handle().and_then(|handle| scheduler.directory().strike(handle)));
        let gone = M::masked(|| scheduler.strands.lock().strike(&strand));
        let joiners = M::masked(|| strand.joiners.lock().take());
        drop(gone);
        joiners.iter().flatten().for_each(unblock);
        count += 1;
    }
    count
}
