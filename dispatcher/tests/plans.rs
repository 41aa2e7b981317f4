//! Which plan an event has for what is installed on it, and that a plan of any kind calls those who are
//! to be called, in the declared order.

mod common;

use std::sync::Arc;

use common::{
    Parcel, foreign, ids, install_all, install_raw, intrinsic, kind, many, remove_all, send, visit, visitors,
};
use dispatcher::{
    DomainState, Event, Guard, Handler, Merge, Order, RaiseError,
    host::{Host, World},
    key,
    plan::PlanKind,
};

type Post = Event<Parcel, u32, Host>;

fn under(number: u32, port: u64) -> Handler<Parcel, u32> {
    visit(number).key(key!(Parcel, port), port)
}

#[test]
fn what_is_installed_decides_on_the_kind() {
    let world = World::new();
    let _core = world.attach();
    let with = Post::new("Test.With", Some(intrinsic)).open();
    let without = Post::new("Test.Without", None).open();
    let plain = || visit(1);
    let keyed = || under(1, 1);
    let asking = || visit(1).when(|_| true);
    type Make<'a> = &'a dyn Fn() -> Handler<Parcel, u32>;
    let (plain, keyed, asking): (Make<'_>, Make<'_>, Make<'_>) = (&plain, &keyed, &asking);
    let bounded: Make<'_> = &|| visit(1).bounded_ns(u64::MAX);
    let doubly: Make<'_> = &|| under(1, 1).key(key!(Parcel, tag), 0);
    use PlanKind::{Few, General, Keyed, Single};
    let cases: [(&[Make<'_>], PlanKind, PlanKind); 10] = [
        (&[], PlanKind::Empty, PlanKind::Intrinsic),
        (&[plain], Single, Few),
        (&[plain, plain], Few, Few),
        (&[keyed], Single, General),
        (&[keyed, keyed], General, General),
        (&[keyed, keyed, keyed], Keyed, Keyed),
        (&[keyed, keyed, keyed, plain, asking, bounded], Keyed, Keyed),
        (&[doubly], General, General),
        (&[asking], General, General),
        (&[bounded], General, General),
    ];
    for (number, (handlers, alone, among)) in cases.iter().enumerate() {
        for (event, wanted) in [(&without, alone), (&with, among)] {
            install_all(event, handlers.iter().map(|make| make()));
            assert_eq!(kind(event), *wanted, "case {number}");
            // Whatever the kind, they all run.
            let own = usize::from(std::ptr::eq(event, &with));
            assert_eq!(visitors(event, 1).len(), handlers.len() + own, "case {number}");
            remove_all(event);
        }
    }
    world.drain();
}

#[test]
fn who_wants_every_result_has_no_shortcut() {
    let world = World::new();
    let _core = world.attach();
    let own = |_, result: u32, _| result + 1;
    let event = Post::new("Test.Own", None).open().merging(Merge::Own(own));
    event.install(under(1, 1)).unwrap();
    assert_eq!((kind(&event), send(&event, 1)), (PlanKind::General, (Ok(2), vec![1])));
    install_all(&event, [2, 3].map(|port| under(port as u32, port)));
    assert_eq!((kind(&event), send(&event, 3)), (PlanKind::Keyed, (Ok(4), vec![3])));
    remove_all(&event);
    event.install(visit(1)).unwrap();
    assert_eq!((kind(&event), send(&event, 3)), (PlanKind::Few, (Ok(2), vec![1])));
    remove_all(&event);
    world.drain();
}

/// So many keyed handlers, of which each is found, and nothing where there is none.
fn check_keyed(count: u32, value_of: impl Fn(u32) -> u32) {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Keyed", None).open();
    let handlers = (0..count).map(|number| under(number, u64::from(value_of(number))));
    let transaction =
        handlers.fold(dispatcher::Transaction::new(), |all, handler| all.install(&event, handler));
    transaction.commit().unwrap();
    assert_eq!(kind(&event), PlanKind::Keyed);
    for number in 0..count {
        assert_eq!(send(&event, value_of(number)), (Ok(number), vec![number]));
    }
    let is_used = |value| (0..count).any(|number| value_of(number) == value);
    let absent: Vec<_> =
        (0..u32::MAX).step_by(0x0123_4567).filter(|value| !is_used(*value)).take(20).collect();
    assert_eq!(absent.len(), 20);
    for value in absent {
        assert_eq!(send(&event, value), (Err(RaiseError::NoHandler), vec![]));
    }
    // Now with one that is called in any case, so that another code runs the plan.
    let always = event.install(visit(u32::MAX).order(Order::First)).unwrap();
    for number in (0..count).step_by(7) {
        assert_eq!(send(&event, value_of(number)), (Ok(number), vec![u32::MAX, number]));
    }
    event.remove(always).unwrap();
    world.drain();
}

#[test]
fn three_keyed_handlers_are_found() {
    check_keyed(3, |number| number * 1000);
}

#[test]
fn fifty_keyed_handlers_are_found() {
    check_keyed(50, |number| number);
}

#[test]
fn ten_thousand_keyed_handlers_are_found() {
    check_keyed(many(10_000) as u32, |number| number.wrapping_mul(0x9e37_79b1));
}

/// What times `factor` is one, in 64 bits (Newton's iteration).
fn inverse(factor: u64) -> u64 {
    let step = |inverse: u64, _| inverse.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(inverse)));
    (0..6).fold(factor, step)
}

#[derive(Clone, Copy)]
struct Long {
    value: u64,
}

/// Handlers under values that somebody chose so that they all collide under the multiplier that is tried
/// first: each is found all the same.
#[test]
fn values_that_were_chosen_to_collide_are_found() {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    assert_eq!(inverse(GOLDEN).wrapping_mul(GOLDEN), 1);
    let world = World::new();
    let _core = world.attach();
    // All at the first place; then, of two groups, each at one; then values that differ in the highest
    // bits alone, and in the lowest.
    let choices: [&dyn Fn(u64) -> u64; 4] = [
        &|number| inverse(GOLDEN).wrapping_mul(number),
        &|number| inverse(GOLDEN).wrapping_mul(number << 1 | (number & 1) << 63),
        &|number| number << 52,
        &|number| number,
    ];
    for (which, value_of) in choices.iter().enumerate() {
        for count in [9, 40, many(2000) as u64] {
            let event = Event::<Long, u64, Host>::new("Test.Adverse", None).open();
            let handlers = (0..count).map(|number| {
                Handler::trusted(move |_: &Long| number).key(key!(Long, value), value_of(number))
            });
            let all = dispatcher::Transaction::new();
            handlers.fold(all, |all, handler| all.install(&event, handler)).commit().unwrap();
            assert_eq!(kind(&event), PlanKind::Keyed);
            for number in 0..count {
                assert_eq!(event.raise(&Long { value: value_of(number) }), Ok(number), "choice {which}");
            }
            let stranger = Long { value: value_of(count) };
            assert_eq!(event.raise(&stranger), Err(RaiseError::NoHandler), "choice {which}");
            let ids = ids(&event).into_iter();
            ids.fold(dispatcher::Transaction::new(), |all, id| all.remove(&event, id)).commit().unwrap();
        }
    }
    world.drain();
}

#[test]
fn several_handlers_under_one_value_all_run_in_order() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Same", None).open();
    for (number, port) in (0..).zip([5, 6, 5, 5, 6, 7, 5]) {
        event.install(under(number, port)).unwrap();
    }
    event.install(under(10, 6).order(Order::First)).unwrap();
    assert_eq!(kind(&event), PlanKind::Keyed);
    let called = [4, 5, 6, 7].map(|port| visitors(&event, port));
    assert_eq!(called, [vec![], vec![0, 2, 3, 6], vec![10, 1, 4], vec![5]]);
    assert_eq!(send(&event, 5).0, Ok(6), "the last result");
    remove_all(&event);
    // Nothing but one value: no value is alone.
    install_all(&event, (0..4).map(|number| under(number, 5)));
    assert_eq!((visitors(&event, 5), visitors(&event, 6)), (vec![0, 1, 2, 3], vec![]));
    remove_all(&event);
    world.drain();
}

