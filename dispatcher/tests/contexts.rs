//! The table of `dispatcher::context`, row by row: what may block and raise where, and on whose strand it
//! runs. (What can be cut is in `cuts.rs` and `bounds.rs`.)

mod common;

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
    thread::{self, ThreadId},
};

use common::{foreign, foreign_guard, guarded, install_raw, remove_all};
use dispatcher::{
    BindingId, Caller, ContextError, DomainState, Event, Guard, Handler, InstallError, Merge, Order, Terms,
    Verdict,
    context::{might_raise, might_sleep},
    event::Overrun,
    host::{self, Host, World},
    plan::Aside,
};

type Plain = Event<u64, u64, Host>;

/// What may be done at some place.
type May = (Result<(), ContextError>, Result<(), ContextError>);

const ALL: May = (Ok(()), Ok(()));
const RAISE_ONLY: May = (Err(ContextError::Bounded), Ok(()));
const LOOK_ONLY: May = (Err(ContextError::Predicate), Err(ContextError::Predicate));

const fn aside(who: Aside) -> May {
    (Err(ContextError::Aside(who)), Err(ContextError::Aside(who)))
}

thread_local! {
    /// What was found, and where, of late.
    static FOUND: RefCell<Vec<(May, ThreadId)>> = const { RefCell::new(Vec::new()) };
}

/// Asks what may be done here.
fn ask() {
    let may = (might_sleep::<Host>(), might_raise::<Host>());
    // SAFETY: used at once.
    if let Some(caller) = unsafe { Caller::running::<Host>() } {
        assert_eq!(caller.may_raise(), may.1.is_ok(), "the short answer is the long one's");
    }
    FOUND.with_borrow_mut(|found| found.push((may, thread::current().id())));
}

/// What was found since somebody looked: all of it on this very thread.
fn found() -> Vec<May> {
    let found = FOUND.take();
    assert!(found.iter().all(|(_, thread)| *thread == thread::current().id()));
    found.into_iter().map(|(may, _)| may).collect()
}

fn asking() -> Handler<u64, u64> {
    Handler::trusted(|number: &u64| {
        ask();
        *number
    })
}

#[test]
fn outside_of_everything_all_is_allowed() {
    ask();
    assert_eq!(found(), [ALL]);
}

#[test]
fn intrinsic_and_default_handlers_may_do_what_the_raiser_may() {
    fn procedure(number: &u64) -> u64 {
        ask();
        *number
    }
    static EVENT: Plain = Plain::new("Test.Intrinsic", Some(procedure)).open();
    static DEFAULT: Plain = Plain::new("Test.Default", None).open().otherwise(procedure);
    let world = World::new();
    let _core = world.attach();
    EVENT.raise(&1).unwrap();
    DEFAULT.raise(&1).unwrap();
    assert_eq!(found(), [ALL; 2]);
    // As one of several.
    EVENT.install(Handler::trusted(|_| 0)).unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [ALL]);
    // For a raiser who may not, they may not.
    let outer = Plain::new("Test.Outer", None).open();
    let raising = |number: &u64| EVENT.raise(number).unwrap() + DEFAULT.raise(number).unwrap();
    outer.install(Handler::trusted(raising).bounded_ns(u64::MAX)).unwrap();
    outer.raise(&1).unwrap();
    assert_eq!(found(), [RAISE_ONLY; 2]);
    remove_all(&outer);
    outer.install(Handler::trusted(|_| 0).when(move |number| raising(number) > 0)).unwrap();
    outer.raise(&1).unwrap();
    assert_eq!(found(), [LOOK_ONLY; 2]);
    [&EVENT, &outer].into_iter().for_each(remove_all);
    world.drain();
}

#[test]
fn handlers_may_block_and_raise_if_the_raiser_may() {
    static EVENT: Plain = Plain::new("Test.Handlers", None).open();
    let world = World::new();
    let _core = world.attach();
    let domain = Arc::new(DomainState::new(1));
    let guest = |number: &u64| {
        ask();
        host::block(ask);
        ask();
        *number
    };
    let outer = Plain::new("Test.Outer", None).open();
    for _ in 0..2 {
        // Alone, and among others.
        install_raw(&EVENT, foreign(&domain, &guest)).unwrap();
        EVENT.raise(&1).unwrap();
        let found = found();
        assert!(found.len() >= 3 && found.iter().all(|may| *may == ALL));
    }
    EVENT.remove_domain(1).unwrap();
    EVENT.install(asking()).unwrap();
    EVENT
        .install(Handler::filter(|_: &mut u64| {
            ask();
            0
        }))
        .unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [ALL; 2]);
    outer
        .install(Handler::trusted(|number: &u64| EVENT.raise(number).unwrap()).bounded_ns(u64::MAX))
        .unwrap();
    outer.raise(&1).unwrap();
    assert_eq!(found(), [RAISE_ONLY; 2], "the bound around it counts");
    [&EVENT, &outer].into_iter().for_each(remove_all);
    world.drain();
}

