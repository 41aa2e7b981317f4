//! Removing *now* and *drained*: who is waited for, and who is not.

mod common;

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{Census, counted, foreign, ids, install_raw, many, remove_all};
use dispatcher::{
    BindingId, Departure, DomainState, Event, Handler, InstallError, RaiseError,
    host::{self, Host, World},
};

type Plain = Event<u32, u32, Host>;

#[test]
fn no_raise_that_begins_after_a_removal_calls_it() {
    let world = World::new();
    let event = Plain::new("Test.Now", None).open();
    let (stop, is_removed) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _core = world.attach();
                while !stop.load(Ordering::Relaxed) {
                    host::poll();
                    thread::yield_now();
                    let was_removed = is_removed.load(Ordering::SeqCst);
                    let found = event.raise(&u32::from(was_removed));
                    assert!(!was_removed || found == Err(RaiseError::NoHandler));
                }
            });
        }
        let _core = world.attach();
        for _ in 0..many(40) {
            is_removed.store(false, Ordering::SeqCst);
            let id = event.install(Handler::trusted(|number| *number)).unwrap();
            thread::yield_now();
            event.remove(id).unwrap();
            is_removed.store(true, Ordering::SeqCst);
            // One that is drained, too.
            is_removed.store(false, Ordering::SeqCst);
            let id = event.install(Handler::trusted(|number| *number)).unwrap();
            event.remove_drained(id).unwrap();
            is_removed.store(true, Ordering::SeqCst);
            host::poll();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let _core = world.attach();
    world.drain();
}

/// A strand that sleeps in a handler, until it is told to wake.
struct Sleeper<'scope> {
    thread: thread::ScopedJoinHandle<'scope, Result<u32, RaiseError>>,
    wake: mpsc::Sender<()>,
}

impl Sleeper<'_> {
    fn wake(self) -> Result<u32, RaiseError> {
        self.wake.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

thread_local! {
    /// Who wakes this strand, if it sleeps.
    static BED: std::cell::RefCell<Option<Box<dyn FnOnce()>>> = const { std::cell::RefCell::new(None) };
}

/// A handler in which strands that have a bed sleep.
fn dormitory(result: u32) -> Handler<u32, u32> {
    Handler::trusted(move |_: &u32| {
        if let Some(sleep) = BED.take() {
            sleep();
        }
        result
    })
}

/// A new strand on a core of its own raises the event and falls asleep in the dormitory. Its core goes
/// on without it.
fn put_to_sleep<'scope, 'env>(
    scope: &'scope thread::Scope<'scope, 'env>,
    world: &'static World,
    event: &'env Plain,
) -> Sleeper<'scope> {
    let (wake, woken) = mpsc::channel();
    let (tell, asleep) = mpsc::channel();
    let thread = scope.spawn(move || {
        let _core = world.attach();
        BED.set(Some(Box::new(move || {
            host::leave(Departure::Blocked, |core| {
                // The core halts meanwhile.
                drop(core);
                tell.send(()).unwrap();
                woken.recv().unwrap();
                world.core()
            });
        })));
        event.raise(&1)
    });
    asleep.recv().expect("it came to the bed");
    Sleeper { thread, wake }
}

