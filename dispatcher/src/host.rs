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

use alloc::boxed::Box;
use core::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    ptr,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};
use std::{
    sync::{Condvar, Mutex, PoisonError},
    thread, thread_local,
    time::Duration,
    vec::Vec,
};

use crate::{
    Border, Departure, Dispatcher, Epochs, Keeper, Processor, Progress,
    epoch::MOST_CORES,
    plan::LEAST_STACK,
    post::{self, Agenda},
    retire::RetireList,
};

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

/// What a core's worker sleeps by.
struct Bell {
    has_rung: Mutex<bool>,
    changed: Condvar,
    /// How often it was rung.
    count: AtomicUsize,
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

/// Something that a test wants to happen at a certain place, once.
type Hook = RefCell<Option<Box<dyn FnOnce()>>>;

struct Thread {
    core: RefCell<Option<HostCore>>,
    world: Cell<Option<&'static World>>,
    hooks: [Hook; 3],
    /// How many [`Processor::unpreempted`] are open.
    unpreempted: Cell<usize>,
    /// How much time was made to pass.
    ahead_ns: Cell<u64>,
}

/// Places at which a test can put in something that happens there by bad luck.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// When the stack is measured.
    StackLeft,
    /// Before [`Processor::unpreempted`] begins.
    Unpreempted,
    /// When the housekeeper is summoned.
    Summon,
}

thread_local! {
    // Cells of their own: whoever raises reaches them by one instruction each.
    static TOP: Cell<*mut Border> = const { Cell::new(ptr::null_mut()) };
    static STACK_LEFT: Cell<usize> = const { Cell::new(STACK) };
    static THREAD: Thread = const {
        Thread {
            core: RefCell::new(None),
            world: Cell::new(None),
            hooks: [const { RefCell::new(None) }; 3],
            unpreempted: Cell::new(0),
            ahead_ns: Cell::new(0),
        }
    };
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
            bells: [const {
                Bell { has_rung: Mutex::new(false), changed: Condvar::new(), count: AtomicUsize::new(0) }
            }; MOST_CORES],
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
        self.bells[core].count.load(Ordering::Relaxed)
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

/// Delivers what was posted for the calling thread's core until nothing waits any more: for tests and
/// programs in which a strand does the worker's part itself. Says how many turns there were.
pub fn deliver_posts() -> usize {
    let core = Host::core_id();
    let turns = core::iter::from_fn(|| post::take::<Host>(core));
    turns.map(|turn| turn.deliver::<Host>(core)).count()
}

/// Makes the calling thread the one worker of its core, until `is_over`: delivers what is posted, and
/// sleeps when there is nothing. Whoever ends it so must [`ring`] afterwards.
///
/// # Panics
///
/// If it sleeps for a minute while something waits: a summons was lost.
pub fn work_until(is_over: impl Fn() -> bool) {
    let core = Host::core_id();
    let bell = &world().bells[core];
    loop {
        deliver_posts();
        poll();
        if !post::watch::<Host>(core) {
            continue;
        }
        let mut has_rung = lock(&bell.has_rung);
        while !*has_rung && !is_over() {
            let waited = bell.changed.wait_timeout(has_rung, Duration::from_secs(60));
            let (guard, time) = waited.unwrap_or_else(PoisonError::into_inner);
            has_rung = guard;
            assert!(!time.timed_out() || *has_rung || post::is_empty::<Host>(core), "a summons was lost");
        }
        *has_rung = false;
        if is_over() {
            return;
        }
    }
}

/// Wakes the worker of core `core` of the calling thread's machine, for no reason but to let it see
/// whether it is over.
pub fn ring(core: usize) {
    let bell = &world().bells[core];
    *lock(&bell.has_rung) = true;
    bell.changed.notify_one();
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

/// So much time passes at once, for this thread alone: for tests of time bounds.
pub fn let_pass(time_ns: u64) {
    THREAD.with(|thread| thread.ahead_ns.set(thread.ahead_ns.get() + time_ns));
}

/// Sets how much stack is left on this thread, in bytes.
pub fn set_stack_left(bytes: usize) {
    STACK_LEFT.set(bytes);
}

/// Lets `event` happen when this thread comes to `place` next.
pub fn at(place: Place, event: impl FnOnce() + 'static) {
    if place == Place::StackLeft {
        // So that it is measured with care.
        STACK_LEFT.set(0);
    }
    THREAD.with(|thread| *thread.hooks[place as usize].borrow_mut() = Some(Box::new(event)));
}

/// Could the calling thread lose its core now: is no [`Processor::unpreempted`] open?
pub fn is_preemptible() -> bool {
    THREAD.with(|thread| thread.unpreempted.get() == 0)
}

/// Little stack is left, or something is to happen when it is measured.
#[cold]
fn measure() -> bool {
    if THREAD.with(|thread| thread.hooks[Place::StackLeft as usize].borrow().is_some()) {
        STACK_LEFT.set(STACK);
        strike(Place::StackLeft);
    }
    STACK_LEFT.get() >= LEAST_STACK
}

fn strike(place: Place) {
    let event = THREAD.with(|thread| thread.hooks[place as usize].take());
    if let Some(event) = event {
        event();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The processor that a thread is.
pub struct Host;

// SAFETY: `top` is a word of the thread, which is the strand; `leave` saves and restores it by way of
// the dispatcher. The stack of a thread is larger than `STACK`. There are no interrupts but those that
// the thread polls for, so masking them is to do nothing.
unsafe impl Processor for Host {
    #[inline(always)]
    fn top() -> *mut Border {
        TOP.get()
    }

    #[inline(always)]
    fn set_top(border: *mut Border) {
        TOP.with(|top| top.set(border));
    }

    #[inline(always)]
    fn has_room(_border: &Border) -> bool {
        if STACK_LEFT.get() >= LEAST_STACK {
            return true;
        }
        measure()
    }

    fn core_id() -> usize {
        with_core(|core| core.id)
    }

    fn masked<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    fn unpreempted<T>(body: impl FnOnce() -> T) -> T {
        strike(Place::Unpreempted);
        THREAD.with(|thread| thread.unpreempted.set(thread.unpreempted.get() + 1));
        let result = body();
        THREAD.with(|thread| thread.unpreempted.set(thread.unpreempted.get() - 1));
        result
    }

    fn repin() {
        let repinned = with_core(|core| core.dispatcher.nudged::<Self>());
        if repinned {
            with_core(|core| core.world.nudges.fetch_and(!(1 << core.id), Ordering::AcqRel));
        }
    }

    fn retired() -> &'static RetireList {
        &world().retired
    }

    fn summon_keeper() {
        strike(Place::Summon);
        world().summons.fetch_add(1, Ordering::Relaxed);
    }

    fn agenda(core: usize) -> Option<&'static Agenda> {
        let world = world();
        world.agendas[..world.next_core.load(Ordering::Relaxed).min(MOST_CORES)].get(core)
    }

    fn summon_worker(core: usize) {
        world().bells[core].count.fetch_add(1, Ordering::Relaxed);
        ring(core);
    }

    fn wait_until(is_done: &dyn Fn() -> bool) {
        let world = THREAD.with(|thread| thread.world.get()).expect("the thread has a core");
        while !is_done() {
            // The strand sleeps, in whatever it is inside, and the housekeeper takes a step meanwhile.
            block(|| {
                world.keep();
            });
            thread::yield_now();
        }
    }

    fn now_ns() -> u64 {
        static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let real_ns = BEGAN.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64;
        real_ns + THREAD.with(|thread| thread.ahead_ns.get())
    }

    fn keep_ticking() {}
}
