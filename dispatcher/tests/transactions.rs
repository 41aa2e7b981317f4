//! Several changes of several events: all or nothing.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use common::{Census, counted, foreign, guarded, ids, many, remove_all};
use dispatcher::{
    BindingId, DomainState, Event, Handler, InstallError, Merge, Order, RaiseError, RawKey, Transaction,
    Verdict,
    event::{Denial, Failure},
    guard::RawGuard,
    host::{self, Host, World},
};

type Plain = Event<u32, u32, Host>;

const fn sum(name: &'static str) -> Plain {
    Plain::new(name, None).open().merging(Merge::Fold(|one, other| one + other))
}

#[test]
fn all_changes_of_several_events_are_made() {
    let world = World::new();
    let _core = world.attach();
    let census = Census::default();
    let (one, two, three) = (sum("Test.One"), sum("Test.Two"), sum("Test.Three"));
    let first = one.install(counted(&census, 1)).unwrap();
    let second = two.install(counted(&census, 2)).unwrap();
    let new = Transaction::new()
        .install(&three, counted(&census, 30))
        .remove(&one, first)
        .replace(&two, second, counted(&census, 20))
        .install(&one, counted(&census, 10))
        .install(&three, counted(&census, 3))
        .commit()
        .unwrap();
    let wanted = [&ids(&three)[..1], &ids(&two), &ids(&one), &ids(&three)[1..]].concat();
    assert_eq!(new, wanted, "the ids in the order of the steps");
    assert_eq!([&one, &two, &three].map(|event| event.raise(&0)), [Ok(10), Ok(20), Ok(33)]);
    world.drain();
    assert_eq!(census.alive(), 4, "what was removed and replaced is gone");
    [&one, &two, &three].into_iter().for_each(remove_all);
    world.drain();
    assert_eq!(census.alive(), 0);
    let none: Transaction<'_, Host> = Transaction::new();
    assert_eq!(none.commit(), Ok(vec![]));
}

#[test]
fn an_event_is_changed_by_each_step_in_turn() {
    let world = World::new();
    let _core = world.attach();
    let event = sum("Test.Turn");
    let old = event.install(Handler::trusted(|_| 1)).unwrap();
    let failure = Transaction::new().remove(&event, old).remove(&event, old).commit();
    assert_eq!(failure, Err(Failure { step: 1, why: InstallError::Unknown }));
    let behind = Handler::trusted(|_| 2).order(Order::After(old));
    let failure = Transaction::new().remove(&event, old).install(&event, behind).commit();
    assert_eq!(failure, Err(Failure { step: 1, why: InstallError::NoNeighbour(old) }));
    assert_eq!(event.raise(&0), Ok(1));
    // The other way round the order lapses.
    let behind = Handler::trusted(|_| 2).order(Order::After(old));
    Transaction::new().install(&event, behind).remove(&event, old).commit().unwrap();
    assert_eq!(event.raise(&0), Ok(2));
    // Room is made before it is needed.
    event.claim().unwrap().set_most_handlers(1).unwrap();
    let [only] = ids(&event)[..] else { panic!("one is left") };
    let failure = Transaction::new().install(&event, Handler::trusted(|_| 3)).remove(&event, only).commit();
    assert_eq!(failure, Err(Failure { step: 0, why: InstallError::TooMany }));
    Transaction::new().remove(&event, only).install(&event, Handler::trusted(|_| 3)).commit().unwrap();
    assert_eq!(event.raise(&0), Ok(3));
    remove_all(&event);
    world.drain();
}

