//! A binding in the place of another, in one step, while others raise.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use common::{Census, foreign, ids, install_raw, kind, many, remove_all};
use dispatcher::{
    DomainState, Event, Guard, Handler, InstallError, Merge, RaiseError, Transaction,
    host::{self, Host, World},
    key,
    plan::PlanKind,
};

#[derive(Clone, Copy)]
struct Number {
    number: u64,
}

/// Raises add up what handlers bring.
type Sum = Event<Number, u64, Host>;

const fn sum(name: &'static str) -> Sum {
    Sum::new(name, None).open().merging(Merge::Fold(|one, other| one + other))
}

/// Raises on two cores until `change` has run on a third; each raise is shown to `check`.
fn storm(
    world: &'static World,
    event: &Sum,
    check: impl Fn(Result<u64, RaiseError>) + Sync,
    change: impl FnOnce(),
) {
    let (stop, raises) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _core = world.attach();
                while !stop.load(Ordering::Relaxed) {
                    host::poll();
                    check(event.raise(&Number { number: 1 }));
                    raises.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _core = world.attach();
        while raises.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        change();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(raises.into_inner() >= many(100), "somebody has looked");
    let _core = world.attach();
    world.drain();
}

#[test]
fn no_raise_sees_both_or_neither() {
    let (event, census) = (sum("Test.Replace"), Census::default());
    let one = |digit: u64| {
        let citizen = census.citizen();
        Handler::trusted(move |_: &Number| {
            let _here = &citizen;
            digit
        })
    };
    // One alone, one among others, one of several under keys, and one behind predicates: what is
    // replaced brings one or two, all the others a thousand.
    let thousands = || Handler::trusted(|_: &Number| 1000);
    let under = |handler: Handler<Number, u64>, value| handler.key(key!(Number, number), value);
    for others in 0..4 {
        let world = World::new();
        let core = world.attach();
        let (mut id, wanted_kind, rest) = match others {
            0 => (event.install(one(1)).unwrap(), PlanKind::Single, 0),
            1 => {
                event.install(thousands()).unwrap();
                let id = event.install(one(1)).unwrap();
                event.install(thousands()).unwrap();
                (id, PlanKind::Few, 2000)
            }
            2 => {
                let id = event.install(under(one(1), 1)).unwrap();
                [2, 3].into_iter().for_each(|value| {
                    event.install(under(thousands(), value)).unwrap();
                });
                (id, PlanKind::Keyed, 0)
            }
            _ => {
                event.install(thousands().when(|_| true)).unwrap();
                (event.install(one(1).when(|_| true)).unwrap(), PlanKind::General, 1000)
            }
        };
        assert_eq!(kind(&event), wanted_kind);
        drop(core);
        storm(
            world,
            &event,
            |seen| assert!(seen == Ok(rest + 1) || seen == Ok(rest + 2), "{seen:?} with {wanted_kind:?}"),
            || {
                for round in 0..many(2000) as u64 {
                    let handler = one(1 + round % 2);
                    let handler = match others {
                        2 => under(handler, 1),
                        3 => handler.when(|_| true),
                        _ => handler,
                    };
                    id = event.replace(id, handler).unwrap();
                    host::poll();
                }
            },
        );
        let _core = world.attach();
        assert_eq!(census.alive(), 1, "all but the last are gone");
        remove_all(&event);
        world.drain();
        assert_eq!(census.alive(), 0);
    }
}

/// Handlers that move from one place to another in a transaction: a raise finds one, never two.
#[test]
fn no_raise_sees_a_transaction_half_done() {
    let world = World::new();
    let event = sum("Test.Instant");
    let digit = |digit: u64| Handler::trusted(move |_: &Number| digit);
    let core = world.attach();
    let mut ids = [digit(1), digit(10), digit(100)].map(|handler| event.install(handler).unwrap());
    drop(core);
    storm(
        world,
        &event,
        |seen| assert!(seen == Ok(111) || seen == Ok(222), "{seen:?}"),
        || {
            for round in 0..many(2000) as u64 {
                let factor = 2 - round % 2;
                let new = Transaction::new()
                    .remove(&event, ids[0])
                    .install(&event, digit(factor))
                    .replace(&event, ids[1], digit(factor * 10))
                    .install(&event, digit(factor * 100))
                    .remove(&event, ids[2])
                    .commit()
                    .unwrap();
                ids = new.try_into().expect("three came in");
                host::poll();
            }
        },
    );
    let _core = world.attach();
    remove_all(&event);
    world.drain();
}

#[test]
fn what_was_imposed_on_the_one_holds_for_the_other() {
    let world = World::new();
    let _core = world.attach();
    let event = sum("Test.Inherit");
    let owner = event.claim().unwrap();
    let old = event.install(Handler::trusted(|_: &Number| 1).when(|args| args.number != 3)).unwrap();
    let guard = owner.impose(old, Guard::predicate(|args: &Number| args.number > 1)).unwrap();
    let raise = |number| event.raise(&Number { number });
    assert_eq!([1, 2, 3].map(raise), [Err(RaiseError::NoHandler), Ok(1), Err(RaiseError::NoHandler)]);
    let new = event.replace(old, Handler::trusted(|_| 2)).unwrap();
    assert_eq!([1, 2, 3].map(raise), [Err(RaiseError::NoHandler), Ok(2), Ok(2)], "its own guard it has not");
    assert_eq!(owner.lift(old, guard), Err(InstallError::Unknown));
    owner.lift(new, guard).unwrap();
    assert_eq!(raise(1), Ok(2));
    event.remove(new).unwrap();
    world.drain();
}

#[test]
fn what_cannot_be_put_there_leaves_the_other_in_its_place() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (sum("Test.Stays"), Census::default());
    let domain = Arc::new(DomainState::new(1));
    let handler = |_: &Number| 5_u64;
    let citizen = census.citizen();
    let counted = Handler::trusted(move |_: &Number| {
        let _here = &citizen;
        9
    });
    let id = event.install(Handler::trusted(|_| 1)).unwrap();
    let nobody = event.install(Handler::trusted(|_| 0)).unwrap();
    event.remove(nobody).unwrap();
    assert_eq!(event.replace(nobody, counted), Err(InstallError::Unknown));
    assert_eq!(census.alive(), 0);
    domain.close();
    // SAFETY: the handler fits the event.
    let closed = unsafe { event.replace_raw(id, foreign(&domain, &handler), None) };
    assert_eq!(closed, Err(InstallError::Closed));
    assert_eq!((event.raise(&Number { number: 0 }), ids(&event)), (Ok(1), vec![id]));
    assert_eq!((domain.handlers(), Arc::strong_count(&domain)), (0, 1));
    event.remove(id).unwrap();
    world.drain();
}