/// A strand that is preempted inside says nothing about the one that runs meanwhile.
#[test]
fn another_strand_on_the_core_has_a_context_of_its_own() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Strands", None).open();
    event
        .install(
            Handler::trusted(|_| {
                host::preempt(ask);
                ask();
                0
            })
            .bounded_ns(u64::MAX),
        )
        .unwrap();
    event.raise(&1).unwrap();
    assert_eq!(found(), [ALL, RAISE_ONLY]);
    remove_all(&event);
    world.drain();
}

#[test]
fn a_bounded_handler_may_raise_but_not_block() {
    static EVENT: Plain = Plain::new("Test.Bounded", None).open();
    let world = World::new();
    let _core = world.attach();
    let domain = Arc::new(DomainState::new(1));
    let guest = |number: &u64| {
        ask();
        *number
    };
    install_raw(&EVENT, foreign(&domain, &guest).bounded_ns(u64::MAX)).unwrap();
    EVENT.install(asking().bounded_ns(u64::MAX)).unwrap();
    EVENT.install(asking()).unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [RAISE_ONLY, RAISE_ONLY, ALL], "the bound is over with the handler");
    // A bound of the event's.
    EVENT.claim().unwrap().set_bound_ns(Some(u64::MAX)).unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [RAISE_ONLY; 3]);
    let filter = Handler::filter(|_: &mut u64| {
        ask();
        0
    });
    remove_all(&EVENT);
    EVENT.install(filter).unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [RAISE_ONLY]);
    remove_all(&EVENT);
    world.drain();
}

#[test]
fn a_predicate_may_do_neither() {
    static EVENT: Plain = Plain::new("Test.Predicate", None).open();
    let world = World::new();
    let _core = world.attach();
    let owner = EVENT.claim().unwrap();
    let guard = || {
        Guard::predicate(|_: &u64| {
            ask();
            true
        })
    };
    let domain = Arc::new(DomainState::new(1));
    let foreign_predicate = |_: &u64| {
        ask();
        true
    };
    let guest = |number: &u64| {
        ask();
        *number
    };
    let handler = guarded(foreign(&domain, &guest), foreign_guard(&domain, &foreign_predicate));
    install_raw(&EVENT, handler).unwrap();
    let id = EVENT.install(asking().guarded(guard())).unwrap();
    owner.impose(id, guard()).unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [LOOK_ONLY, ALL, LOOK_ONLY, LOOK_ONLY, ALL]);
    // Nor what it calls, however deep; nor under a bound.
    remove_all(&EVENT);
    static INNER: Plain = Plain::new("Test.Inner", None).open();
    INNER.install(asking()).unwrap();
    EVENT.install(asking().when(|number| INNER.raise(number).is_ok()).bounded_ns(u64::MAX)).unwrap();
    EVENT.raise(&1).unwrap();
    assert_eq!(found(), [LOOK_ONLY, RAISE_ONLY]);
    [&EVENT, &INNER].into_iter().for_each(remove_all);
    world.drain();
}

#[test]
fn a_policy_may_do_neither() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Policy", Some(|_| 1)).open();
    let owner = event.claim().unwrap();
    let domain = Arc::new(DomainState::new(1));
    let guest = |number: &u64| {
        ask();
        *number
    };
    let last = asking().order(Order::Last);
    install_raw(&event, foreign(&domain, &guest)).unwrap();
    event.install(last).unwrap();
    let policy = aside(Aside::Policy);
    owner
        .set_merge(Merge::Fold(|one, other| {
            ask();
            one + other
        }))
        .unwrap();
    assert_eq!(event.raise(&3), Ok(7));
    assert_eq!(found(), [ALL, policy, ALL, policy], "the first result is folded with nothing");
    owner
        .set_merge(Merge::Own(|so_far, next, _| {
            ask();
            so_far.unwrap_or_default() + next
        }))
        .unwrap();
    assert_eq!(event.raise(&3), Ok(7));
    assert_eq!(found(), [policy, ALL, policy, ALL, policy]);
    // Afterwards the raiser may what it could.
    ask();
    assert_eq!(found(), [ALL]);
    remove_all(&event);
    world.drain();
}

/// What fails in a policy is nobody's handler's fault: the border names no domain there.
#[test]
fn a_policy_is_not_taken_for_the_handler_before_it() {
    use dispatcher::Processor;
    fn whose() -> Option<u32> {
        // SAFETY: the innermost border of this strand, if there is one.
        let border = unsafe { Host::top().as_ref() };
        border.and_then(|border| border.domain()).map(DomainState::id)
    }
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Whose", None).open();
    event
        .claim()
        .unwrap()
        .set_merge(Merge::Own(|_, next, _| {
            assert_eq!((next, whose()), (5, None));
            next
        }))
        .unwrap();
    let domain = Arc::new(DomainState::new(5));
    let guest = |_: &u64| u64::from(whose().unwrap_or_default());
    install_raw(&event, foreign(&domain, &guest)).unwrap();
    assert_eq!(event.raise(&0), Ok(5));
    remove_all(&event);
    world.drain();
}