/// Each way to fail, at each place among steps that would do: nothing is changed, nothing is left.
#[test]
fn whatever_fails_at_whatever_step_nothing_is_changed() {
    const GOOD: usize = 3;
    type Fail<'a> = &'a dyn for<'t> Fn(Transaction<'t, Host>, &'t Plain) -> Transaction<'t, Host>;
    let world = World::new();
    let _core = world.attach();
    let census = Census::default();
    let events = ["Test.A", "Test.B", "Test.C"].map(sum);
    let installed = events.each_ref().map(|event| event.install(counted(&census, 1)).unwrap());
    // The one that fails has a handler, and a neighbour who is first.
    let bad = sum("Test.Bad");
    let first = bad.install(counted(&census, 5).order(Order::First)).unwrap();
    let strange = sum("Test.Strange");
    let stranger = strange.install(counted(&census, 6)).unwrap();
    let gone = bad.install(counted(&census, 5)).unwrap();
    bad.remove(gone).unwrap();
    world.drain();
    let closed = Arc::new(DomainState::new(1));
    closed.close();
    let full = Arc::new(DomainState::new(2).with_most_handlers(0));
    let roomy = Arc::new(DomainState::new(3));
    let handler = |_: &u32| 7_u32;
    let denied = Plain::new("Test.Denied", None);
    let ruled = sum("Test.Ruled");
    ruled.claim().unwrap().authorize(|_| Verdict::Deny("nobody"));
    let limited = sum("Test.Limited");
    limited.claim().unwrap().set_most_handlers(0).unwrap();
    let make = || counted(&census, 99);
    let cases: [(&str, InstallError, Fail<'_>, &Plain); 12] = [
        ("too many", InstallError::TooMany, &|all, event| all.install(event, make()), &limited),
        ("unasked", InstallError::Denied(Denial::Unasked), &|all, event| all.install(event, make()), &denied),
        (
            "rule",
            InstallError::Denied(Denial::Rule("nobody")),
            &|all, event| all.install(event, make()),
            &ruled,
        ),
        (
            "replaced unasked",
            InstallError::Denied(Denial::Unasked),
            &|all, event| all.replace(event, first, make()),
            &denied,
        ),
        ("removed before", InstallError::Unknown, &|all, event| all.remove(event, gone), &bad),
        ("of another event", InstallError::Unknown, &|all, event| all.remove(event, stranger), &bad),
        ("replaced", InstallError::Unknown, &|all, event| all.replace(event, gone, make()), &bad),
        (
            "no neighbour",
            InstallError::NoNeighbour(stranger),
            &|all, event| all.install(event, make().order(Order::After(stranger))),
            &bad,
        ),
        (
            "circle",
            InstallError::Cycle,
            &|all, event| all.install(event, make().order(Order::Last).order(Order::Before(first))),
            &bad,
        ),
        (
            "closed",
            InstallError::Closed,
            &|all, event| {
                // SAFETY: the handler fits the event.
                unsafe { all.install_raw(event, foreign(&closed, &handler)) }
            },
            &bad,
        ),
        (
            "quota",
            InstallError::Quota,
            &|all, event| {
                // SAFETY: as above.
                unsafe { all.install_raw(event, foreign(&full, &handler)) }
            },
            &bad,
        ),
        (
            "bad key",
            InstallError::BadKey,
            &|all, event| {
                let key = RawKey { offset: 1, width: 4 };
                let handler = guarded(foreign(&roomy, &handler), RawGuard::key(key, 0));
                // SAFETY: as above.
                unsafe { all.install_raw(event, handler) }
            },
            &bad,
        ),
    ];
    let census_before = census.alive();
    for (name, why, fail, event) in cases {
        for place in 0..=GOOD {
            let mut all = Transaction::new();
            for step in 0..=GOOD {
                if step == place {
                    all = fail(all, event);
                }
                all = match step {
                    // SAFETY: as above.
                    0 => unsafe { all.install_raw(&events[0], foreign(&roomy, &handler)) },
                    1 => all.remove(&events[1], installed[1]),
                    2 => all.replace(&events[2], installed[2], make()),
                    _ => continue,
                };
            }
            assert_eq!(all.commit(), Err(Failure { step: place, why }), "{name} at {place}");
            assert_eq!(census.alive(), census_before, "{name}: what came with it is gone at once");
            assert_eq!(events.each_ref().map(ids), installed.map(|id| vec![id]), "{name} at {place}");
            assert_eq!((ids(&bad), ids(&limited)), (vec![first], vec![]), "{name} at {place}");
            assert_eq!(events.each_ref().map(|event| event.raise(&0)), [Ok(1); 3], "{name} at {place}");
            let counts =
                [&closed, &full, &roomy].map(|domain| (domain.handlers(), Arc::strong_count(domain)));
            assert_eq!(counts, [(0, 1); 3], "{name} at {place}");
        }
    }
    assert_eq!(world.drain(), 0, "no plan was even replaced");
    events.iter().chain([&bad, &strange]).for_each(remove_all);
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn dropping_a_transaction_changes_nothing() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (sum("Test.Dropped"), Census::default());
    drop(Transaction::new().install(&event, counted(&census, 1)));
    assert_eq!((census.alive(), event.raise(&0)), (0, Err(RaiseError::NoHandler)));
}

/// A circle of which each half alone would do is found when both stand.
#[test]
fn a_circle_is_found_across_steps() {
    let world = World::new();
    let _core = world.attach();
    let (event, other) = (sum("Test.Across"), sum("Test.Besides"));
    let [one, two] = [1, 2].map(|result| event.install(Handler::trusted(move |_| result)).unwrap());
    let failure = Transaction::new()
        .replace(&event, one, Handler::trusted(|_| 1).order(Order::After(two)))
        .install(&other, Handler::trusted(|_| 3))
        .replace(&event, two, Handler::trusted(|_| 2).order(Order::Before(one)))
        .commit();
    let neighbour_was_replaced = Failure { step: 2, why: InstallError::NoNeighbour(one) };
    assert_eq!(failure, Err(neighbour_was_replaced));
    let three = event.install(Handler::trusted(|_| 3).order(Order::Before(one))).unwrap();
    let failure = Transaction::new()
        .replace(&event, two, Handler::trusted(|_| 2).order(Order::Before(three)))
        .replace(&event, one, Handler::trusted(|_| 1).order(Order::Before(three)))
        .install(&other, Handler::trusted(|_| 3))
        .commit();
    assert_eq!(failure, Err(Failure { step: 1, why: InstallError::Cycle }), "the last step of that event");
    assert_eq!((ids(&event), ids(&other)), (vec![two, three, one], vec![]));
    remove_all(&event);
    world.drain();
}

/// Two threads, the same events in opposite orders: neither waits for the other for ever.
#[test]
fn transactions_in_opposite_orders_do_not_wait_for_each_other() {
    const ROUNDS: usize = many(500);
    static EVENTS: [Plain; 3] = [sum("Test.X"), sum("Test.Y"), sum("Test.Z")];
    let world = World::new();
    let done = Arc::new(AtomicUsize::new(0));
    let work = |order: [usize; 3]| {
        let done = done.clone();
        move || {
            let _core = world.attach();
            for _ in 0..ROUNDS {
                let all = order
                    .iter()
                    .fold(Transaction::new(), |all, at| all.install(&EVENTS[*at], Handler::trusted(|_| 1)));
                let ids = all.commit().unwrap();
                let all = order.iter().zip(ids).rev();
                all.fold(Transaction::new(), |all, (at, id)| all.remove(&EVENTS[*at], id)).commit().unwrap();
                host::poll();
            }
            done.fetch_add(1, Ordering::Release);
        }
    };
    // Not scoped: threads that wait for each other could never be joined.
    let threads = [[0, 1, 2], [2, 1, 0]].map(|order| thread::spawn(work(order)));
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(100);
    while done.load(Ordering::Acquire) < threads.len() && threads.iter().any(|thread| !thread.is_finished()) {
        assert!(std::time::Instant::now() < limit, "they wait for each other");
        thread::sleep(std::time::Duration::from_millis(1));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let _core = world.attach();
    world.drain();
    assert!(EVENTS.iter().all(|event| ids(event).is_empty()));
}

/// Of two events that change together each changes at one instant, and whoever has seen the one side of
/// both at the end sees it from then on.
#[test]
fn each_event_changes_at_one_instant() {
    const ROUNDS: u32 = many(200) as u32;
    let world = World::new();
    let (left, right) = (sum("Test.Left"), sum("Test.Right"));
    let core = world.attach();
    let mut ids: [BindingId; 4] =
        [&left, &left, &right, &right].map(|event| event.install(Handler::trusted(|_| 0)).unwrap());
    drop(core);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for event in [&left, &right] {
            let stop = &stop;
            scope.spawn(move || {
                let _core = world.attach();
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    host::poll();
                    let seen = event.raise(&0).unwrap();
                    assert!(seen % 2 == 0, "both of a round, or none of it: {seen}");
                    assert!(seen >= last, "never back");
                    last = seen;
                }
            });
        }
        let _core = world.attach();
        for round in 1..=ROUNDS {
            let handler = || Handler::trusted(move |_: &u32| round);
            let new = Transaction::new()
                .replace(&left, ids[0], handler())
                .replace(&right, ids[2], handler())
                .replace(&left, ids[1], handler())
                .replace(&right, ids[3], handler())
                .commit()
                .unwrap();
            ids = [new[0], new[2], new[1], new[3]];
            host::poll();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let _core = world.attach();
    [&left, &right].into_iter().for_each(remove_all);
    world.drain();
}
