//! Time bounds: who runs longer than it may is counted and reported, and cut if it is a domain's.

mod common;

use std::{cell::RefCell, sync::Arc};

use common::{foreign, ids, install_raw, kind, remove_all};
use dispatcher::{
    ContextError, DomainState, Event, Handler, RaiseError, bound,
    event::Overrun,
    handler::RawHandler,
    host::{self, Host, World},
    might_sleep,
    plan::PlanKind,
    post::{OnFull, Place, Posting},
};

type Plain = Event<u64, u64, Host>;

/// So long that no test takes it really.
const HOUR_NS: u64 = 3_600_000_000_000;

thread_local! {
    static REPORTS: RefCell<Vec<Overrun>> = const { RefCell::new(Vec::new()) };
}

fn report(overrun: Overrun) {
    REPORTS.with_borrow_mut(|reports| reports.push(overrun));
}

fn reports() -> Vec<Overrun> {
    REPORTS.take()
}

/// A handler that takes as many nanoseconds as it is told, and finds out whether it is late.
fn taking() -> Handler<u64, u64> {
    Handler::trusted(|time_ns: &u64| {
        assert!(bound::is_bounded::<Host>());
        assert!(!bound::is_late::<Host>());
        host::let_pass(*time_ns);
        u64::from(bound::is_late::<Host>())
    })
}

fn overruns(event: &Plain) -> Vec<u64> {
    event.any().info::<Host>().bindings.iter().map(|binding| binding.overruns).collect()
}

#[test]
fn a_trusted_handler_that_takes_too_long_is_counted_and_reported() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Overrun", None).open();
    let id = event.install(taking().bounded_ns(2 * HOUR_NS)).unwrap();
    assert_eq!(kind(&event), PlanKind::General);
    assert_eq!([event.raise(&HOUR_NS), event.raise(&(3 * HOUR_NS))], [Ok(0), Ok(1)], "it runs to its end");
    assert_eq!(
        (overruns(&event), reports()),
        (vec![1], vec![]),
        "counted even if nobody wants to hear of it"
    );
    let owner = event.claim().unwrap();
    owner.on_overrun(Some(report)).unwrap();
    assert_eq!([HOUR_NS, 3 * HOUR_NS].map(|time_ns| event.raise(&time_ns)), [Ok(0), Ok(1)]);
    assert_eq!(
        (overruns(&event), reports()),
        (vec![2], vec![Overrun { binding: id, domain: None, was_cut: false }])
    );
    owner.on_overrun(None).unwrap();
    assert_eq!(event.raise(&(3 * HOUR_NS)), Ok(1));
    assert_eq!((overruns(&event), reports()), (vec![3], vec![]));
    assert!(!bound::is_bounded::<Host>() && !bound::is_late::<Host>());
    remove_all(&event);
    world.drain();
}

#[test]
fn the_event_bounds_whatever_runs_on_it() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.EventBound", Some(|_| 5)).open();
    let owner = event.claim().unwrap();
    owner.on_overrun(Some(report)).unwrap();
    let pass = |time_ns: &u64| {
        host::let_pass(*time_ns);
        6
    };
    event.install(Handler::trusted(pass)).unwrap();
    event.install(Handler::trusted(pass).bounded_ns(HOUR_NS)).unwrap();
    let late = |time_ns: u64| {
        assert_eq!(event.raise(&time_ns), Ok(6));
        reports().iter().map(|overrun| overrun.binding).collect::<Vec<_>>()
    };
    let both = ids(&event)[1..].to_vec();
    assert_eq!(late(2 * HOUR_NS), both[1..], "the one has no bound");
    owner.set_bound_ns(Some(3 * HOUR_NS)).unwrap();
    assert_eq!(late(2 * HOUR_NS), both[1..], "the tighter of two");
    assert_eq!(late(4 * HOUR_NS), both);
    owner.set_bound_ns(Some(HOUR_NS / 4)).unwrap();
    assert_eq!(late(HOUR_NS / 2), both);
    owner.set_bound_ns(None).unwrap();
    assert_eq!(late(HOUR_NS / 2), []);
    assert_eq!(kind(&event), PlanKind::General);
    remove_all(&event);
    world.drain();
}