#[test]
fn draining_waits_for_who_sleeps_in_that_very_handler() {
    let world = World::new();
    let event = Plain::new("Test.Drain", None).open();
    let census = Census::default();
    let _core = world.attach();
    let bed = event.install(dormitory(1)).unwrap();
    let other = event.install(counted(&census, 2)).unwrap();
    thread::scope(|scope| {
        let sleeper = put_to_sleep(scope, world, &event);
        let info = event.any().info::<Host>();
        assert_eq!(info.bindings.iter().map(|binding| binding.sleepers).collect::<Vec<_>>(), [1, 0]);
        // The same plan, and the same raise, but nobody sleeps in this one.
        event.remove_drained(other).unwrap();
        let is_drained = Arc::new(AtomicBool::new(false));
        let drainer = scope.spawn({
            let (is_drained, event) = (is_drained.clone(), &event);
            move || {
                let _core = world.attach();
                event.remove_drained(bed).unwrap();
                is_drained.store(true, Ordering::SeqCst);
            }
        });
        while event.raise(&1).is_ok() {
            thread::yield_now();
        }
        // Time enough for whoever does not wait for it: the grace period is over, and the drainer has looked.
        for _ in 0..50 {
            host::poll();
            world.keep();
            thread::sleep(Duration::from_millis(2));
        }
        assert!(!is_drained.load(Ordering::SeqCst), "it was removed, and somebody is in it still");
        assert_eq!(sleeper.wake(), Ok(1), "its raise goes on, without the one that was removed");
        while !drainer.is_finished() {
            host::poll();
            thread::yield_now();
        }
        drainer.join().unwrap();
    });
    assert_eq!(ids(&event), []);
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn draining_does_not_wait_for_who_sleeps_in_another_event_or_binding() {
    let world = World::new();
    let event = Plain::new("Test.Bed", None).open();
    let unrelated = Plain::new("Test.Unrelated", None).open();
    let census = Census::default();
    let _core = world.attach();
    let beds = [1, 2].map(|result| event.install(dormitory(result)).unwrap());
    thread::scope(|scope| {
        let sleeper = put_to_sleep(scope, world, &event);
        let id = unrelated.install(counted(&census, 1)).unwrap();
        unrelated.remove_drained(id).unwrap();
        event.remove_drained(beds[1]).unwrap();
        world.drain();
        assert_eq!(census.alive(), 0);
        assert_eq!(sleeper.wake(), Ok(1));
    });
    event.remove_drained(beds[0]).unwrap();
    world.drain();
}

#[test]
fn a_drained_handler_runs_nowhere_when_the_removal_returns() {
    let world = World::new();
    let event = Plain::new("Test.Running", None).open();
    let (stop, inside) = (AtomicBool::new(false), Arc::new(AtomicU32::new(0)));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _core = world.attach();
                while !stop.load(Ordering::Relaxed) {
                    host::poll();
                    thread::yield_now();
                    let _ = event.raise(&1);
                }
            });
        }
        let _core = world.attach();
        for _ in 0..many(30) {
            let count = inside.clone();
            let id = event
                .install(Handler::trusted(move |_: &u32| {
                    count.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    count.fetch_sub(1, Ordering::SeqCst);
                    0
                }))
                .unwrap();
            thread::yield_now();
            event.remove_drained(id).unwrap();
            assert_eq!(inside.load(Ordering::SeqCst), 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let _core = world.attach();
    world.drain();
}

#[test]
fn a_handler_cannot_drain_itself_and_stays() {
    static EVENT: Plain = Plain::new("Test.Itself", None).open();
    static OUTER: Plain = Plain::new("Test.Outer", None).open();
    static ID: OnceLock<BindingId> = OnceLock::new();
    let world = World::new();
    let _core = world.attach();
    let id = EVENT
        .install(Handler::trusted(|number: &u32| {
            let id = *ID.get().unwrap();
            assert_eq!(EVENT.remove_drained(id), Err(InstallError::WouldWaitForItself));
            // Nor from further in.
            if *number > 0 {
                return OUTER.raise(&(number - 1)).unwrap();
            }
            7
        }))
        .unwrap();
    ID.set(id).unwrap();
    OUTER.install(Handler::trusted(|number: &u32| EVENT.raise(number).unwrap())).unwrap();
    assert_eq!(EVENT.raise(&2), Ok(7));
    assert_eq!(ids(&EVENT), [id], "nothing was removed");
    EVENT.remove_drained(id).unwrap();
    assert_eq!(EVENT.remove_drained(id), Err(InstallError::Unknown));
    remove_all(&OUTER);
    world.drain();
}

#[test]
fn a_handler_drains_another() {
    static EVENT: Plain = Plain::new("Test.Another", None).open();
    static OTHER: Mutex<Vec<BindingId>> = Mutex::new(Vec::new());
    let world = World::new();
    let _core = world.attach();
    let census = Census::default();
    // One before it and one after it, in the same plan; and one of another event.
    let before = EVENT.install(counted(&census, 1)).unwrap();
    let own = EVENT
        .install(Handler::trusted(|_: &u32| {
            let others: Vec<_> = OTHER.lock().unwrap().drain(..).collect();
            others.into_iter().for_each(|id| EVENT.remove_drained(id).unwrap());
            2
        }))
        .unwrap();
    let after = EVENT.install(counted(&census, 3)).unwrap();
    OTHER.lock().unwrap().extend([before, after]);
    assert_eq!(EVENT.raise(&1), Ok(2), "it slept, so those that are gone are not called");
    assert_eq!(ids(&EVENT), [own]);
    EVENT.remove(own).unwrap();
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn who_must_not_block_cannot_drain_and_nothing_is_removed() {
    static EVENT: Plain = Plain::new("Test.MustNot", None).open();
    static VICTIM: Plain = Plain::new("Test.Victim", None).open();
    static ID: OnceLock<BindingId> = OnceLock::new();
    let world = World::new();
    let _core = world.attach();
    ID.set(VICTIM.install(Handler::trusted(|number| *number)).unwrap()).unwrap();
    let drain =
        || VICTIM.remove_drained(*ID.get().unwrap()).is_err_and(|why| why == InstallError::MustNotBlock);
    let bounded = Handler::trusted(move |_: &u32| u32::from(drain())).bounded_ns(u64::MAX);
    let id = EVENT.install(bounded).unwrap();
    assert_eq!(EVENT.raise(&0), Ok(1));
    EVENT.remove(id).unwrap();
    let id = EVENT.install(Handler::trusted(|_: &u32| 2).when(move |_| drain())).unwrap();
    assert_eq!(EVENT.raise(&0), Ok(2));
    EVENT.remove(id).unwrap();
    assert_eq!(VICTIM.raise(&5), Ok(5), "it stands still");
    VICTIM.remove_drained(*ID.get().unwrap()).unwrap();
    world.drain();
}

#[test]
fn a_domain_removes_and_drains_its_own_alone() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Owned", None).open();
    let domains = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let handler = |number: &u32| *number;
    let own = domains.each_ref().map(|domain| install_raw(&event, foreign(domain, &handler)).unwrap());
    let trusted = event.install(Handler::trusted(|_| 9)).unwrap();
    for id in [own[0], trusted, BindingId::INTRINSIC] {
        assert_eq!(event.remove_owned(id, 2), Err(InstallError::Unknown));
        assert_eq!(event.remove_drained_owned(id, 2), Err(InstallError::Unknown));
        // SAFETY: the handler fits the event.
        let replaced = unsafe { event.replace_raw(id, foreign(&domains[1], &handler), Some(2)) };
        assert_eq!(replaced, Err(InstallError::Unknown));
    }
    assert_eq!((ids(&event).len(), domains[1].handlers()), (3, 1));
    event.remove_owned(own[0], 1).unwrap();
    event.remove_drained_owned(own[1], 2).unwrap();
    assert_eq!(ids(&event), [trusted]);
    event.remove(trusted).unwrap();
    world.drain();
    assert_eq!(domains.each_ref().map(Arc::strong_count), [1, 1]);
}
