//! Guards: keys and predicates, a handler's own and those that the owner imposes.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use common::{
    Census, Parcel, foreign, foreign_guard, guarded, install_raw, kind, remove_all, send, visit, visitors,
};
use dispatcher::{
    BindingId, DomainState, Event, Guard, Handler, InstallError, Key, RaiseError, RawKey,
    event::GuardInfo,
    guard::RawGuard,
    host::{Host, World},
    key,
    plan::PlanKind,
};

/// One field of each kind that a key can be, none at the offset that its neighbours suggest.
#[derive(Clone, Copy, Default)]
struct Fields {
    flag: bool,
    byte: u8,
    signed_byte: i8,
    short: u16,
    signed_short: i16,
    word: u32,
    signed_word: i32,
    long: u64,
    signed_long: i64,
    size: usize,
    signed_size: isize,
}

/// Handlers under some values of a key: alone, with others found by a probe, and among unkeyed ones
/// that are looked at one by one, each is called for its own value and no other.
fn check_key(key: Key<Fields>, cases: &[(u64, Fields)]) {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Fields, u64, Host>::new("Test.Key", None).open();
    let under = |value: u64| Handler::trusted(move |_: &Fields| value).key(key, value);
    for (value, _) in cases {
        let id = event.install(under(*value)).unwrap();
        assert_eq!(kind(&event), PlanKind::Single);
        for (other, args) in cases {
            let wanted = if other == value { Ok(*value) } else { Err(RaiseError::NoHandler) };
            assert_eq!(event.raise(args), wanted, "alone");
        }
        event.remove(id).unwrap();
    }
    for (value, _) in cases {
        event.install(under(*value)).unwrap();
    }
    let wanted = if cases.len() < 3 { PlanKind::General } else { PlanKind::Keyed };
    assert_eq!(kind(&event), wanted);
    cases.iter().for_each(|(value, args)| assert_eq!(event.raise(args), Ok(*value), "among its like"));
    let filter = event.install(Handler::filter(|_: &mut Fields| 77)).unwrap();
    event.replace(filter, Handler::filter(|_: &mut Fields| 78).order(dispatcher::Order::First)).unwrap();
    assert_eq!(kind(&event), PlanKind::General);
    cases.iter().for_each(|(value, args)| assert_eq!(event.raise(args), Ok(*value), "behind a filter"));
    remove_all(&event);
    world.drain();
}

macro_rules! check_keys {
    ($($field:ident: $values:expr;)*) => {$(
        check_key(
            key!(Fields, $field),
            &$values.map(|value| (value as u64, Fields { $field: value, ..all_set() })),
        );
    )*};
}

