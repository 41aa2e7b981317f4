//! The processor that a thread is: its words, and the bad luck that a test wants it to have.

use alloc::boxed::Box;
use core::{
    cell::{Cell, RefCell},
    ptr,
    sync::atomic::Ordering,
};
use std::{sync::OnceLock, thread, thread_local, time::Instant};

use super::{HostCore, STACK, World, block, with_core, world};
use crate::{Border, Processor, epoch::MOST_CORES, plan::LEAST_STACK, post::Agenda, retire::RetireList};

/// Something that a test wants to happen at a certain place, once.
type Hook = RefCell<Option<Box<dyn FnOnce()>>>;

/// What a thread is as a strand, and as the core that runs it.
pub(super) struct Thread {
    pub(super) core: RefCell<Option<HostCore>>,
    pub(super) world: Cell<Option<&'static World>>,
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
    pub(super) static THREAD: Thread = const {
        Thread {
            core: RefCell::new(None),
            world: Cell::new(None),
            hooks: [const { RefCell::new(None) }; 3],
            unpreempted: Cell::new(0),
            ahead_ns: Cell::new(0),
        }
    };
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
        world().bells[core].summon();
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
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let real_ns = BEGAN.get_or_init(Instant::now).elapsed().as_nanos() as u64;
        real_ns + THREAD.with(|thread| thread.ahead_ns.get())
    }

    fn keep_ticking() {}
}
