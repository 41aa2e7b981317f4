//! Workers: the strands of a core's dispatcher, which deliver what was posted for that core.
//!
//! A delivery may block, and then only its own mailbox shall wait. So whoever is about to deliver first
//! makes sure that another worker watches the agenda: one that sleeps, or a new one. Their number grows
//! with the deliveries that are under way at once, up to [`MOST_WORKERS`] for each core; those that have
//! had nothing to do for a while end, down to [`FEWEST_WORKERS`].
//!
//! They are of normal priority: a post does not take the core from its raiser, whose equals they are.
//!
//! Known weakness: while [`MOST_WORKERS`] deliveries on one core sleep, everything else that is posted for
//! that core waits for one of them. Whoever lets foreign handlers sleep must bound how many do.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use dispatcher::post;

use crate::{
    machine::Machine,
    spawn::Builder,
    strand::{Priority, State, Strand},
    wait::{block, block_until, current, make_runnable},
};

/// The most workers of a core: so many deliveries can sleep there, less one, before others wait for them.
pub const MOST_WORKERS: usize = 32;
/// The fewest: one that delivers, and one that watches.
pub const FEWEST_WORKERS: usize = 2;
/// What their names begin with; their core's number follows.
pub const PREFIX: &str = "worker ";
/// How long a worker too many waits for something to do, in nanoseconds.
pub const LINGER_NS: u64 = 20_000_000;

/// The workers of one core. A `static`, for the life of the machine.
pub struct Workers<M: Machine> {
    /// A leaf, taken with interrupts masked, like every lock of the scheduler.
    staff: spin::Mutex<Staff<M>>,
    /// How often somebody was wanted and could not be had, for people.
    shortages: AtomicUsize,
}

struct Staff<M: Machine> {
    /// Those that sleep, or are about to; a stack.
    idle: [Option<Arc<Strand<M>>>; MOST_WORKERS],
    idle_count: usize,
    count: usize,
}

/// For how long a worker was hired.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Term {
    /// The first ones stay, so that a core at rest has the same strands as ever.
    Permanent,
    /// Until it has had nothing to do for a while.
    Temporary,
}

/// How a worker's rest has ended.
#[derive(PartialEq, Eq)]
enum Rest {
    /// There may be something to do.
    Over,
    /// It is not needed any more.
    ForEver,
}

impl<M: Machine> Staff<M> {
    fn put(&mut self, strand: Arc<Strand<M>>) {
        self.idle[self.idle_count] = Some(strand);
        self.idle_count += 1;
    }

    /// The one that fell asleep last, whose stack is warm.
    fn pop(&mut self) -> Option<Arc<Strand<M>>> {
        self.idle_count = self.idle_count.checked_sub(1)?;
        self.idle[self.idle_count].take()
    }

    /// Takes that one out; false if it was popped.
    fn remove(&mut self, strand: &Arc<Strand<M>>) -> bool {
        let is_it =
            |idle: &Option<Arc<Strand<M>>>| idle.as_ref().is_some_and(|idle| Arc::ptr_eq(idle, strand));
        let Some(place) = self.idle.iter().position(is_it) else { return false };
        self.idle[place..self.idle_count].rotate_left(1);
        self.idle_count -= 1;
        self.idle[self.idle_count] = None;
        true
    }
}