/// Arguments in which a key that is read too wide, or elsewhere, shows.
fn all_set() -> Fields {
    Fields {
        flag: true,
        byte: 0x5a,
        signed_byte: 0x5a,
        short: 0x5a5a,
        signed_short: 0x5a5a,
        word: 0x5a5a_5a5a,
        signed_word: 0x5a5a_5a5a,
        long: 0x5a5a_5a5a_5a5a_5a5a,
        signed_long: 0x5a5a_5a5a_5a5a_5a5a,
        size: 0x5a5a,
        signed_size: 0x5a5a,
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes, and strict.rs has keys of each width")]
fn a_key_is_a_field_of_any_width_and_sign() {
    check_keys! {
        flag: [false, true];
        byte: [0, 1, 0x7f, 0x80, u8::MAX];
        signed_byte: [0_i8, 1, -1, i8::MIN, i8::MAX];
        short: [0, 1, 0xff, 0x100, u16::MAX];
        signed_short: [0_i16, 255, -1, i16::MIN, i16::MAX];
        word: [0, 1, 0xffff, 0x1_0000, u32::MAX];
        signed_word: [0_i32, 0xffff, -1, i32::MIN, i32::MAX];
        long: [0, 1, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
        signed_long: [0_i64, 0xffff_ffff, -1, i64::MIN, i64::MAX];
        size: [0, 1, usize::MAX];
        signed_size: [0_isize, -1, isize::MIN];
    }
}

#[test]
fn of_a_narrow_field_the_low_bytes_of_a_value_count() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Fields, u32, Host>::new("Test.Low", None).open();
    for value in [0xffff_ff01, 0xff_ff02, 0x1_0000_0000_0003] {
        event.install(Handler::trusted(move |_| value as u32 & 0xff).key(key!(Fields, byte), value)).unwrap();
    }
    let raise = |byte| event.raise(&Fields { byte, ..Fields::default() });
    assert_eq!([1, 2, 3].map(raise), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(raise(0), Err(RaiseError::NoHandler));
    remove_all(&event);
    world.drain();
}

#[test]
fn a_handler_is_called_only_if_all_its_guards_hold() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<[bool; 3], u32, Host>::new("Test.All", None).open();
    let handler = Handler::trusted(|_: &[bool; 3]| 1).when(|args| args[0]).when(|args| args[1]);
    let id = event.install(handler.guarded(Guard::predicate(|args: &[bool; 3]| args[2]))).unwrap();
    for bits in 0..8_u32 {
        let args = [0, 1, 2].map(|bit| bits & 1 << bit != 0);
        let wanted = if bits == 7 { Ok(1) } else { Err(RaiseError::NoHandler) };
        assert_eq!(event.raise(&args), wanted, "{args:?}");
    }
    event.remove(id).unwrap();
    world.drain();
}

#[test]
fn keys_and_predicates_of_one_handler_must_all_hold() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Parcel, u32, Host>::new("Test.Both", None).open();
    let both = |number, port, tag| {
        visit(number).key(key!(Parcel, port), port).key(key!(Parcel, tag), tag).when(|parcel| parcel.port < 9)
    };
    let raise = |port, tag| {
        let parcel = Parcel { port, tag, ..Parcel::default() };
        let result = event.raise(&parcel);
        (result, parcel.visitors.into_inner())
    };
    // Alone, then as many as make an index of the port, and with a contradiction in one of them.
    for number in 1..=4 {
        event.install(both(number, u64::from(number), 7)).unwrap();
        assert_eq!(raise(number, 7), (Ok(number), vec![number]));
        assert_eq!(raise(number, 6), (Err(RaiseError::NoHandler), vec![]));
    }
    event.install(both(9, 9, 7)).unwrap();
    assert_eq!(raise(9, 7), (Err(RaiseError::NoHandler), vec![]), "its predicate is false");
    event.install(both(5, 5, 7).key(key!(Parcel, port), 6)).unwrap();
    assert_eq!(kind(&event), PlanKind::Keyed);
    assert_eq!([raise(5, 7).1, raise(6, 7).1], [vec![], vec![]], "no port is two");
    remove_all(&event);
    world.drain();
}

#[test]
fn a_guard_is_asked_once_per_raise_at_most() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Parcel, u32, Host>::new("Test.Once", None).open();
    let asked = Arc::new([const { AtomicU32::new(0) }; 3]);
    let counting = |at: usize, answer: bool| {
        let asked = asked.clone();
        move |_: &Parcel| {
            asked[at].fetch_add(1, Ordering::Relaxed);
            answer
        }
    };
    event.install(visit(1).when(counting(0, true)).when(counting(1, false)).when(counting(2, true))).unwrap();
    event.install(visit(2).when(|_| true)).unwrap();
    for raises in 1..=3 {
        assert_eq!(visitors(&event, 0), [2]);
        assert_eq!([0, 1].map(|at| asked[at].load(Ordering::Relaxed)), [raises; 2]);
        assert!(asked[2].load(Ordering::Relaxed) <= raises);
    }
    remove_all(&event);
    world.drain();
}

#[test]
fn an_owner_imposes_guards_on_a_binding_and_lifts_them() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Parcel, u32, Host>::new("Test.Impose", None).open();
    let owner = event.claim().unwrap();
    let [first, second] = [1, 2].map(|number| event.install(visit(number)).unwrap());
    assert_eq!(kind(&event), PlanKind::Few);
    let low = owner.impose(first, Guard::predicate(|parcel: &Parcel| parcel.port < 10)).unwrap();
    let high = owner.impose(first, Guard::predicate(|parcel: &Parcel| parcel.port > 4)).unwrap();
    assert_eq!(kind(&event), PlanKind::General);
    let called = || [3, 7, 11].map(|port| visitors(&event, port).contains(&1));
    assert_eq!(called(), [false, true, false], "both must hold");
    assert_eq!(visitors(&event, 3), [2], "of the other nothing was asked");
    owner.lift(first, low).unwrap();
    assert_eq!(called(), [false, true, true]);
    assert_eq!(owner.lift(first, low), Err(InstallError::Unknown));
    assert_eq!(owner.lift(second, high), Err(InstallError::Unknown), "it is the other's");
    owner.lift(first, high).unwrap();
    assert_eq!((called(), kind(&event)), ([true; 3], PlanKind::Few));
    let on_nobody = owner.impose(BindingId::from_number(u64::MAX), Guard::predicate(|_| true));
    assert_eq!(on_nobody, Err(InstallError::Unknown));
    remove_all(&event);
    world.drain();
}

