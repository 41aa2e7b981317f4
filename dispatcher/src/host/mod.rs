//! A machine of threads: the [`Processor`] of tests, benchmarks and examples (feature `host`).
//!
//! A thread is a strand, and while it holds a [`HostCore`] it is also the core that runs it. Cores are
//! values: a strand that leaves its core ([`leave`]) can hand it to another thread and go on with a
//! different one, so strands move between cores as in a kernel. Interrupts are polled: a nudge is
//! delivered where the running thread calls [`poll`], which a test does between raises and inside
//! handlers, wherever it wants one to strike.
//!
//! ```
//! use dispatcher::{Event, Handler, host::{Host, World}};
//!
//! static DOUBLE: Event<u32, u32, Host> = Event::new("Demo.Double", Some(|number| number * 2)).open();
//!
//! let world = World::new();
//! let _core = world.attach();
//! assert_eq!(DOUBLE.raise(&4), Ok(8));
//! let triple = DOUBLE.install(Handler::trusted(|number| number * 3)).unwrap();
//! assert_eq!(DOUBLE.raise(&4), Ok(12));
//! DOUBLE.remove(triple).unwrap();
//! world.drain(); // the closure is gone
//! ```

mod processor;
mod workers;

use alloc::boxed::Box;
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};
use std::{
    sync::{Mutex, PoisonError},
    thread,
    vec::Vec,
};

use crate::{
    Departure, Dispatcher, Epochs, Keeper, Progress, epoch::MOST_CORES, post::Agenda, retire::RetireList,
};

use processor::THREAD;
pub use processor::{Host, Place, at, is_preemptible, let_pass, set_stack_left};
use workers::Bell;
pub use workers::{deliver_posts, ring, work_until};

/// What is left of a stack unless a test says otherwise, in bytes.
pub const STACK: usize = 1 << 20;

/// A machine: its epochs, its retired objects, its housekeeper. Made once for each test and never
/// freed, as in a kernel; tests in one process do not meet.
pub struct World {
    epochs: Epochs,
    retired: RetireList,
    keeper: Mutex<Option<Keeper>>,
    /// Cores with a nudge that they have not polled.
    nudges: AtomicU64,
    next_core: AtomicUsize,
    summons: AtomicUsize,
    agendas: [Agenda; MOST_CORES],
    bells: [Bell; MOST_CORES],
}

/// All worlds, so that leak checkers find them.
static WORLDS: Mutex<Vec<&'static World>> = Mutex::new(Vec::new());

/// A core: whoever has it may run strands on it. Dropping it stops the core as if it halted for ever.
pub struct HostCore {
    id: usize,
    world: &'static World,
    dispatcher: Dispatcher,
}

/// The calling thread has a core while this lives.
pub struct Attached {
    /// It names thread-local state.
    _thread: PhantomData<*mut ()>,
}

impl World {
    /// A machine without cores.
    #[must_use]
    pub fn new() -> &'static Self {
        Self::with_participants(8)
    }

    /// A machine with so many participants in the pool.
    #[must_use]
    pub fn with_participants(count: usize) -> &'static Self {
        let world: &'static Self = Box::leak(Box::new(Self {
            epochs: Epochs::new(count),
            retired: RetireList::new(),
            keeper: Mutex::new(None),
            nudges: AtomicU64::new(0),
            next_core: AtomicUsize::new(0),
            summons: AtomicUsize::new(0),
            agendas: [const { Agenda::new() }; MOST_CORES],
            bells: [const { Bell::new() }; MOST_CORES],
        }));
        *lock(&world.keeper) = Some(Keeper::new(&world.epochs, &world.retired));
        lock(&WORLDS).push(world);
        world
    }

    /// A new core.
    ///
    /// # Panics
    ///
    /// If there are [`MOST_CORES`] already, or the pool of participants is dry.
    pub fn core(&'static self) -> HostCore {
        let id = self.next_core.fetch_add(1, Ordering::Relaxed);
        assert!(id < MOST_CORES, "so many cores are more than the dispatcher takes");
        let dispatcher = Dispatcher::new(id, &self.epochs).expect("the pool has a participant");
        HostCore { id, world: self, dispatcher }
    }

    /// Gives the calling thread a new core.
    #[must_use]
    pub fn attach(&'static self) -> Attached {
        self.core().attach()
    }

    /// The epochs.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// What waits for its grace period.
    pub fn retired(&self) -> &RetireList {
        &self.retired
    }

    /// How many rounds of repinning the housekeeper has begun.
    pub fn rounds(&self) -> u64 {
        self.epochs.round()
    }

    /// How often the housekeeper was summoned.
    pub fn summons(&self) -> usize {
        self.summons.load(Ordering::Relaxed)
    }

    /// How often a worker of core `core` was summoned.
    pub fn worker_summons(&self, core: usize) -> usize {
        self.bells[core].summons()
    }

    /// One step of the housekeeper, on the calling thread; nudges who lags, and delivers the caller's
    /// own nudge.
    pub fn keep(&self) -> Progress {
        let progress = lock(&self.keeper).as_mut().expect("it was made with the world").step::<Host>();
        if let Progress::Waiting { lagging } = progress {
            self.nudges.fetch_or(lagging, Ordering::AcqRel);
            poll();
        }
        progress
    }

    /// Steps until nothing is retired any more; says how many objects were destroyed. All other cores
    /// must poll meanwhile, or be gone.
    ///
    /// # Panics
    ///
    /// If it goes on for too long: somebody holds the epoch.
    pub fn drain(&self) -> usize {
        let mut destroyed = 0;
        for _ in 0..1_000_000 {
            match self.keep() {
                Progress::Idle => return destroyed,
                Progress::Waiting { .. } => thread::yield_now(),
                Progress::Finished(count) => destroyed += count,
            }
        }
        panic!("a grace period does not end: cores {:b} lag", self.epochs.lagging());
    }

    /// So many steps of the housekeeper, for tests in which nothing must come of them; says how many
    /// objects were destroyed.
    pub fn keep_trying(&self, steps: usize) -> usize {
        let finished = |_| match self.keep() {
            Progress::Finished(count) => count,
            Progress::Idle | Progress::Waiting { .. } => 0,
        };
        (0..steps).map(finished).sum()
    }
}

