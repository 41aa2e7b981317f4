//! A machine of threads: the [`Machine`] of tests (feature `host`).
//!
//! Each strand has a thread; a core is a baton that the threads pass on, so as many threads run as the
//! machine has cores. Interrupts are polled: kicks, nudges and the timer are delivered where the
//! running thread calls [`poll`], or to a core that halts. [`run`] makes a machine, runs a first
//! strand on it and waits for that. Threads of strands that have ended wait until the process ends.

use alloc::{boxed::Box, sync::Arc};
use core::{cell::Cell, sync::atomic::Ordering};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Condvar, Mutex, OnceLock, PoisonError, atomic::AtomicUsize, mpsc},
    thread, thread_local,
    time::{Duration, Instant},
    vec::Vec,
};

use dispatcher::{
    Border, Dispatcher, Keeper, Processor, Progress,
    epoch::MOST_CORES,
    host::{Host, World},
    post::Agenda,
    retire::RetireList,
};

use crate::{
    Builder, Handle, Machine, Priority, Scheduler, Strand, block, current, on_kick, on_nudge, on_timer,
    package::{Grant, Next, Package, Reason, RegisterError, Silent, Why},
    preempt_if_due, reap, run_idle, sleep_ns, unblock,
    workers::Workers,
};

const KICK: u8 = 1;
const NUDGE: u8 = 2;
/// How long the housekeeper gives lagging cores, in nanoseconds.
const PATIENCE_NS: u64 = 200_000;

/// A machine. Made by [`run`] and never freed.
struct HostWorld {
    scheduler: Scheduler<HostMachine>,
    events: &'static World,
    keeper: Mutex<Option<Keeper>>,
    housekeeper: OnceLock<Arc<Strand<HostMachine>>>,
    batons: Mutex<Vec<Arc<Baton>>>,
    lines: [Lines; MOST_CORES],
    agendas: [Agenda; MOST_CORES],
    workers: [Workers<HostMachine>; MOST_CORES],
    start: Instant,
    stacks: Arc<AtomicUsize>,
    /// How many stacks were offered to be kept.
    turns: AtomicUsize,
    policies: Mutex<HashMap<u32, Arc<dyn Policy>>>,
}

/// What a core is interrupted by.
struct Lines {
    pending: Mutex<u8>,
    deadline: Mutex<Option<u64>>,
    changed: Condvar,
}

/// Where a thread waits for a core.
struct Baton {
    core: Mutex<Option<usize>>,
    passed: Condvar,
}

thread_local! {
    static WORLD: Cell<Option<&'static HostWorld>> = const { Cell::new(None) };
    static CORE: Cell<usize> = const { Cell::new(0) };
    /// The number of this thread's baton.
    static BATON: Cell<usize> = const { Cell::new(0) };
}

