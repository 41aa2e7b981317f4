//! What happens to strands that are inside a border: they block, are preempted, move, are nudged. How
//! they are cut is in `cuts.rs`.

mod common;

use std::{
    cell::Cell,
    ptr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use common::{Census, counted, elsewhere, enter_with, install_foreign, outer_round};
use dispatcher::{
    Departure, DomainState, EnterError, Event, Handler, Processor, Progress,
    host::{self, Host, HostCore, Place, World},
    plan::LEAST_STACK,
};

type Plain = Event<u32, u32, Host>;

/// Installs and removes on an event that nobody is in; whether that can be freed shows if somebody
/// holds back the epoch.
fn is_epoch_free(world: &'static World) -> bool {
    let census = Census::default();
    let event = Plain::new("Test.Unrelated", None).open();
    event.remove(event.install(counted(&census, 0)).unwrap()).unwrap();
    world.keep_trying(50);
    census.alive() == 0
}

#[test]
fn who_blocks_inside_holds_what_it_sleeps_in_and_no_epoch() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Plain::new("Test.Block", None).open(), Census::default());
    let domain = Arc::new(DomainState::new(1));
    let id = OnceLock::new();
    let sleeper = |number: &u32| {
        host::block(|| {
            assert!(Host::top().is_null(), "another strand has borders of its own");
            assert!(is_epoch_free(world));
            event.remove(*id.get().unwrap()).unwrap();
            event.remove_domain(1).unwrap();
            world.drain();
            assert_eq!(domain.sleepers(), 1);
            assert_eq!(census.alive(), 1, "the plan that is slept in stays, with its closures");
        });
        number + 1
    };
    install_foreign(&event, &domain, &sleeper).unwrap();
    id.set(event.install(counted(&census, 9)).unwrap()).unwrap();
    assert_eq!(event.raise(&3), Ok(4), "what was removed meanwhile is passed over");
    assert_eq!((domain.sleepers(), census.alive()), (0, 1));
    assert!(Host::top().is_null());
    assert_eq!(world.drain(), 1, "its last sleeper has sent the plan to the housekeeper");
    assert_eq!((census.alive(), Arc::strong_count(&domain)), (0, 1));
}

/// A handler of domain 1 sleeps while `meanwhile` happens to the event and to domain 2, whose handler comes
/// next and must not be called any more: it panics if so.
fn wakes_alone(name: &'static str, meanwhile: impl Fn(&'static World, &Plain, &DomainState) + Sync) {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new(name, None).open();
    let domains = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let second = |_: &u32| panic!("its memory may have been given back");
    let first = |number: &u32| {
        host::block(|| meanwhile(world, &event, &domains[1]));
        number + 1
    };
    install_foreign(&event, &domains[0], &first).unwrap();
    install_foreign(&event, &domains[1], &second).unwrap();
    assert_eq!(event.raise(&3), Ok(4));
    event.remove_domain(1).unwrap();
    world.drain();
}

#[test]
fn who_wakes_does_not_enter_a_domain_that_went_meanwhile() {
    wakes_alone("Test.Gone", |world, event, domain| {
        domain.close();
        event.remove_domain(2).unwrap();
        world.drain();
        assert_eq!(domain.sleepers(), 0, "nobody sleeps in it: it can go");
    });
}

/// As above, but the second domain only takes its handler back, and stays open.
#[test]
fn who_wakes_does_not_call_a_handler_that_was_taken_back() {
    wakes_alone("Test.TakenBack", |_, event, _| assert_eq!(event.remove_domain(2), Ok(1)));
}

#[test]
fn who_is_preempted_inside_takes_the_epoch_along_to_another_core() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Plain::new("Test.Travel", None).open(), Census::default());
    let (give, take) = mpsc::channel::<HostCore>();
    let (tell, told) = mpsc::channel::<usize>();
    let told = std::sync::Mutex::new(told);
    let (_, free) = world.epochs().participants();
    let id = event
        .install({
            let citizen = census.citizen();
            Handler::trusted(move |number: &u32| {
                host::leave(Departure::Preempted, |core| {
                    let id = core.id();
                    give.send(core).unwrap();
                    let other = world.core();
                    assert_ne!(other.id(), id);
                    assert_eq!(world.keep_trying(50), 0, "nothing goes while it is in a queue");
                    other
                });
                assert_eq!(told.lock().unwrap().recv(), Ok(1), "it was removed, and is not gone");
                assert_eq!(elsewhere(|| world.keep_trying(50)), 0, "nor while it runs elsewhere");
                assert_eq!(citizen_of(&citizen), 7);
                *number
            })
        })
        .unwrap();
    thread::scope(|scope| {
        let (event, census) = (&event, &census);
        let other = scope.spawn(move || {
            let _core = take.recv().unwrap().attach();
            event.remove(id).unwrap();
            world.keep_trying(50);
            tell.send(census.alive()).unwrap();
        });
        assert_eq!(event.raise(&3), Ok(3));
        while !other.is_finished() {
            host::poll();
            thread::yield_now();
        }
    });
    assert!(Host::top().is_null());
    world.drain();
    assert_eq!(census.alive(), 0);
    let (_, now) = world.epochs().participants();
    assert_eq!(now, free - 1, "one more core has one, and every other is in the pool again");
}