/// And those that are run by others, whenever they were installed.
#[test]
fn the_event_bounds_asynchronous_handlers_too() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.PostedBound", None).open();
    let owner = event.claim().unwrap();
    owner.on_overrun(Some(report)).unwrap();
    let posted = || {
        let posting = Posting { place: Place::Here, capacity: 4, on_full: OnFull::Refuse };
        let passing = Handler::trusted(|time_ns: &u64| {
            let wanted = if bound::is_bounded::<Host>() { Err(ContextError::Bounded) } else { Ok(()) };
            assert_eq!(might_sleep::<Host>(), wanted);
            host::let_pass(*time_ns);
            0
        });
        passing.posted(posting)
    };
    let deliver = |time_ns: u64| {
        assert_eq!(event.raise(&time_ns), Err(RaiseError::Posted));
        host::deliver_posts();
        reports()
    };
    let late = |binding| Overrun { binding, domain: None, was_cut: false };
    let first = event.install(posted()).unwrap();
    assert_eq!(deliver(2 * HOUR_NS), [], "it has no bound");
    owner.set_bound_ns(Some(3 * HOUR_NS)).unwrap();
    assert_eq!(deliver(2 * HOUR_NS), []);
    assert_eq!(deliver(4 * HOUR_NS), [late(first)]);
    let second = event.install(posted().bounded_ns(HOUR_NS)).unwrap();
    assert_eq!(deliver(2 * HOUR_NS), [late(second)], "the tighter of two");
    assert_eq!(deliver(4 * HOUR_NS), [late(first), late(second)]);
    owner.on_overrun(None).unwrap();
    assert_eq!((deliver(4 * HOUR_NS), overruns(&event)), (vec![], vec![3, 3]), "counted all the same");
    owner.set_bound_ns(None).unwrap();
    assert_eq!((deliver(4 * HOUR_NS), overruns(&event)), (vec![], vec![3, 4]));
    remove_all(&event);
    world.drain();
}

/// Each handler has its bound for itself: that the raise takes long is nobody's fault.
#[test]
fn each_handler_has_all_of_its_bound() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Each", None).open();
    (0..3).for_each(|_| {
        event.install(taking().bounded_ns(2 * HOUR_NS)).unwrap();
    });
    assert_eq!(event.raise(&HOUR_NS), Ok(0));
    assert_eq!(overruns(&event), [0; 3]);
    assert_eq!(event.raise(&(2 * HOUR_NS)), Ok(1));
    assert_eq!(overruns(&event), [1; 3]);
    // And so has each raise.
    assert_eq!(event.raise(&HOUR_NS), Ok(0));
    remove_all(&event);
    world.drain();
}

#[test]
fn what_runs_without_a_bound_is_never_late() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Unbounded", None).open();
    event
        .install(Handler::trusted(|time_ns: &u64| {
            host::let_pass(*time_ns);
            assert!(!bound::is_bounded::<Host>() && !bound::is_late::<Host>());
            1
        }))
        .unwrap();
    // Behind a bounded one the bound is over.
    assert_eq!(event.raise(&HOUR_NS), Ok(1));
    event.install(taking().bounded_ns(HOUR_NS / 2).order(dispatcher::Order::First)).unwrap();
    assert_eq!(event.raise(&HOUR_NS), Ok(1));
    remove_all(&event);
    world.drain();
}

#[test]
fn the_deadline_stands_still_while_the_strand_is_preempted() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Still", None).open();
    event
        .install(
            Handler::trusted(|_: &u64| {
                host::let_pass(HOUR_NS);
                for _ in 0..3 {
                    host::preempt(|| host::let_pass(10 * HOUR_NS));
                    assert!(!bound::is_late::<Host>(), "others have had that time");
                }
                host::let_pass(HOUR_NS / 2);
                assert!(!bound::is_late::<Host>());
                host::let_pass(HOUR_NS);
                assert!(bound::is_late::<Host>(), "but its own time counts");
                1
            })
            .bounded_ns(2 * HOUR_NS),
        )
        .unwrap();
    assert_eq!((event.raise(&0), overruns(&event)), (Ok(1), vec![1]));
    remove_all(&event);
    world.drain();
}