/// Who has all the handlers that it may can still put one in the place of another.
#[test]
fn a_replacement_needs_no_room_of_its_own() {
    let world = World::new();
    let _core = world.attach();
    let event = sum("Test.Full");
    let domains = [1, 2].map(|id| Arc::new(DomainState::new(id).with_most_handlers(2)));
    event.claim().unwrap().set_most_handlers(2).unwrap();
    let handlers = (|_: &Number| 1_u64, |_: &Number| 10_u64);
    let old = install_raw(&event, foreign(&domains[0], &handlers.0)).unwrap();
    install_raw(&event, foreign(&domains[0], &handlers.0)).unwrap();
    assert_eq!(event.install(Handler::trusted(|_| 0)), Err(InstallError::TooMany));
    // SAFETY: the handler fits the event.
    let new = unsafe { event.replace_raw(old, foreign(&domains[0], &handlers.1), Some(1)) }.unwrap();
    assert_eq!((event.raise(&Number { number: 0 }), domains[0].handlers()), (Ok(11), 2));
    // For another domain it is one more, and for this one less.
    // SAFETY: as above.
    unsafe { event.replace_raw(new, foreign(&domains[1], &handlers.1), None) }.unwrap();
    assert_eq!(domains.each_ref().map(|domain| domain.handlers()), [1, 1]);
    assert_eq!((event.remove_domain(1), event.remove_domain(2)), (Ok(1), Ok(1)));
    assert_eq!(domains.each_ref().map(|domain| domain.handlers()), [0, 0]);
    world.drain();
}