/// Uses what the closure keeps alive.
fn citizen_of(_citizen: &common::Citizen) -> u32 {
    7
}

#[test]
fn who_was_preempted_and_then_blocks_gives_the_epoch_back() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Both", None).open();
    let id = event
        .install(Handler::trusted(|number: &u32| {
            host::preempt(|| assert!(!is_epoch_free(world)));
            host::block(|| assert!(is_epoch_free(world)));
            *number
        }))
        .unwrap();
    assert_eq!(event.raise(&3), Ok(3));
    event.remove(id).unwrap();
    world.drain();
}

#[test]
fn who_leaves_outside_of_borders_carries_nothing() {
    let world = World::new();
    let _core = world.attach();
    let free = world.epochs().participants().1;
    for why in [Departure::Preempted, Departure::Blocked] {
        host::leave(why, |core| {
            assert_eq!(world.epochs().participants().1, free);
            core
        });
    }
    assert!(is_epoch_free(world));
}

#[test]
fn who_cannot_leave_for_lack_of_participants_stays_as_it_was() {
    let world = World::with_participants(1);
    let _core = world.attach();
    let event = Plain::new("Test.Dry", None).open();
    let id = event
        .install(Handler::trusted(|number: &u32| {
            let top = Host::top();
            host::with_core(|core| {
                assert!(!core.dispatcher().may_preempt::<Host>());
                assert!(core.dispatcher().depart::<Host>(Departure::Preempted).is_none());
            });
            assert!(ptr::eq(top, Host::top()));
            host::block(|| ());
            *number
        }))
        .unwrap();
    assert_eq!(event.raise(&3), Ok(3));
    event.remove(id).unwrap();
    world.drain();
    assert!(world.epochs().participants().1 >= 1, "the housekeeper has filled it up");
}

#[test]
fn borders_nest_and_each_is_held_once() {
    let world = World::new();
    let _core = world.attach();
    let (outer, inner) = (Plain::new("Test.Outer", None).open(), Plain::new("Test.Inner", None).open());
    let domains = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let sleepers = || domains.each_ref().map(|domain| domain.sleepers());
    let round = Cell::new(0_u32);
    let round = SameThread(&round);
    let innermost = |number: &u32| {
        host::block(|| assert_eq!(sleepers(), [1, 1]));
        host::block(|| {
            assert_eq!(sleepers(), [1, 1], "held already");
            if round.get().get() == 0 {
                inner.remove_domain(2).unwrap();
                outer.remove_domain(1).unwrap();
            }
            assert!(is_epoch_free(world));
        });
        number + 1
    };
    let outermost = |number: &u32| {
        let first = inner.raise(number);
        assert_eq!(sleepers(), [1, 0], "out of the inner one, still in the outer");
        host::block(|| assert_eq!(sleepers(), [1, 0]));
        round.get().set(1);
        // The inner border's removal shows at once: its plan is gone.
        assert_eq!(inner.raise(number), Err(dispatcher::RaiseError::NoHandler));
        first.unwrap() * 10
    };
    install_foreign(&outer, &domains[0], &outermost).unwrap();
    install_foreign(&inner, &domains[1], &innermost).unwrap();
    assert_eq!(outer.raise(&3), Ok(40));
    assert_eq!(sleepers(), [0, 0]);
    world.drain();
    assert_eq!(domains.each_ref().map(Arc::strong_count), [1, 1]);
}

/// A reference that is used on the thread that made it alone.
struct SameThread<'a, T>(&'a T);

// SAFETY: every handler of these tests runs on the thread that installed it.
unsafe impl<T> Sync for SameThread<'_, T> {}

impl<T> SameThread<'_, T> {
    fn get(&self) -> &T {
        self.0
    }
}

#[test]
fn a_sleep_in_the_second_handler_is_counted_like_one_in_the_first() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Twice", None).open();
    let domains = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let sleepers = || domains.each_ref().map(|domain| domain.sleepers());
    let first = |number: &u32| {
        host::block(|| assert_eq!(sleepers(), [1, 0]));
        *number
    };
    let second = |number: &u32| {
        host::block(|| assert_eq!(sleepers(), [0, 1]));
        *number
    };
    install_foreign(&event, &domains[0], &first).unwrap();
    install_foreign(&event, &domains[1], &second).unwrap();
    assert_eq!(event.raise(&3), Ok(3));
    assert_eq!(sleepers(), [0, 0]);
    event.remove_domain(1).unwrap();
    event.remove_domain(2).unwrap();
    world.drain();
}

