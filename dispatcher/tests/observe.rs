//! Watching an event: what is counted, where, and that an event which nobody watches is as it was.

mod common;

use std::{sync::Arc, thread};

use common::{Parcel, foreign, install_all, install_raw, intrinsic, kind, remove_all, send, visit};
use dispatcher::{
    DomainState, Event, Handler, RaiseError,
    host::{self, Host, World},
    key,
    observe::{CLASSES, Observation, REMEMBERED},
    plan::PlanKind,
};

type Post = Event<Parcel, u32, Host>;

fn counts(observation: &Observation) -> Vec<(u64, u64)> {
    observation.seen().map(|core| (core.raises, core.unanswered)).collect()
}

#[test]
fn raises_are_counted_on_the_core_that_makes_them() {
    let world = World::new();
    let event = Event::<u32, u32, Host>::new("Test.Cores", Some(|number| *number)).open();
    let cores = [3, 0, 5].map(|raises| (world.core(), raises));
    let core = world.attach();
    let observation = event.any().observe::<Host>(4).unwrap();
    thread::scope(|scope| {
        for (core, raises) in cores {
            let event = &event;
            scope.spawn(move || {
                let _core = core.attach();
                (0..raises).for_each(|number| assert_eq!(event.raise(&number), Ok(number)));
            });
        }
    });
    assert_eq!(counts(&observation), [(3, 0), (0, 0), (5, 0), (0, 0)]);
    assert_eq!([0, 1, 2].map(|core| observation.traces(core, 0).count()), [3, 0, 5]);
    event.any().unobserve::<Host>().unwrap();
    // A core for which there are no counters: its raises are not seen, and that is all.
    let observation = event.any().observe::<Host>(3).unwrap();
    assert_eq!(event.raise(&8), Ok(8));
    assert_eq!(counts(&observation), [(0, 0); 3]);
    event.any().unobserve::<Host>().unwrap();
    drop(core);
    let _core = world.attach();
    world.drain();
}

#[test]
fn durations_are_counted_by_powers_of_two() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u64, u64, Host>::new("Test.Classes", None).open();
    event
        .install(Handler::trusted(|time_ns: &u64| {
            host::let_pass(*time_ns);
            0
        }))
        .unwrap();
    let observation = event.any().observe::<Host>(1).unwrap();
    // As long as that the time which really passes does not matter: the class below is never left.
    for exponent in [27, 29, 30, 31, 40] {
        let before = observation.seen().next().expect("there is a core").classes;
        event.raise(&(1 << exponent)).unwrap();
        let after = observation.seen().next().expect("there is a core").classes;
        let counted: Vec<_> = (0..CLASSES).filter(|class| after[*class] > before[*class]).collect();
        assert_eq!(counted, [exponent.min(CLASSES - 1)]);
    }
    event.any().unobserve::<Host>().unwrap();
    remove_all(&event);
    world.drain();
}