#[test]
fn an_imposed_key_is_a_key_like_any() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Parcel, u32, Host>::new("Test.ImposedKey", None).open();
    let owner = event.claim().unwrap();
    let ids = [1, 2, 3].map(|number| event.install(visit(number)).unwrap());
    for (port, id) in (1..).zip(ids) {
        owner.impose(id, Guard::key(key!(Parcel, port), port)).unwrap();
    }
    assert_eq!(kind(&event), PlanKind::Keyed);
    assert_eq!([0, 1, 2, 3].map(|port| visitors(&event, port)), [vec![], vec![1], vec![2], vec![3]]);
    let guards: Vec<_> =
        event.any().info::<Host>().bindings.into_iter().flat_map(|binding| binding.guards).collect();
    assert_eq!(guards, [1, 2, 3].map(|port| GuardInfo::Key(key!(Parcel, port).raw(), port)));
    remove_all(&event);
    world.drain();
}

#[test]
fn guards_are_freed_with_their_binding_or_when_lifted() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Parcel, u32, Host>::new("Test.GuardsGo", None).open();
    let owner = event.claim().unwrap();
    let census = Census::default();
    let counted = || {
        let citizen = census.citizen();
        Guard::predicate(move |_: &Parcel| {
            let _here = &citizen;
            true
        })
    };
    let id = event.install(visit(1).guarded(counted())).unwrap();
    let imposed = owner.impose(id, counted()).unwrap();
    assert!(owner.impose(BindingId::INTRINSIC, counted()).is_err(), "there is none");
    world.drain();
    assert_eq!(census.alive(), 2);
    owner.lift(id, imposed).unwrap();
    world.drain();
    assert_eq!(census.alive(), 1);
    owner.impose(id, counted()).unwrap();
    event.remove(id).unwrap();
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_foreign_guard_says_yes_by_any_byte_but_zero() {
    let world = World::new();
    let _core = world.attach();
    // A wide result: what the guard says must not be taken for where that goes.
    let event = Event::<u8, [u64; 4], Host>::new("Test.Byte", None).open();
    let domain = Arc::new(DomainState::new(3));
    let guard = |args: &u8| *args;
    let handler = |args: &u8| [u64::from(*args); 4];
    for _ in 0..2 {
        install_raw(&event, guarded(foreign(&domain, &handler), foreign_guard(&domain, &guard))).unwrap();
        assert_eq!(event.raise(&0), Err(RaiseError::NoHandler));
        assert_eq!([1, 2, 255].map(|args| event.raise(&args)), [1, 2, 255].map(|args| Ok([args; 4])));
    }
    assert_eq!(event.remove_domain(3), Ok(2));
    world.drain();
    assert_eq!(Arc::strong_count(&domain), 1);
}

#[test]
fn the_guard_of_a_closed_domain_is_false() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u8, u8, Host>::new("Test.ClosedGuard", None).open();
    let [guards, handles] = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let (guard, handler) = (|_: &u8| true, |args: &u8| *args);
    install_raw(&event, guarded(foreign(&handles, &handler), foreign_guard(&guards, &guard))).unwrap();
    assert_eq!(event.raise(&9), Ok(9));
    guards.close();
    assert_eq!(event.raise(&9), Err(RaiseError::NoHandler));
    event.remove_domain(2).unwrap();
    world.drain();
}