#[test]
fn keyed_and_unkeyed_handlers_mix_in_the_declared_order() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Mixed", Some(intrinsic)).open();
    for number in 1..=300 {
        let port = number % 7;
        let handler = match number % 10 {
            0 => visit(number),
            5 => visit(number).when(move |parcel| parcel.port % 2 == port % 2),
            _ => under(number, u64::from(port)),
        };
        // Some of them ahead of all, some behind.
        let handler = match number % 13 {
            0 => handler.order(Order::First),
            1 => handler.order(Order::Last),
            _ => handler,
        };
        event.install(handler).unwrap();
    }
    assert_eq!(kind(&event), PlanKind::Keyed);
    let holds = |number: u32, port: u32| match number % 10 {
        0 => true,
        5 => port % 2 == number % 7 % 2,
        _ => number % 7 == port,
    };
    let firsts = (1..=300).rev().filter(|number| number % 13 == 0);
    let middle = (0..=300).filter(|number| *number == 0 || number % 13 > 1);
    let lasts = (1..=300).filter(|number| number % 13 == 1);
    let order: Vec<u32> = firsts.chain(middle).chain(lasts).collect();
    for port in 0..9 {
        let wanted: Vec<_> = order.iter().copied().filter(|number| holds(*number, port)).collect();
        assert_eq!(visitors(&event, port), wanted, "port {port}");
    }
    remove_all(&event);
    world.drain();
}