impl HostCore {
    /// Its number.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Its dispatcher.
    pub fn dispatcher(&mut self) -> &mut Dispatcher {
        &mut self.dispatcher
    }

    /// The calling thread becomes a strand that runs on this core.
    ///
    /// # Panics
    ///
    /// If it has a core.
    #[must_use]
    pub fn attach(self) -> Attached {
        THREAD.with(|thread| {
            thread.world.set(Some(self.world));
            assert!(thread.core.replace(Some(self)).is_none(), "the thread has a core already");
        });
        Attached { _thread: PhantomData }
    }
}

impl Drop for HostCore {
    fn drop(&mut self) {
        self.dispatcher.halt();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        THREAD.with(|thread| drop(thread.core.take()));
    }
}

/// Does something with the calling thread's core.
///
/// # Panics
///
/// If it has none.
pub fn with_core<T>(body: impl FnOnce(&mut HostCore) -> T) -> T {
    THREAD.with(|thread| body(thread.core.borrow_mut().as_mut().expect("the thread has a core")))
}

/// The point at which interrupts strike: delivers a nudge, if one is pending for this core.
pub fn poll() {
    THREAD.with(|thread| {
        let mut core = thread.core.borrow_mut();
        let Some(core) = core.as_mut() else { return };
        let bit = 1 << core.id;
        if core.world.nudges.load(Ordering::Relaxed) & bit == 0 {
            return;
        }
        // One that finds the strand inside stays pending, as a core ticks until it has repinned.
        if core.dispatcher.nudged::<Host>() {
            core.world.nudges.fetch_and(!bit, Ordering::AcqRel);
        }
    });
}

fn world() -> &'static World {
    THREAD.with(|thread| thread.world.get()).expect("the thread has a core, or had one")
}

/// The calling strand leaves its core. `elsewhere` gets the core and returns, when the strand's turn
/// has come again, one to go on with: the same, or another that it was handed.
///
/// # Panics
///
/// If the strand is preempted inside a border and the pool of participants is dry.
pub fn leave(why: Departure, elsewhere: impl FnOnce(HostCore) -> HostCore) {
    let (mut core, crossing) = THREAD.with(|thread| {
        let mut core = thread.core.take().expect("a strand that runs has a core");
        let crossing = core.dispatcher.depart::<Host>(why).expect("the pool has a participant");
        (core, crossing)
    });
    core = elsewhere(core);
    core.dispatcher.arrive::<Host>(crossing);
    THREAD.with(|thread| thread.core.replace(Some(core)));
}

/// The calling strand blocks while `elsewhere` runs on the same core (as another strand would).
pub fn block(elsewhere: impl FnOnce()) {
    leave(Departure::Blocked, |core| run_on(core, elsewhere));
}

/// The calling strand is preempted, and `elsewhere` runs on the same core meanwhile.
pub fn preempt(elsewhere: impl FnOnce()) {
    leave(Departure::Preempted, |core| run_on(core, elsewhere));
}

fn run_on(core: HostCore, body: impl FnOnce()) -> HostCore {
    let attached = core.attach();
    body();
    let core = THREAD.with(|thread| thread.core.take()).expect("it was given one");
    drop(attached);
    core
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