fn world() -> &'static HostWorld {
    WORLD.get().expect("only strands of a machine ask")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Baton {
    fn new() -> Arc<Self> {
        Arc::new(Self { core: Mutex::new(None), passed: Condvar::new() })
    }

    fn pass(&self, core: usize) {
        let before = lock(&self.core).replace(core);
        assert_eq!(before, None, "a strand runs on one core at a time");
        self.passed.notify_one();
    }

    fn wait(&self) -> usize {
        let mut core = lock(&self.core);
        loop {
            match core.take() {
                Some(core) => return core,
                None => core = self.passed.wait(core).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A strand's stack, which is counted.
pub struct HostStack(Arc<AtomicUsize>);

impl HostStack {
    /// A stack of the running strand's machine.
    #[must_use]
    pub fn new() -> Self {
        let count = world().stacks.clone();
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    /// The same, for [`Workers::start`].
    #[must_use]
    pub fn make() -> Option<Self> {
        Some(Self::new())
    }
}

impl Default for HostStack {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for HostStack {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Stacks that were not freed.
pub fn stacks() -> usize {
    world().stacks.load(Ordering::Relaxed)
}

/// When the timer of the running core is set to strike, in nanoseconds since the machine's start.
pub fn timer() -> Option<u64> {
    *lock(&world().lines[CORE.get()].deadline)
}

/// The point at which interrupts strike.
pub fn poll() {
    if deliver() {
        preempt_if_due::<HostMachine>();
    }
}

fn deliver() -> bool {
    let lines = &world().lines[CORE.get()];
    let pending = core::mem::take(&mut *lock(&lines.pending));
    if pending & KICK != 0 {
        on_kick::<HostMachine>();
    }
    if pending & NUDGE != 0 {
        on_nudge::<HostMachine>();
    }
    let now = HostMachine::now_ns();
    let is_due = lock(&lines.deadline).take_if(|deadline| *deadline <= now).is_some();
    if is_due {
        on_timer::<HostMachine>();
    }
    pending != 0 || is_due
}

fn interrupt(core: usize, line: u8) {
    let lines = &world().lines[core];
    *lock(&lines.pending) |= line;
    lines.changed.notify_all();
}

/// Makes a strand of normal priority; if it panics, so does whoever joins it by [`join`].
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Joiner<T> {
    spawn_as(Builder::new("test"), body)
}

/// Makes a strand.
pub fn spawn_as<T: Send + 'static>(builder: Builder, body: impl FnOnce() -> T + Send + 'static) -> Joiner<T> {
    let (send, result) = mpsc::channel();
    let entry = move || {
        // Nothing unwinds out of a strand.
        let _ = send.send(catch_unwind(AssertUnwindSafe(body)));
    };
    let handle = builder.spawn(HostStack::new(), entry).expect("its cores exist");
    Joiner { handle, result }
}

/// Waits for a strand and its result.
pub struct Joiner<T> {
    handle: Handle<HostMachine>,
    result: mpsc::Receiver<thread::Result<T>>,
}

impl<T> Joiner<T> {
    /// The strand.
    pub fn strand(&self) -> &Arc<Strand<HostMachine>> {
        self.handle.strand()
    }

    /// Blocks until the strand has ended and its stack was freed.
    pub fn join(self) -> T {
        self.handle.join();
        self.result.recv().expect("it sent before it ended").unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Runs `body` as the first strand of a machine of so many cores, and waits for it.
///
/// # Panics
///
/// If `body` does.
pub fn run<T: Send + 'static>(cores: usize, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, result) = mpsc::channel();
    let events = World::with_participants(64);
    let world: &'static HostWorld = Box::leak(Box::new(HostWorld {
        scheduler: Scheduler::new(),
        events,
        keeper: Mutex::new(Some(Keeper::new(events.epochs(), events.retired()))),
        housekeeper: OnceLock::new(),
        batons: Mutex::default(),
        lines: [const { Lines { pending: Mutex::new(0), deadline: Mutex::new(None), changed: Condvar::new() } };
            MOST_CORES],
        agendas: [const { Agenda::new() }; MOST_CORES],
        workers: [const { Workers::new() }; MOST_CORES],
        start: Instant::now(),
        stacks: Arc::default(),
        turns: AtomicUsize::new(0),
        policies: Mutex::default(),
    }));
    let main = move || {
        let _ = send.send(catch_unwind(AssertUnwindSafe(body)));
    };
    let mut main = Some(main);
    for core in 0..cores {
        let (added, is_added) = mpsc::channel();
        // The last core begins, when all are there.
        let main = if core == cores - 1 { main.take() } else { None };
        let boot = move || {
            WORLD.set(Some(world));
            CORE.set(core);
            BATON.set(add_baton(world, Baton::new()));
            let dispatcher = Dispatcher::new(core, world.events.epochs()).expect("the pool is full");
            world.scheduler.add_core(core, dispatcher, Builder::idle::<HostMachine>(core));
            added.send(()).expect("somebody waits");
            if let Some(main) = main {
                let keeper = Builder::new("housekeeper").priority(Priority::HOUSEKEEPER);
                let keeper = keeper.spawn::<HostMachine>(HostStack::new(), keep_house);
                let keeper = keeper.expect("a core exists").strand().clone();
                assert!(world.housekeeper.set(keeper).is_ok());
                Builder::new("main").spawn::<HostMachine>(HostStack::new(), main).expect("a core exists");
            }
            run_idle::<HostMachine>()
        };
        thread::Builder::new().spawn(boot).expect("a thread can be made");
        is_added.recv().expect("it says so");
    }
    result.recv().expect("the first strand ends").unwrap_or_else(|panic| resume_unwind(panic))
}

fn add_baton(world: &HostWorld, baton: Arc<Baton>) -> usize {
    let mut batons = lock(&world.batons);
    batons.push(baton);
    batons.len() - 1
}

/// The housekeeping strand: frees stacks, and waits for grace periods.
fn keep_house() {
    loop {
        let reaped = reap::<HostMachine>();
        // Not under the lock of a thread when the strand gives way.
        let mut keeper = lock(&world().keeper).take().expect("there is one housekeeper");
        let progress = keeper.step::<HostMachine>();
        *lock(&world().keeper) = Some(keeper);
        match progress {
            Progress::Waiting { lagging } => {
                (0..MOST_CORES)
                    .filter(|core| lagging >> core & 1 != 0)
                    .for_each(|core| interrupt(core, NUDGE));
                sleep_ns::<HostMachine>(PATIENCE_NS);
            }
            Progress::Idle if reaped == 0 => block::<HostMachine>(),
            Progress::Idle | Progress::Finished(_) => {}
        }
        poll();
    }
}

fn summon_housekeeper() {
    if let Some(keeper) = world().housekeeper.get() {
        unblock(keeper);
    }
}

/// The workers of core `core` of the running strand's machine; a test that posts starts them, with
/// [`HostStack::make`].
pub fn workers(core: usize) -> &'static Workers<HostMachine> {
    &world().workers[core]
}

/// The events' side of the running strand's machine.
pub fn events() -> &'static World {
    world().events
}

/// What a thread package answers, and hears: see [`Machine::raise_resume`] and those after it.
pub trait Policy: Send + Sync {
    /// Whom to run.
    fn resume(&self, core: usize) -> Result<Next, Silent>;
    /// That strand has lost its core.
    fn checkpoint(&self, core: usize, strand: u64, why: Why) -> Result<(), Silent>;
    /// That strand gives its core up: who is next.
    fn block(&self, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent>;
    /// That strand can run.
    fn unblock(&self, strand: u64) -> Result<(), Silent>;
}

/// Registers a package, with a policy that answers for it, and starts it.
///
/// # Errors
///
/// See [`RegisterError`].
pub fn register(
    name: &str,
    grant: Grant,
    policy: Arc<dyn Policy>,
) -> Result<Arc<Package<HostMachine>>, RegisterError> {
    let package = world().scheduler.packages().register(name, None, grant)?;
    lock(&world().policies).insert(package.number(), policy);
    package.open(HostStack::make);
    Ok(package)
}

fn policy(package: &Package<HostMachine>) -> Result<Arc<dyn Policy>, Silent> {
    lock(&world().policies).get(&package.number()).cloned().ok_or(Silent::Failed)
}

/// Makes a strand of a package's.
pub fn spawn_in<T: Send + 'static>(
    package: &Arc<Package<HostMachine>>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Joiner<T> {
    let (send, result) = mpsc::channel();
    let entry = move || {
        // Nothing unwinds out of a strand.
        let _ = send.send(catch_unwind(AssertUnwindSafe(body)));
    };
    let handle = Builder::new("managed").spawn_managed(package, HostStack::new(), entry);
    Joiner { handle: handle.expect("there is room in the directory"), result }
}

/// The running strand.
pub fn this() -> Arc<Strand<HostMachine>> {
    current::<HostMachine>()
}

/// The machine that threads are.
pub struct HostMachine;

// SAFETY: the running strand's words are those of its thread, see `Host`. Interrupts strike only where
// a thread polls.
unsafe impl Processor for HostMachine {
    fn top() -> *mut Border {
        Host::top()
    }

    fn set_top(border: *mut Border) {
        Host::set_top(border);
    }

    fn has_room(border: &Border) -> bool {
        Host::has_room(border)
    }

    fn core_id() -> usize {
        CORE.get()
    }

    fn now_ns() -> u64 {
        u64::try_from(world().start.elapsed().as_nanos()).expect("it has run for less than 500 years")
    }

    fn wait_until(is_done: &dyn Fn() -> bool) {
        crate::wait_until::<Self>(is_done);
    }

    fn keep_ticking() {
        crate::keep_ticking::<Self>();
    }

    fn masked<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    fn unpreempted<T>(body: impl FnOnce() -> T) -> T {
        Host::unpreempted(body)
    }

    fn repin() {
        crate::repin::<Self>();
    }

    fn retired() -> &'static RetireList {
        world().events.retired()
    }

    fn summon_keeper() {
        summon_housekeeper();
    }

    fn agenda(core: usize) -> Option<&'static Agenda> {
        let world = world();
        world.scheduler.core(core).map(|_| &world.agendas[core])
    }

    fn summon_worker(core: usize) {
        workers(core).summon();
    }
}

// SAFETY: the number of the core is passed on with the baton. A thread goes on when it is given one,
// and its stack lives as long as the process.
unsafe impl Machine for HostMachine {
    type Stack = HostStack;

    fn scheduler() -> &'static Scheduler<Self> {
        &world().scheduler
    }

    fn prepare(_stack: &mut HostStack, entry: extern "C" fn() -> !) -> usize {
        let world = world();
        let baton = Baton::new();
        let number = add_baton(world, baton.clone());
        let body = move || {
            WORLD.set(Some(world));
            BATON.set(number);
            CORE.set(baton.wait());
            entry()
        };
        thread::Builder::new().spawn(body).expect("a thread can be made");
        number
    }

    /// Every other one is dropped at once, and the rest are left to the reaper.
    fn keep_stack(stack: HostStack) -> Option<HostStack> {
        world().turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(2).then_some(stack)
    }

    unsafe fn switch(save: *mut usize, load: usize) {
        let (own, next) = {
            let batons = lock(&world().batons);
            (batons[BATON.get()].clone(), batons[load].clone())
        };
        // SAFETY: by the contract; before the baton is passed, after which others may read it.
        unsafe { *save = BATON.get() };
        next.pass(CORE.get());
        CORE.set(own.wait());
    }

    fn unmask() {}

    fn mask() -> bool {
        false
    }

    fn restore(_were_in: bool) {}

    fn is_preemptible() -> bool {
        dispatcher::host::is_preemptible()
    }

    fn kick(core: usize) {
        interrupt(core, KICK);
    }

    fn set_timer(deadline_ns: Option<u64>) {
        *lock(&world().lines[CORE.get()].deadline) = deadline_ns;
    }

    fn halt() {
        let lines = &world().lines[CORE.get()];
        let mut pending = lock(&lines.pending);
        while *pending == 0 {
            let deadline = *lock(&lines.deadline);
            let Some(deadline) = deadline else {
                pending = lines.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_sub(Self::now_ns());
            if left == 0 {
                break;
            }
            let waited = lines.changed.wait_timeout(pending, Duration::from_nanos(left));
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(pending);
        deliver();
    }

    fn summon_reaper() {
        summon_housekeeper();
    }

    fn raise_resume(package: &Package<Self>, core: usize) -> Result<Next, Silent> {
        policy(package)?.resume(core)
    }

    fn raise_checkpoint(package: &Package<Self>, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
        policy(package)?.checkpoint(core, strand, why)
    }

    fn raise_block(package: &Package<Self>, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
        policy(package)?.block(core, strand, reason)
    }

    fn raise_unblock(package: &Package<Self>, strand: u64) -> Result<(), Silent> {
        policy(package)?.unblock(strand)
    }
}