#[test]
fn of_two_keys_the_one_that_most_have_is_probed_and_the_other_holds_too() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.TwoKeys", None).open();
    let tagged = |number, tag| visit(number).key(key!(Parcel, tag), tag);
    install_all(&event, (1..=5).map(|port| under(port as u32, port)));
    install_all(&event, (1..=3).map(|tag| tagged(10 + tag as u32, tag)));
    event.install(under(20, 2).key(key!(Parcel, tag), 2)).unwrap();
    assert_eq!(kind(&event), PlanKind::Keyed);
    let called = |port, tag| {
        let parcel = Parcel { port, tag, ..Parcel::default() };
        let _ = event.raise(&parcel);
        parcel.visitors.into_inner()
    };
    assert_eq!(called(2, 2), [2, 12, 20]);
    assert_eq!(called(2, 1), [2, 11]);
    assert_eq!(called(1, 2), [1, 12]);
    assert_eq!(called(9, 9), Vec::<u32>::new());
    remove_all(&event);
    world.drain();
}

#[test]
fn a_filter_leaves_no_key_to_probe() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Long, u64, Host>::new("Test.Filtered", None).open();
    let keyed = |value| Handler::trusted(move |_: &Long| value).key(key!(Long, value), value);
    install_all(&event, [1, 2, 3].map(keyed));
    assert_eq!((kind(&event), event.raise(&Long { value: 2 })), (PlanKind::Keyed, Ok(2)));
    let plus_one = Handler::filter(|args: &mut Long| {
        args.value += 1;
        0
    });
    let id = event.install(plus_one.order(Order::First)).unwrap();
    assert_eq!((kind(&event), event.raise(&Long { value: 2 })), (PlanKind::General, Ok(3)));
    event.remove(id).unwrap();
    assert_eq!(kind(&event), PlanKind::Keyed);
    remove_all(&event);
    world.drain();
}

#[test]
fn domains_have_keyed_handlers_too() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Long, u64, Host>::new("Test.ForeignKeyed", None).open();
    let domain = Arc::new(DomainState::new(1));
    let handler = |args: &Long| args.value * 10;
    for value in 1..=4 {
        let guard = dispatcher::guard::RawGuard::key(key!(Long, value).raw(), value);
        install_raw(&event, common::guarded(foreign(&domain, &handler), guard)).unwrap();
        assert_eq!(event.raise(&Long { value }), Ok(value * 10));
        assert_eq!(event.raise(&Long { value: 9 }), Err(RaiseError::NoHandler));
    }
    assert_eq!(kind(&event), PlanKind::Keyed);
    domain.close();
    assert_eq!(event.raise(&Long { value: 1 }), Err(RaiseError::NoHandler));
    assert_eq!(event.remove_domain(1), Ok(4));
    world.drain();
}

#[test]
fn a_plan_goes_back_to_what_it_was() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Back", Some(intrinsic)).open();
    let owner = event.claim().unwrap();
    let id = event.install(visit(1)).unwrap();
    let guard = owner.impose(id, Guard::key(key!(Parcel, port), 1)).unwrap();
    assert_eq!((kind(&event), visitors(&event, 2)), (PlanKind::General, vec![0]));
    owner.lift(id, guard).unwrap();
    assert_eq!((kind(&event), visitors(&event, 2)), (PlanKind::Few, vec![0, 1]));
    event.remove(id).unwrap();
    assert_eq!((kind(&event), visitors(&event, 2)), (PlanKind::Intrinsic, vec![0]));
    world.drain();
}
