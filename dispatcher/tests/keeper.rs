//! Grace periods: nothing is destroyed while it may be in use, and everything afterwards.

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use common::{Census, elsewhere};
use dispatcher::{
    Event, Handler, Progress,
    host::{self, Host, Place, World},
};

type Plain = Event<u32, u32, Host>;

fn counted(census: &Census) -> Handler<u32, u32> {
    let citizen = census.citizen();
    Handler::trusted(move |number: &u32| {
        let _here = &citizen;
        *number
    })
}

#[test]
fn with_nothing_retired_the_housekeeper_is_idle() {
    let world = World::new();
    let _core = world.attach();
    assert_eq!(world.keep(), Progress::Idle);
    assert_eq!(world.summons(), 0);
}

#[test]
fn what_was_replaced_goes_after_a_grace_period_and_not_before() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Plain::new("Test.Grace", None).open(), Census::default());
    let id = event.install(counted(&census)).unwrap();
    event.remove(id).unwrap();
    assert_eq!((census.alive(), world.retired().len(), world.summons()), (1, 1, 1));
    // This core does not repin: nothing can go, however often the housekeeper looks.
    for _ in 0..50 {
        assert_eq!(elsewhere(|| world.keep()), Progress::Waiting { lagging: 1 });
    }
    assert_eq!(census.alive(), 1);
    assert_eq!(world.drain(), 1);
    assert_eq!((census.alive(), world.retired().len()), (0, 0));
    assert!(world.retired().is_empty());
}

#[test]
fn nothing_goes_while_another_core_is_inside() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Plain::new("Test.Inside", None).open(), Census::default());
    let (entered, is_inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let citizen = census.citizen();
    let id = event
        .install(Handler::trusted(move |number: &u32| {
            entered.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            host::poll();
            number + u32::try_from(std::mem::size_of_val(&citizen)).unwrap()
        }))
        .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _core = world.attach();
            event.raise(&1).unwrap();
        });
        is_inside.recv().unwrap();
        event.remove(id).unwrap();
        assert_eq!(world.keep_trying(100), 0);
        assert_eq!(census.alive(), 1);
        release.send(()).unwrap();
        world.drain();
    });
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_halted_core_delays_nobody_and_wakes_in_the_present() {
    let world = World::new();
    let _core = world.attach();
    let mut other = world.core();
    let census = Census::default();
    let event = Plain::new("Test.Halted", None).open();
    other.dispatcher().halt();
    event.remove(event.install(counted(&census)).unwrap()).unwrap();
    world.drain();
    assert_eq!(census.alive(), 0);
    assert!(other.dispatcher().nudged::<Host>(), "a nudge that finds it halted is done");

    other.dispatcher().wake();
    event.remove(event.install(counted(&census)).unwrap()).unwrap();
    assert_eq!(world.keep_trying(50), 0, "awake, it counts again");
    other.dispatcher().halt();
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn actions_wait_for_a_grace_period_and_run_in_order() {
    let world = World::new();
    let _core = world.attach();
    let (event, order) = (Plain::new("Test.Action", None).open(), Arc::new(Mutex::new(Vec::new())));
    let seen = order.clone();
    let id = event
        .install(Handler::trusted(move |number: &u32| {
            for step in 0..3 {
                let order = seen.clone();
                world.retired().after_grace(move || order.lock().unwrap().push(step));
            }
            elsewhere(|| world.keep_trying(50));
            host::poll();
            assert!(seen.lock().unwrap().is_empty(), "this raise is in progress");
            *number
        }))
        .unwrap();
    event.raise(&1).unwrap();
    assert_eq!(world.drain(), 3);
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    event.remove(id).unwrap();
    world.drain();
}

#[test]
fn an_action_may_put_off_another() {
    let world = World::new();
    let _core = world.attach();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    world.retired().after_grace(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        world.retired().after_grace(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(world.drain(), 2);
    assert_eq!((count.load(Ordering::Relaxed), world.retired().len()), (2, 0));
}

/// The remover is slow between its last two steps, and the grace period is over before it goes on.
#[test]
fn closures_are_dropped_by_the_housekeeper_alone() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Plain::new("Test.Slow", None).open(), Census::default());
    let id = event.install(counted(&census)).unwrap();
    let is_gone = Arc::new(AtomicBool::new(false));
    let (seen, observed) = (is_gone.clone(), census.clone());
    host::at(Place::Summon, move || {
        world.drain();
        seen.store(observed.alive() == 0, Ordering::Relaxed);
    });
    event.remove(id).unwrap();
    assert!(is_gone.load(Ordering::Relaxed), "the remover had the closure still");
}

#[test]
fn memory_and_participants_come_back_to_what_they_were() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Plain::new("Test.Baseline", Some(|number| *number)).open(), Census::default());
    let rounds = if cfg!(miri) { 3 } else { 200 };
    world.drain();
    let before = world.epochs().participants();
    for _ in 0..rounds {
        let ids: Vec<_> = (0..5).map(|_| event.install(counted(&census)).unwrap()).collect();
        host::poll();
        event.raise(&1).unwrap();
        ids.into_iter().rev().for_each(|id| event.remove(id).unwrap());
        world.drain();
        assert_eq!((census.alive(), world.retired().len()), (0, 0));
    }
    assert_eq!(world.epochs().participants(), before);
}