#[test]
fn the_last_raises_are_traced_with_time_and_outcome() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Traces", None).open();
    event.install(visit(1).key(key!(Parcel, port), 1)).unwrap();
    event
        .install(
            Handler::trusted(|_: &Parcel| {
                host::let_pass(1 << 40);
                2
            })
            .key(key!(Parcel, port), 2),
        )
        .unwrap();
    let observation = event.any().observe::<Host>(1).unwrap();
    assert_eq!([1, 2, 3].map(|port| send(&event, port).0), [Ok(1), Ok(2), Err(RaiseError::NoHandler)]);
    let traces: Vec<_> = observation.traces(0, 0).collect();
    assert_eq!(traces.iter().map(|trace| trace.number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(traces.iter().map(|trace| trace.is_answered).collect::<Vec<_>>(), [true, true, false]);
    assert!(traces[1].took_ns >= 1 << 40 && traces[0].took_ns < 1 << 40 && traces[2].took_ns < 1 << 40);
    assert!(traces[2].began_ns >= traces[1].began_ns + traces[1].took_ns);
    assert!(traces[0].began_ns + traces[0].took_ns <= traces[1].began_ns);
    assert_eq!(counts(&observation), [(3, 1)]);
    assert_eq!(observation.traces(0, 2).collect::<Vec<_>>(), traces[2..], "from there on");
    assert_eq!(observation.traces(0, 3).count(), 0);
    (0..REMEMBERED).for_each(|_| drop(send(&event, 1)));
    let numbers: Vec<_> = observation.traces(0, 0).map(|trace| trace.number).collect();
    assert_eq!(numbers, (3..3 + REMEMBERED as u64).collect::<Vec<_>>(), "the oldest are forgotten");
    event.any().unobserve::<Host>().unwrap();
    remove_all(&event);
    world.drain();
}

/// Whatever kind of plan it is: watched it brings the same, and afterwards it is what it was.
#[test]
fn watching_changes_nothing_but_that_it_is_seen() {
    let world = World::new();
    let _core = world.attach();
    let domain = Arc::new(DomainState::new(1));
    let guest = |parcel: &Parcel| {
        parcel.visitors.borrow_mut().push(9);
        9_u32
    };
    type Fill<'a> = &'a dyn Fn(&Post);
    let under = |number| visit(number).key(key!(Parcel, port), u64::from(number));
    let cases: [(PlanKind, bool, Fill<'_>); 9] = [
        (PlanKind::Intrinsic, true, &|_| ()),
        (PlanKind::Empty, false, &|_| ()),
        (PlanKind::Single, false, &|event| drop(install_all(event, [visit(1)]))),
        (PlanKind::Single, false, &|event| drop(install_all(event, [under(1)]))),
        (PlanKind::Single, false, &|event| assert!(install_raw(event, foreign(&domain, &guest)).is_ok())),
        (PlanKind::Few, true, &|event| drop(install_all(event, [visit(1), visit(2)]))),
        (PlanKind::Keyed, false, &|event| drop(install_all(event, [1, 2, 3].map(under)))),
        (PlanKind::Keyed, true, &|event| drop(install_all(event, [1, 2, 3].map(under)))),
        (PlanKind::General, true, &|event| {
            drop(install_all(event, [visit(1).when(|parcel| parcel.port > 1)]))
        }),
    ];
    for (wanted, has_intrinsic, fill) in cases {
        let event = Post::new("Test.Watch", has_intrinsic.then_some(intrinsic as fn(&Parcel) -> u32)).open();
        fill(&event);
        let raise_all = || [0, 1, 2, 3].map(|port| send(&event, port));
        let before = raise_all();
        assert_eq!((kind(&event), event.any().info::<Host>().is_observed), (wanted, false));
        let observation = event.any().observe::<Host>(1).unwrap();
        assert!(event.any().info::<Host>().is_observed);
        assert_eq!(raise_all(), before, "{wanted:?} when watched");
        let unanswered = before.iter().filter(|(result, _)| result.is_err()).count() as u64;
        assert_eq!(counts(&observation), [(4, unanswered)], "{wanted:?}");
        // What comes while it is watched is watched, too.
        let id = event.install(visit(7)).unwrap();
        assert_eq!((send(&event, 0).0, counts(&observation)[0].0), (Ok(7), 5));
        event.remove(id).unwrap();
        let fresh = event.any().observe::<Host>(1).unwrap();
        assert_eq!(
            (raise_all(), counts(&fresh), counts(&observation)[0].0),
            (before.clone(), vec![(4, unanswered)], 5)
        );
        event.any().unobserve::<Host>().unwrap();
        assert_eq!((kind(&event), event.any().info::<Host>().is_observed), (wanted, false));
        assert_eq!(raise_all(), before, "{wanted:?} afterwards");
        assert_eq!((counts(&fresh), counts(&observation)[0].0), (vec![(4, unanswered)], 5), "seen by nobody");
        remove_all(&event);
        world.drain();
        assert_eq!((Arc::strong_count(&fresh), Arc::strong_count(&observation)), (1, 1));
    }
    assert_eq!(Arc::strong_count(&domain), 1);
}