/// While a handler with a bound raises, what it raises takes of its time; what runs innermost decides
/// on who is late.
#[test]
fn bounds_nest() {
    static INNER: Plain = Plain::new("Test.InnerBound", None).open();
    let world = World::new();
    let _core = world.attach();
    let outer = Plain::new("Test.OuterBound", None).open();
    INNER
        .install(
            Handler::trusted(|time_ns: &u64| {
                host::preempt(|| host::let_pass(50 * HOUR_NS));
                host::let_pass(*time_ns);
                u64::from(bound::is_late::<Host>())
            })
            .bounded_ns(2 * HOUR_NS),
        )
        .unwrap();
    outer
        .install(
            Handler::trusted(|time_ns: &u64| {
                let inner = INNER.raise(time_ns).unwrap();
                inner * 10 + u64::from(bound::is_late::<Host>())
            })
            .bounded_ns(4 * HOUR_NS),
        )
        .unwrap();
    let cases = [(1, 0), (3, 10), (5, 11)];
    for (hours, wanted) in cases {
        assert_eq!(outer.raise(&(hours * HOUR_NS)), Ok(wanted), "{hours} hours");
    }
    assert_eq!((overruns(&INNER), overruns(&outer)), (vec![2], vec![1]));
    // Inside, nothing has a bound; around it, something has.
    remove_all(&INNER);
    INNER
        .install(Handler::trusted(|time_ns: &u64| {
            host::let_pass(*time_ns);
            assert!(bound::is_bounded::<Host>() && !bound::is_late::<Host>());
            0
        }))
        .unwrap();
    assert_eq!(outer.raise(&(5 * HOUR_NS)), Ok(1), "it is late as soon as it runs itself again");
    remove_all(&INNER);
    remove_all(&outer);
    world.drain();
}

