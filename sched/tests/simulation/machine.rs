//! A machine whose cores take turns on one thread: every run with the same dice is the same.
//!
//! A strand is a coroutine. Cores go on one at a time, from one point to the next at which another core
//! could come in between: where a strand computes, before it masks interrupts, at a switch, in a halt. So
//! what is simulated is the scheduler itself, all of it, and nothing of it is written twice.

use std::{
    cell::{Cell, RefCell},
    ptr,
};

use corosensei::{Coroutine, Yielder, stack::DefaultStack};
use dispatcher::{Border, Dispatcher, Epochs, Processor, post::Agenda, retire::RetireList};
use sched::{Builder, Machine, Scheduler, on_kick, on_timer, preempt_if_due, run_idle};

use stress::dice::Dice;

type Routine = Coroutine<(), (), (), DefaultStack>;

/// Where a core has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// A strand computes, interrupts on, outside of locks.
    Computing,
    /// It halts.
    Halted,
    /// Between two strands.
    Between,
}

/// A strand's stack and what is saved with it.
struct Context {
    routine: Cell<Option<Routine>>,
    yielder: Cell<*const Yielder<(), ()>>,
    /// How often interrupts and preemption are held off.
    masked: Cell<u32>,
    held: Cell<u32>,
}

/// What there is to a core beside the scheduler's part.
pub struct Wires {
    pub context: Cell<usize>,
    pub rest: Cell<Rest>,
    is_kicked: Cell<bool>,
    pub timer: Cell<Option<u64>>,
    pub interrupts: Cell<u64>,
}

/// A machine; never freed.
pub struct World {
    scheduler: Scheduler<Sim>,
    retired: RetireList,
    pub cores: Vec<Wires>,
    contexts: RefCell<Vec<&'static Context>>,
    /// The core whose turn it is.
    core: Cell<usize>,
    /// Some core has its turn; if not, somebody looks from outside.
    is_inside: Cell<bool>,
    pub now: Cell<u64>,
    pub must_reap: Cell<bool>,
    pub dice: RefCell<Dice>,
    /// What a strand has found wrong.
    pub complaint: RefCell<Option<String>>,
}

thread_local! {
    static WORLD: Cell<Option<&'static World>> = const { Cell::new(None) };
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

const STACK_SIZE: usize = 128 * 1024;

pub fn world() -> &'static World {
    WORLD.get().expect("only strands of a machine ask")
}

impl Context {
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            routine: Cell::new(None),
            yielder: Cell::new(ptr::null()),
            masked: Cell::new(1),
            held: Cell::new(0),
        }))
    }

    /// Stops here, until the core on which this context then is has its turn again.
    fn suspend(&self) {
        // SAFETY: the coroutine has begun, and sees to it that its yielder stays where it is.
        unsafe { &*self.yielder.get() }.suspend(());
    }
}

impl World {
    /// A machine whose cores are about to run strands.
    pub fn new(cores: usize, dice: Dice) -> &'static Self {
        let wires = |core| Wires {
            context: Cell::new(core),
            rest: Cell::new(Rest::Between),
            is_kicked: Cell::new(false),
            timer: Cell::new(None),
            interrupts: Cell::new(0),
        };
        let world: &'static Self = Box::leak(Box::new(Self {
            scheduler: Scheduler::new(),
            retired: RetireList::new(),
            cores: (0..cores).map(wires).collect(),
            contexts: RefCell::default(),
            core: Cell::new(0),
            is_inside: Cell::new(false),
            now: Cell::new(1_000),
            must_reap: Cell::new(false),
            dice: RefCell::new(dice),
            complaint: RefCell::default(),
        }));
        WORLD.set(Some(world));
        let epochs: &'static Epochs = Box::leak(Box::new(Epochs::new(cores + 2)));
        // Contexts have the numbers of their cores, to begin with.
        for _ in 0..cores {
            world.begin_context(|| {
                run_idle::<Sim>();
            });
        }
        for core in 0..cores {
            world.core.set(core);
            let dispatcher = Dispatcher::new(core, epochs).expect("there are enough");
            world.scheduler.add_core(core, dispatcher, Builder::idle::<Sim>(core));
        }
        world.core.set(0);
        world
    }

    fn begin_context(&'static self, entry: impl FnOnce() + 'static) -> usize {
        let context = Context::new();
        let stack = STACKS.with_borrow_mut(Vec::pop);
        let stack = stack.unwrap_or_else(|| DefaultStack::new(STACK_SIZE).expect("there is memory"));
        let body = move |yielder: &Yielder<(), ()>, ()| {
            context.yielder.set(yielder);
            entry()
        };
        context.routine.set(Some(Coroutine::with_stack(stack, body)));
        let mut contexts = self.contexts.borrow_mut();
        contexts.push(context);
        contexts.len() - 1
    }

    fn context(&self) -> &'static Context {
        self.contexts.borrow()[self.cores[self.core.get()].context.get()]
    }

    /// Gives core `core` its turn.
    pub fn turn(&self, core: usize) {
        self.core.set(core);
        let context = self.context();
        let mut routine = context.routine.take().expect("what a core runs, no other does");
        // No strand's entry ever returns.
        self.is_inside.set(true);
        let _ = routine.resume(());
        self.is_inside.set(false);
        context.routine.set(Some(routine));
    }

    fn stop(&self, rest: Rest) {
        self.cores[self.core.get()].rest.set(rest);
        self.context().suspend();
    }

    /// Tells the core what has happened. Masked.
    fn deliver(&self) -> bool {
        let wires = &self.cores[self.core.get()];
        let is_kicked = wires.is_kicked.take();
        if is_kicked {
            on_kick::<Sim>();
        }
        let is_due = wires.timer.get().is_some_and(|timer| timer <= self.now.get());
        if is_due {
            wires.timer.set(None);
            wires.interrupts.set(wires.interrupts.get() + 1);
            on_timer::<Sim>();
        }
        is_kicked || is_due
    }

    /// The machine is at its end: its stacks can be used again.
    pub fn end(&self) {
        for context in self.contexts.borrow().iter() {
            let mut routine = context.routine.take().expect("no core has its turn");
            if !routine.done() {
                // SAFETY: nothing on it is looked at again; what it owns is lost, of a test.
                unsafe { routine.force_reset() };
            }
            STACKS.with_borrow_mut(|stacks| stacks.push(routine.into_stack()));
        }
        WORLD.set(None);
    }
}