impl<M: Machine> Workers<M> {
    /// Nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        let staff = Staff { idle: [const { None }; MOST_WORKERS], idle_count: 0, count: 0 };
        Self { staff: spin::Mutex::new(staff), shortages: AtomicUsize::new(0) }
    }

    fn with_staff<T>(&self, body: impl FnOnce(&mut Staff<M>) -> T) -> T {
        M::masked(|| body(&mut self.staff.lock()))
    }

    /// Starts the first ones, on core `core`; `make_stack` makes the stack of each, there and later. Says
    /// how many there are: fewer than [`FEWEST_WORKERS`] if there was no memory. Once for each core, on
    /// any strand.
    pub fn start(&'static self, core: usize, make_stack: fn() -> Option<M::Stack>) -> usize {
        for _ in 0..FEWEST_WORKERS {
            self.hire(core, Term::Permanent, make_stack);
        }
        self.count()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.with_staff(|staff| staff.count)
    }

    /// How often a delivery began although nobody else could watch meanwhile, for people: the number of
    /// workers was exhausted, or there was no memory for one more.
    pub fn shortages(&self) -> usize {
        self.shortages.load(Ordering::Relaxed)
    }

    /// Are they as few as at first, and all asleep? For those who count.
    pub fn is_at_rest(&self) -> bool {
        let has_fewest = |staff: &mut Staff<M>| {
            let sleeps = |idle: &Option<Arc<Strand<M>>>| {
                idle.as_ref().is_none_or(|strand| strand.state() == State::Blocked)
            };
            let are_fewest = staff.count <= FEWEST_WORKERS && staff.idle_count == staff.count;
            are_fewest && staff.idle.iter().all(sleeps)
        };
        self.with_staff(has_fewest)
    }

    /// Wakes one that sleeps: for [`dispatcher::Processor::summon_worker`]. From anywhere. The core is
    /// kicked only if it sleeps, or runs without a tick, so that it would not notice.
    pub fn summon(&self) {
        let parked = self.with_staff(|staff| {
            // Called, and let go of if it has not parked yet, under the lock that it takes before it ends: so
            // nobody holds a strand that may have ended. One that is parked moves on to a queue.
            staff.pop().filter(|strand| strand.token.call())
        });
        if let Some(strand) = parked {
            make_runnable(strand);
        }
    }

    fn hire(&'static self, core: usize, term: Term, make_stack: fn() -> Option<M::Stack>) {
        let is_wanted = self.with_staff(|staff| {
            let is_wanted = staff.count < MOST_WORKERS;
            staff.count += usize::from(is_wanted);
            is_wanted
        });
        let is_there = is_wanted && {
            let builder =
                Builder::new(&alloc::format!("{PREFIX}{core}")).priority(Priority::NORMAL).on_core(core);
            let spawn = |stack| builder.spawn::<M>(stack, move || self.work(core, term, make_stack)).ok();
            let is_there = make_stack().and_then(spawn).is_some();
            if !is_there {
                self.with_staff(|staff| staff.count -= 1);
            }
            is_there
        };
        if !is_there {
            // Relaxed: for people.
            self.shortages.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn work(&'static self, core: usize, term: Term, make_stack: fn() -> Option<M::Stack>) {
        loop {
            while let Some(turn) = post::take::<M>(core) {
                self.relieve(core, make_stack);
                turn.deliver::<M>(core);
            }
            if self.rest(core, term) == Rest::ForEver {
                return;
            }
        }
    }

    /// Before a delivery: somebody else shall look after the agenda.
    fn relieve(&'static self, core: usize, make_stack: fn() -> Option<M::Stack>) {
        if self.with_staff(|staff| staff.idle_count == 0) {
            // A new one begins by looking.
            self.hire(core, Term::Temporary, make_stack);
        } else if !post::watch::<M>(core) {
            // More is waiting now: it may well begin while this one sleeps.
            self.summon();
        }
    }

    /// Sleeps until summoned.
    fn rest(&self, core: usize, term: Term) -> Rest {
        let this = current::<M>();
        self.with_staff(|staff| staff.put(this.clone()));
        // Only now, since a post that finds the agenda watched must find somebody to summon.
        if post::watch::<M>(core) {
            match term {
                Term::Permanent => block::<M>(),
                Term::Temporary => block_until::<M>(M::now_ns() + LINGER_NS),
            }
        }
        self.with_staff(|staff| {
            let is_summoned = !staff.remove(&this);
            // Whoever relied on this one to watch has another, who is idle: it stays, or finds one in turn.
            let may_go = term == Term::Temporary && !is_summoned && staff.idle_count > 0;
            staff.count -= usize::from(may_go);
            if may_go { Rest::ForEver } else { Rest::Over }
        })
    }
}

impl<M: Machine> Default for Workers<M> {
    fn default() -> Self {
        Self::new()
    }
}