#[test]
fn a_bound_can_be_as_long_as_can_be_said() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Long", None).open();
    event.install(taking().bounded_ns(u64::MAX)).unwrap();
    assert_eq!(event.raise(&(1000 * HOUR_NS)), Ok(0));
    remove_all(&event);
    world.drain();
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod cut {
    use super::*;
    use dispatcher::{EnterError, Processor, landing};

    use crate::common::enter_with;

    /// What a tick does to foreign code that it finds too late.
    fn tick() {
        if bound::is_late::<Host>() {
            // SAFETY: the innermost border, with a landing in progress; no frame above holds anything.
            unsafe { landing::cut(Host::top()) }
        }
    }

    /// Runs for hours, if nobody stops it.
    fn looping(hours: &u64) -> u64 {
        for _ in 0..*hours {
            host::let_pass(HOUR_NS);
            tick();
        }
        *hours
    }

    fn bounded(domain: &Arc<DomainState>, bound_ns: u64) -> RawHandler {
        foreign(domain, &looping).bounded_ns(bound_ns)
    }

    #[test]
    fn a_foreign_handler_that_takes_too_long_is_cut_counted_and_reported() {
        let world = World::new();
        let _core = world.attach();
        let event = Plain::new("Test.CutLate", None).open();
        event.claim().unwrap().on_overrun(Some(report)).unwrap();
        let domain = Arc::new(DomainState::new(4));
        let id = install_raw(&event, bounded(&domain, HOUR_NS * 5 / 2)).unwrap();
        assert_eq!((event.raise(&2), reports()), (Ok(2), vec![]));
        assert_eq!(event.raise(&1_000_000), Err(RaiseError::Cut));
        assert_eq!(reports(), [Overrun { binding: id, domain: Some(4), was_cut: true }]);
        assert_eq!((event.raise(&2), overruns(&event)), (Ok(2), vec![1]), "each time anew");
        assert!(Host::top().is_null());
        // Among others the cut one is left out.
        event.install(Handler::trusted(|_| 77)).unwrap();
        assert_eq!((event.raise(&9), reports().len()), (Ok(77), 1));
        remove_all(&event);
        world.drain();
        assert_eq!(Arc::strong_count(&domain), 1);
    }

    /// One that fails for another reason in good time has not overrun; nor has one that only looks.
    #[test]
    fn what_was_cut_in_good_time_is_no_overrun() {
        let world = World::new();
        let _core = world.attach();
        let event = Plain::new("Test.CutEarly", None).open();
        event.claim().unwrap().on_overrun(Some(report)).unwrap();
        let domain = Arc::new(DomainState::new(4));
        let failing = |_: &u64| -> u64 {
            // SAFETY: as in `tick`.
            unsafe { landing::cut(Host::top()) }
        };
        install_raw(&event, foreign(&domain, &failing).bounded_ns(HOUR_NS)).unwrap();
        assert_eq!(event.raise(&0), Err(RaiseError::Cut));
        assert_eq!((overruns(&event), reports()), (vec![0], vec![]));
        // The next one is late by itself: the bound of the one that was cut is over.
        install_raw(&event, bounded(&domain, 3 * HOUR_NS / 2)).unwrap();
        assert_eq!((event.raise(&1), event.raise(&2)), (Ok(1), Err(RaiseError::Cut)));
        assert_eq!(overruns(&event), [0, 1]);
        reports();
        remove_all(&event);
        world.drain();
    }

    /// The inner one is late by its own bound; the outer one by that what it raised took its time, which
    /// shows as soon as it runs itself.
    #[test]
    fn an_outer_handler_is_cut_when_what_it_raised_took_its_time() {
        static INNER: Plain = Plain::new("Test.InnerCut", None).open();
        let world = World::new();
        let _core = world.attach();
        let outer = Plain::new("Test.OuterCut", None).open();
        let domains = [1, 2].map(|id| Arc::new(DomainState::new(id)));
        install_raw(&INNER, bounded(&domains[0], HOUR_NS * 5 / 2)).unwrap();
        let raising = |hours: &u64| {
            let inner = INNER.raise(hours);
            tick();
            inner.unwrap_or(100)
        };
        install_raw(&outer, foreign(&domains[1], &raising).bounded_ns(HOUR_NS * 7 / 2)).unwrap();
        // In time; the inner one cut after three hours; then the outer one because of two such.
        assert_eq!([outer.raise(&2), outer.raise(&9)], [Ok(2), Ok(100)]);
        assert_eq!((overruns(&INNER), overruns(&outer)), (vec![1], vec![0]));
        install_raw(&INNER, bounded(&domains[0], HOUR_NS * 5 / 2)).unwrap();
        assert_eq!(outer.raise(&9), Err(RaiseError::Cut));
        assert_eq!((overruns(&INNER), overruns(&outer)), (vec![2, 1], vec![1]));
        assert!(Host::top().is_null());
        remove_all(&INNER);
        remove_all(&outer);
        world.drain();
    }

    /// Outside of events nothing is bounded, but a bound around it is not forgotten.
    #[test]
    fn a_procedure_has_no_bound_of_its_own() {
        let world = World::new();
        let _core = world.attach();
        let domain = Arc::new(DomainState::new(1));
        let procedure = |_: &u32| {
            host::let_pass(HOUR_NS);
            tick();
            u32::from(bound::is_bounded::<Host>())
        };
        assert_eq!(enter_with(&domain, &procedure), Ok::<u32, EnterError>(0));
        let event = Plain::new("Test.Around", None).open();
        let handler = |_: &u64| {
            let inside = enter_with(&domain, &procedure);
            u64::from(inside == Ok(1))
        };
        install_raw(&event, foreign(&domain, &handler).bounded_ns(HOUR_NS / 2)).unwrap();
        assert_eq!(
            (event.raise(&0), overruns(&event)),
            (Ok(1), vec![1]),
            "it was not looked at before its end"
        );
        remove_all(&event);
        world.drain();
    }

    /// Two strands of one core in turns: each has a time of its own.
    #[test]
    fn who_is_preempted_is_not_late_for_what_others_do() {
        let world = World::new();
        let _core = world.attach();
        let event = Plain::new("Test.Turns", None).open();
        let domain = Arc::new(DomainState::new(1));
        let handler = |depth: &u64| {
            if *depth > 0 {
                host::preempt(|| assert_eq!(event.raise(&(depth - 1)), Err(RaiseError::Cut)));
            }
            tick();
            looping(&10)
        };
        install_raw(&event, foreign(&domain, &handler).bounded_ns(HOUR_NS * 3 / 2)).unwrap();
        assert_eq!((event.raise(&3), overruns(&event)), (Err(RaiseError::Cut), vec![4]));
        remove_all(&event);
        world.drain();
    }
}