/// The running strand computes: other cores have their turns, and interrupts strike.
pub fn compute() {
    let world = world();
    let context = world.context();
    assert_eq!(context.masked.get(), 0);
    world.stop(Rest::Computing);
    // Perhaps on another core than before.
    context.masked.set(1);
    if self::world().deliver() {
        preempt_if_due::<Sim>();
    }
    context.masked.set(0);
}

/// The machine.
pub struct Sim;

// SAFETY: one thread does everything; what is masked is not stopped.
unsafe impl Processor for Sim {
    fn top() -> *mut Border {
        ptr::null_mut()
    }

    fn set_top(_border: *mut Border) {}

    fn has_room(_border: &Border) -> bool {
        true
    }

    fn core_id() -> usize {
        world().core.get()
    }

    fn now_ns() -> u64 {
        world().now.get()
    }

    fn wait_until(is_done: &dyn Fn() -> bool) {
        sched::wait_until::<Self>(is_done);
    }

    fn keep_ticking() {
        sched::keep_ticking::<Self>();
    }

    fn masked<T>(body: impl FnOnce() -> T) -> T {
        if !world().is_inside.get() {
            return body();
        }
        let context = world().context();
        if context.masked.get() == 0 && world().dice.borrow_mut().one_in(6) {
            compute();
        }
        context.masked.set(context.masked.get() + 1);
        let result = body();
        context.masked.set(context.masked.get() - 1);
        result
    }

    fn unpreempted<T>(body: impl FnOnce() -> T) -> T {
        let context = world().context();
        context.held.set(context.held.get() + 1);
        let result = body();
        context.held.set(context.held.get() - 1);
        if context.held.get() == 0 && context.masked.get() == 0 {
            Self::masked(preempt_if_due::<Self>);
        }
        result
    }

    fn repin() {
        sched::repin::<Self>();
    }

    fn retired() -> &'static RetireList {
        &world().retired
    }

    fn summon_keeper() {}

    fn agenda(_core: usize) -> Option<&'static Agenda> {
        None
    }

    fn summon_worker(_core: usize) {}
}

/// Strands have their stacks from the machine.
pub struct NoStack;

// SAFETY: as above; a context goes on where it stopped, when it is its core's again.
unsafe impl Machine for Sim {
    type Stack = NoStack;

    fn scheduler() -> &'static Scheduler<Self> {
        &world().scheduler
    }

    fn prepare(_stack: &mut NoStack, entry: extern "C" fn() -> !) -> usize {
        world().begin_context(move || {
            entry();
        })
    }

    unsafe fn switch(save: *mut usize, load: usize) {
        let world = world();
        let wires = &world.cores[world.core.get()];
        let own = world.context();
        // SAFETY: by the contract.
        unsafe { *save = wires.context.get() };
        if world.cores.iter().any(|wires| wires.context.get() == load) {
            *world.complaint.borrow_mut() = Some("a strand is to run on two cores".into());
        }
        wires.context.set(load);
        wires.rest.set(Rest::Between);
        own.suspend();
    }

    fn unmask() {
        world().context().masked.set(0);
    }

    fn mask() -> bool {
        if !world().is_inside.get() || world().context().masked.get() > 0 {
            return false;
        }
        if world().dice.borrow_mut().one_in(6) {
            compute();
        }
        world().context().masked.set(1);
        true
    }

    fn restore(were_in: bool) {
        if were_in {
            world().context().masked.set(0);
        }
    }

    fn is_preemptible() -> bool {
        world().context().held.get() == 0
    }

    fn kick(core: usize) {
        world().cores[core].is_kicked.set(true);
    }

    fn set_timer(deadline_ns: Option<u64>) {
        world().cores[world().core.get()].timer.set(deadline_ns);
    }

    fn halt() {
        loop {
            world().stop(Rest::Halted);
            if world().deliver() {
                return;
            }
        }
    }

    fn summon_reaper() {
        world().must_reap.set(true);
    }
}
