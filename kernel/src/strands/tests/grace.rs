//! Grace periods, while strands sleep and lose their cores inside.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::{Event, Handler, Processor};
use sched::{Builder, Machine, State};

use super::{MILLISECOND, spin_until};
use crate::{
    ktest::{core_count, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle, housekeeper},
};

/// An event for the tests of grace periods.
static KNOCK: Event<u64, u64, Cpu> = Event::new("Test.Knock", None).open();

/// What a handler and a test tell each other.
#[derive(Default)]
struct Door {
    is_inside: AtomicBool,
    may_leave: AtomicBool,
    is_gone: Arc<AtomicBool>,
}

/// Tells when a handler's closure is dropped.
struct Tattler(Arc<AtomicBool>);

impl Drop for Tattler {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Starts a grace period; the flag says when it has passed.
fn begin_grace() -> (Arc<AtomicBool>, Handle) {
    let has_passed = Arc::new(AtomicBool::new(false));
    let flag = has_passed.clone();
    let waiter = guarded(Builder::new("waiter"), move || {
        housekeeper::wait_for_grace();
        flag.store(true, Ordering::Release);
    });
    (has_passed, waiter)
}

/// Installs a handler that waits inside by `wait` until it may leave.
fn install_waiting(door: &Arc<Door>, wait: fn(&Door)) -> dispatcher::BindingId {
    let (door, tattler) = (door.clone(), Tattler(door.is_gone.clone()));
    let handler = move |number: &u64| {
        let _kept = &tattler;
        door.is_inside.store(true, Ordering::Release);
        wait(&door);
        number + 1
    };
    KNOCK.install(Handler::trusted(handler)).expect("there is room for a handler")
}

#[ktest]
fn a_sleeper_inside_delays_no_grace_period() {
    let door = Arc::new(Door::default());
    let id = install_waiting(&door, |door| {
        wait_until("it may leave", || door.may_leave.load(Ordering::Acquire));
    });
    let raisers: Vec<_> = (0..core_count())
        .map(|core| guarded(on(core), || assert_eq!(KNOCK.raise(&1).ok(), Some(2))))
        .collect();
    wait_until("somebody is inside", || door.is_inside.load(Ordering::Acquire));
    for _ in 0..3 {
        let (has_passed, waiter) = begin_grace();
        wait_until("the grace period passes", || has_passed.load(Ordering::Acquire));
        waiter.join();
    }
    // The handler can go while they sleep in it, but what it holds stays.
    wait_until("all are inside", || raisers.iter().all(|raiser| raiser.strand().state() == State::Blocked));
    KNOCK.remove(id).expect("it is installed");
    let (has_passed, waiter) = begin_grace();
    wait_until("the grace period passes", || has_passed.load(Ordering::Acquire));
    waiter.join();
    assert!(!door.is_gone.load(Ordering::Acquire), "dropped while somebody slept in it");
    door.may_leave.store(true, Ordering::Release);
    raisers.into_iter().for_each(Handle::join);
    wait_until("the closure is dropped", || door.is_gone.load(Ordering::Acquire));
}

#[ktest]
fn a_preempted_strand_inside_delays_grace_periods() {
    let core = core_count() - 1;
    let door = Arc::new(Door::default());
    let id = install_waiting(&door, |door| {
        spin_until("it may leave", || door.may_leave.load(Ordering::Acquire));
    });
    let raiser = guarded(on(core), || assert_eq!(KNOCK.raise(&1).ok(), Some(2)));
    // For whom it is preempted, again and again.
    let (rival_door, switches) = (door.clone(), Cpu::scheduler().core(core).expect("it is there").switches());
    let rival = guarded(on(core), move || {
        spin_until("it has left", || rival_door.may_leave.load(Ordering::Acquire));
    });
    wait_until("it is inside", || door.is_inside.load(Ordering::Acquire));
    KNOCK.remove(id).expect("it is installed");
    let (has_passed, waiter) = begin_grace();
    wait_until("it was preempted several times", || {
        Cpu::scheduler().core(core).expect("it is there").switches() > switches + 8
    });
    sched::sleep_ns::<Cpu>(50 * MILLISECOND);
    assert!(!has_passed.load(Ordering::Acquire), "a grace period passed while a strand was inside");
    assert!(!door.is_gone.load(Ordering::Acquire), "dropped while a strand was inside");
    door.may_leave.store(true, Ordering::Release);
    wait_until("the grace period passes", || has_passed.load(Ordering::Acquire));
    [raiser, rival, waiter].into_iter().for_each(Handle::join);
    wait_until("the closure is dropped", || door.is_gone.load(Ordering::Acquire));
}

#[ktest]
fn raisers_without_pause_delay_grace_periods_little() {
    let id = KNOCK.install(Handler::trusted(|number: &u64| number + 1)).expect("there is room");
    let is_over = Arc::new(AtomicBool::new(false));
    let raise = |core: usize| {
        let is_over = is_over.clone();
        guarded(on(core), move || {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(KNOCK.raise(&number).ok(), Some(number + 1));
                number += 1;
            }
        })
    };
    let raisers: Vec<_> = (0..core_count()).map(raise).collect();
    let mut worst = 0;
    for _ in 0..4 {
        let begun = Cpu::now_ns();
        housekeeper::wait_for_grace();
        worst = worst.max(Cpu::now_ns() - begun);
    }
    is_over.store(true, Ordering::Relaxed);
    raisers.into_iter().for_each(Handle::join);
    KNOCK.remove(id).expect("it is installed");
    log::info!("the longest grace period took {} us", worst / 1_000);
    assert!(worst < 5_000 * MILLISECOND, "a grace period took {worst} ns");
}