#[test]
fn an_authorizer_may_do_neither_and_runs_on_the_strand_that_installs() {
    static EVENT: Plain = Plain::new("Test.Authorizer", Some(|_| 1));
    let world = World::new();
    let _core = world.attach();
    EVENT.claim().unwrap().authorize(|_| {
        ask();
        Verdict::Allow(Terms::free())
    });
    let authorizer = aside(Aside::Authorizer);
    let id = EVENT.install(Handler::trusted(|_| 0)).unwrap();
    EVENT.replace(id, Handler::trusted(|_| 0)).unwrap();
    dispatcher::Transaction::new().install(&EVENT, Handler::trusted(|_| 0)).commit().unwrap();
    assert_eq!(found(), [authorizer; 3]);
    ask();
    assert_eq!(found(), [ALL]);
    // From inside a handler, whose epoch is held all the while.
    let outer = Plain::new("Test.Outer", None).open();
    outer
        .install(Handler::trusted(|_| {
            EVENT.install(Handler::trusted(|_| 0)).unwrap();
            ask();
            0
        }))
        .unwrap();
    outer.raise(&1).unwrap();
    assert_eq!(found(), [authorizer, ALL]);
    [&EVENT, &outer].into_iter().for_each(remove_all);
    world.drain();
}

/// With an authorizer above it a handler is still inside: what it runs in does not go.
#[test]
fn an_authorizer_above_a_handler_does_not_let_its_epoch_go() {
    static EVENT: Plain = Plain::new("Test.Above", None);
    static WORLD: OnceLock<&'static World> = OnceLock::new();
    static CENSUS: OnceLock<common::Census> = OnceLock::new();
    let world = *WORLD.get_or_init(World::new);
    let _core = world.attach();
    let census = CENSUS.get_or_init(common::Census::default);
    let outer = Arc::new(Plain::new("Test.Below", None).open());
    let removing = outer.clone();
    EVENT.claim().unwrap().authorize(move |_| {
        remove_all(&removing);
        // The housekeeper nudges this core, which must not repin.
        for _ in 0..50 {
            common::elsewhere(|| WORLD.get().expect("it was made").keep());
            host::poll();
        }
        assert_eq!(CENSUS.get().expect("it was made").alive(), 1, "somebody is in it");
        Verdict::Deny("nobody")
    });
    let citizen = census.citizen();
    outer
        .install(Handler::trusted(move |_| {
            let _here = &citizen;
            u64::from(EVENT.install(Handler::trusted(|_| 0)).is_err())
        }))
        .unwrap();
    assert_eq!(outer.raise(&0), Ok(1));
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_report_may_do_neither() {
    fn report(_: Overrun) {
        ask();
    }
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Report", None).open();
    event.claim().unwrap().on_overrun(Some(report)).unwrap();
    let late = || {
        Handler::trusted(|number: &u64| {
            host::let_pass(1000);
            *number
        })
        .bounded_ns(1)
    };
    event.install(late()).unwrap();
    event.install(asking()).unwrap();
    event.raise(&1).unwrap();
    assert_eq!(found(), [aside(Aside::Report), ALL]);
    remove_all(&event);
    world.drain();
}

/// Asks when it is dropped.
struct LastWill;

impl Drop for LastWill {
    fn drop(&mut self) {
        ask();
    }
}

#[test]
fn a_closures_destructor_may_do_neither_and_runs_with_the_housekeeper() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Destructor", None).open();
    let with_will = || {
        let will = LastWill;
        Handler::trusted(move |_: &u64| {
            let _here = &will;
            0
        })
    };
    let id = event.install(with_will()).unwrap();
    let id = event.replace(id, with_will()).unwrap();
    event.remove(id).unwrap();
    assert_eq!(found(), [], "nobody destroys but the housekeeper");
    world.drain();
    assert_eq!(found(), [aside(Aside::Destructor); 2]);
    ask();
    assert_eq!(found(), [ALL]);
}

/// Allocating is allowed to whoever runs on a strand; installing is what most needs it.
#[test]
fn handlers_and_authorizers_may_allocate() {
    static EVENT: Plain = Plain::new("Test.Allocate", None).open();
    static OTHER: Plain = Plain::new("Test.Other", None).open();
    let world = World::new();
    let _core = world.attach();
    EVENT
        .install(
            Handler::trusted(|number: &u64| {
                let id: BindingId = OTHER.install(Handler::trusted(|_| 0)).unwrap();
                OTHER.remove(id).unwrap();
                vec![*number; 100].iter().sum()
            })
            .bounded_ns(u64::MAX),
        )
        .unwrap();
    assert_eq!(EVENT.raise(&2), Ok(200));
    remove_all(&EVENT);
    world.drain();
    assert_eq!(OTHER.remove(BindingId::from_number(1)), Err(InstallError::Unknown));
}