/// A guard that fails: its code cuts itself, and its domain is closed, as the owner of domains does.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[test]
fn a_failing_foreign_guard_is_false_and_the_handlers_of_its_domain_are_passed_over() {
    use dispatcher::{Processor, landing};
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u8, u8, Host>::new("Test.FailingGuard", None).open();
    let [failing, other] = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let asked = AtomicU32::new(0);
    let guard = |_: &u8| -> bool {
        asked.fetch_add(1, Ordering::Relaxed);
        failing.close();
        // SAFETY: the innermost border, with a landing in progress; no frame above holds anything.
        unsafe { landing::cut(Host::top()) }
    };
    let called = AtomicU32::new(0);
    let handler = |args: &u8| {
        called.fetch_add(1, Ordering::Relaxed);
        *args
    };
    let plus = |args: &u8| args + 1;
    install_raw(&event, foreign(&other, &plus)).unwrap();
    install_raw(&event, guarded(foreign(&other, &handler), foreign_guard(&failing, &guard))).unwrap();
    install_raw(&event, guarded(foreign(&failing, &handler), foreign_guard(&failing, &guard))).unwrap();
    install_raw(&event, foreign(&failing, &handler)).unwrap();
    assert_eq!(event.raise(&9), Ok(10), "of the one that is nobody's fault");
    assert_eq!([&asked, &called].map(|count| count.load(Ordering::Relaxed)), [1, 0]);
    assert_eq!(event.raise(&9), Ok(10));
    assert_eq!(asked.load(Ordering::Relaxed), 1, "no code of it runs again");
    assert!(Host::top().is_null());
    event.remove_domain(2).unwrap();
    assert_eq!(event.raise(&9), Err(RaiseError::NoHandler), "nobody's handler was cut");
    event.remove_domain(1).unwrap();
    world.drain();
}

#[test]
fn a_key_outside_of_the_arguments_is_an_error_that_changes_nothing() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u64, u64, Host>::new("Test.BadKey", None).open();
    let domain = Arc::new(DomainState::new(1));
    let handler = |args: &u64| *args;
    let install = |offset, width, value| {
        let key = RawKey { offset, width };
        install_raw(&event, guarded(foreign(&domain, &handler), RawGuard::key(key, value)))
    };
    let bad = [(0, 3), (0, 0), (0, 16), (1, 8), (5, 4), (7, 2), (8, 1), (u32::MAX, 8), (0, u32::MAX)];
    for (offset, width) in bad {
        assert_eq!(install(offset, width, 1), Err(InstallError::BadKey), "{width} bytes at {offset}");
    }
    assert_eq!((kind(&event), domain.handlers()), (PlanKind::Empty, 0));
    assert_eq!(Arc::strong_count(&domain), 1, "nothing was kept of them");
    for (offset, width) in [(0, 8), (4, 4), (6, 2), (7, 1), (3, 4)] {
        install(offset, width, 0).unwrap();
    }
    assert_eq!(event.raise(&0), Ok(0));
    assert_eq!(event.remove_domain(1), Ok(5));
    world.drain();
}

/// A key where the field is not aligned, as a packed header of a spindle has them.
#[test]
fn a_raw_key_need_not_be_aligned() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<[u8; 12], u32, Host>::new("Test.Unaligned", None).open();
    let domain = Arc::new(DomainState::new(1));
    let handler = |_: &[u8; 12]| 1_u32;
    for (offset, width) in [(1, 2), (3, 4), (3, 8)] {
        let value = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]) & (u64::MAX >> (64 - 8 * width));
        let key = RawKey { offset, width };
        install_raw(&event, guarded(foreign(&domain, &handler), RawGuard::key(key, value))).unwrap();
        let mut args = [0; 12];
        assert_eq!(event.raise(&args), Err(RaiseError::NoHandler));
        args[offset as usize..].iter_mut().zip(1..).for_each(|(byte, value)| *byte = value);
        assert_eq!(event.raise(&args), Ok(1));
        event.remove_domain(1).unwrap();
    }
    world.drain();
}

#[test]
fn what_guards_see_is_what_was_raised() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Parcel, u32, Host>::new("Test.Seen", None).open();
    event.install(visit(1).when(|parcel| parcel.visitors.borrow().is_empty())).unwrap();
    event.install(visit(2).when(|parcel| *parcel.visitors.borrow() == [1])).unwrap();
    event.install(visit(3).when(|parcel| parcel.visitors.borrow().len() > 2)).unwrap();
    assert_eq!(send(&event, 0), (Ok(2), vec![1, 2]), "each is asked when its turn has come");
    remove_all(&event);
    world.drain();
}