fn lagging(progress: Progress) -> u64 {
    match progress {
        Progress::Waiting { lagging } => lagging,
        Progress::Idle | Progress::Finished(_) => 0,
    }
}

#[test]
fn a_nudge_inside_marks_the_outermost_border_and_leaving_it_repins() {
    let world = World::new();
    let _core = world.attach();
    static INNER: Plain = Plain::new("Test.Inner", None).open();
    let outer = Plain::new("Test.Outer", None).open();
    let census = Census::default();
    let unrelated = Plain::new("Test.Unrelated", None).open();
    unrelated.remove(unrelated.install(counted(&census, 0)).unwrap()).unwrap();
    let deep = INNER
        .install(Handler::trusted(|number: &u32| {
            assert_eq!(elsewhere(|| lagging(world.keep())), 1, "this core lags");
            host::poll();
            *number
        }))
        .unwrap();
    let shallow = outer
        .install(Handler::trusted(|number: &u32| {
            let result = INNER.raise(number).unwrap();
            assert_eq!(elsewhere(|| lagging(world.keep())), 1, "it left an inner border only");
            result
        }))
        .unwrap();
    assert_eq!(outer.raise(&3), Ok(3));
    // Without a poll: leaving has repinned, or the housekeeper would still find the core lagging and
    // could not take the next step.
    assert_eq!(outer_round(world), Progress::Waiting { lagging: 1 }, "a new round, as the old is over");
    INNER.remove(deep).unwrap();
    outer.remove(shallow).unwrap();
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_core_that_raises_for_ever_delays_nobody() {
    let world = World::new();
    let stop = Arc::new(AtomicBool::new(false));
    let (event, census) = (Plain::new("Test.Loop", None).open(), Census::default());
    thread::scope(|scope| {
        let (event, census, stop) = (&event, &census, &stop);
        let attached = world.core();
        let id = {
            let _core = world.attach();
            // It polls inside only: never is the core seen outside of a border.
            event
                .install(Handler::trusted(|number: &u32| {
                    host::poll();
                    *number
                }))
                .unwrap()
        };
        scope.spawn(move || {
            let _core = attached.attach();
            while !stop.load(Ordering::Relaxed) {
                let _ = event.raise(&1);
            }
        });
        scope.spawn(move || {
            let _core = world.attach();
            let unrelated = Plain::new("Test.Unrelated", None).open();
            unrelated.remove(unrelated.install(counted(census, 0)).unwrap()).unwrap();
            world.drain();
            stop.store(true, Ordering::Relaxed);
            event.remove(id).unwrap();
        });
    });
    assert_eq!(census.alive(), 0);
    world.drain();
}

#[test]
fn a_procedure_is_entered_like_a_handler() {
    let world = World::new();
    let _core = world.attach();
    let domain = Arc::new(DomainState::new(1));
    let procedure = |number: &u32| {
        // SAFETY: the innermost open border of this strand.
        let border = unsafe { &*Host::top() };
        assert_eq!(border.domain().map(DomainState::id), Some(1));
        host::block(|| {
            assert_eq!(domain.sleepers(), 1);
            assert!(is_epoch_free(world));
        });
        number + 1
    };
    assert_eq!(enter_with(&domain, &procedure), Ok(21));
    assert_eq!(domain.sleepers(), 0);
    host::set_stack_left(LEAST_STACK - 1);
    assert_eq!(enter_with(&domain, &procedure), Err(EnterError::OutOfStack));
    host::set_stack_left(host::STACK);
    domain.close();
    assert_eq!(enter_with(&domain, &procedure), Err(EnterError::Closed));
    assert!(Host::top().is_null());
}

/// The domain is retired while a strand stands at its door: found open, but not entered yet. Either
/// the grace period waits for it, or it finds the domain closed.
#[test]
fn a_domain_does_not_go_between_the_look_and_the_step() {
    let world = World::new();
    let _core = world.attach();
    let domain = Arc::new(DomainState::new(1));
    let is_gone = Arc::new(AtomicBool::new(false));
    let procedure = |number: &u32| {
        assert!(!is_gone.load(Ordering::Relaxed), "its memory was given back");
        *number
    };
    let (retiring, going) = (domain.clone(), is_gone.clone());
    host::at(Place::StackLeft, move || {
        retiring.close();
        let action = move || going.store(retiring.sleepers() == 0, Ordering::Relaxed);
        world.retired().after_grace(action);
        for _ in 0..50 {
            elsewhere(|| world.keep());
            host::poll();
        }
    });
    let entered = enter_with(&domain, &procedure);
    assert!(matches!(entered, Ok(20) | Err(EnterError::Closed)));
    world.drain();
    assert!(is_gone.load(Ordering::Relaxed));
}
