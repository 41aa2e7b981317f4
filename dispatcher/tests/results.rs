//! What a raise brings: one result of several, the owner's way, of any size.

mod common;

use std::sync::{Arc, Mutex};

use common::{foreign, ids, install_all, install_raw, kind, remove_all};
use dispatcher::{
    BindingId, DomainState, Event, Handler, Merge, RaiseError,
    host::{Host, World},
    key,
    plan::PlanKind,
};

/// Says whose turn it is.
#[derive(Clone, Copy)]
struct Turn {
    whose: u8,
}

fn giving<R: Copy + Send + Sync + 'static>(result: R) -> Handler<Turn, R> {
    Handler::trusted(move |_: &Turn| result)
}

const ANY: Turn = Turn { whose: 0 };

/// The results of `handlers` merged by `merge`, with and without an intrinsic handler before them.
fn merged<R: Copy + Send + Sync + 'static>(merge: Merge<R>, handlers: &[R]) -> Result<R, RaiseError> {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, R, Host>::new("Test.Merge", None).open().merging(merge);
    install_all(&event, handlers.iter().map(|result| giving(*result)));
    let result = event.raise(&ANY);
    remove_all(&event);
    world.drain();
    result
}

#[test]
fn the_last_or_the_first_result_counts() {
    assert_eq!(merged(Merge::Last, &[1, 2, 3]), Ok(3));
    assert_eq!(merged(Merge::First, &[1, 2, 3]), Ok(1));
    assert_eq!(merged(Merge::First, &[[1; 9], [2; 9]]), Ok([1; 9]));
    assert_eq!(merged(Merge::Last, &[[1; 9], [2; 9]]), Ok([2; 9]));
    assert_eq!(merged::<u8>(Merge::First, &[]), Err(RaiseError::NoHandler));
}

#[test]
fn all_or_any_must_agree() {
    for bits in 0..8 {
        let votes = [0, 1, 2].map(|bit| bits & 1 << bit != 0);
        assert_eq!(merged(Merge::ALL, &votes), Ok(bits == 7));
        assert_eq!(merged(Merge::ANY, &votes), Ok(bits != 0));
    }
    assert_eq!((merged(Merge::ALL, &[true]), merged(Merge::ALL, &[false])), (Ok(true), Ok(false)));
    assert_eq!(merged(Merge::ALL, &[]), Err(RaiseError::NoHandler));
}

#[test]
fn a_fold_takes_results_in_the_order_of_the_handlers() {
    let digits = |so_far, next| so_far * 10 + next;
    assert_eq!(merged(Merge::Fold(digits), &[1_u64, 2, 3, 4]), Ok(1234));
    assert_eq!(merged(Merge::Fold(digits), &[7]), Ok(7), "a single result is folded with nothing");
    let wide = |so_far: [u64; 3], next: [u64; 3]| [0, 1, 2].map(|at| so_far[at] * 10 + next[at]);
    assert_eq!(merged(Merge::Fold(wide), &[[1, 2, 3], [4, 5, 6], [7, 8, 9]]), Ok([147, 258, 369]));
}

#[test]
fn the_intrinsic_handler_is_one_of_them() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, u64, Host>::new("Test.With", Some(|_| 5)).open();
    let owner = event.claim().unwrap();
    install_all(&event, [giving(6), giving(7)]);
    let mut results = Vec::new();
    for merge in [Merge::Last, Merge::First, Merge::Fold(|so_far, next| so_far * 10 + next)] {
        owner.set_merge(merge).unwrap();
        results.push(event.raise(&ANY).unwrap());
    }
    assert_eq!(results, [7, 5, 567]);
    remove_all(&event);
    world.drain();
}

#[test]
fn the_owners_own_way_sees_each_result_with_its_binding() {
    static SEEN: Mutex<Vec<(Option<u64>, u64, BindingId)>> = Mutex::new(Vec::new());
    fn own(so_far: Option<u64>, next: u64, binding: BindingId) -> u64 {
        SEEN.lock().unwrap().push((so_far, next, binding));
        so_far.unwrap_or(1000) + next
    }
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, u64, Host>::new("Test.Own", Some(|_| 1)).open().merging(Merge::Own(own));
    assert_eq!(event.raise(&ANY), Ok(1), "where the intrinsic handler stands alone its result counts");
    assert_eq!(SEEN.lock().unwrap().drain(..).count(), 0);
    let domain = Arc::new(DomainState::new(1));
    let guest = |_: &Turn| 30_u64;
    let two = event.install(giving(2)).unwrap();
    install_raw(&event, foreign(&domain, &guest)).unwrap();
    let thirty = ids(&event)[2];
    event.install(giving(9).when(|_| false)).unwrap();
    assert_eq!(event.raise(&ANY), Ok(1033));
    let seen: Vec<_> = SEEN.lock().unwrap().drain(..).collect();
    let wanted = [(None, 1, BindingId::INTRINSIC), (Some(1001), 2, two), (Some(1003), 30, thirty)];
    assert_eq!(seen, wanted, "whose guard is false is not among them");
    event.claim().unwrap().set_intrinsic(None).unwrap();
    [two, thirty].into_iter().for_each(|id| event.remove(id).unwrap());
    assert_eq!(event.raise(&ANY), Err(RaiseError::NoHandler), "and of nothing nothing is made");
    assert_eq!(SEEN.lock().unwrap().len(), 0);
    remove_all(&event);
    let id = event.install(giving(4)).unwrap();
    assert_eq!(event.raise(&ANY), Ok(1004), "a single one is shown, too");
    assert_eq!(*SEEN.lock().unwrap(), [(None, 4, id)]);
    event.remove(id).unwrap();
    world.drain();
}

/// Watching an event changes nothing about what it brings.
#[test]
fn where_the_intrinsic_handler_stands_alone_its_result_counts_even_if_watched() {
    let world = World::new();
    let _core = world.attach();
    let own = |_, result: u64, _| result + 1000;
    let event = Event::<Turn, u64, Host>::new("Test.Watched", Some(|_| 1)).open().merging(Merge::Own(own));
    event.any().observe::<Host>(1).unwrap();
    assert_eq!(event.raise(&ANY), Ok(1));
    event.any().unobserve::<Host>().unwrap();
    assert_eq!(event.raise(&ANY), Ok(1));
    world.drain();
}

#[test]
fn the_default_answers_when_nobody_else_does() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, u64, Host>::new("Test.Default", None)
        .open()
        .merging(Merge::Fold(|one, other| one + other))
        .otherwise(|turn| 100 + u64::from(turn.whose));
    let raise = |whose| event.raise(&Turn { whose });
    assert_eq!(raise(1), Ok(101), "nothing is installed");
    let one = event.install(giving(7).key(key!(Turn, whose), 1)).unwrap();
    assert_eq!([1, 2].map(raise), [Ok(7), Ok(102)], "with one that may be passed over");
    let rest = install_all(&event, [2, 3].map(|whose| giving(7).key(key!(Turn, whose), whose)));
    assert_eq!(kind(&event), PlanKind::Keyed);
    assert_eq!([1, 4].map(raise), [Ok(7), Ok(104)]);
    event.install(giving(9).when(|turn| turn.whose == 5)).unwrap();
    assert_eq!([1, 4, 5].map(raise), [Ok(7), Ok(104), Ok(9)], "it is not folded with what there is");
    let owner = event.claim().unwrap();
    owner.set_default(Some(|_| 200));
    assert_eq!(raise(4), Ok(200));
    owner.set_default(None);
    assert_eq!(raise(4), Err(RaiseError::NoHandler));
    assert_eq!(rest.len(), 2);
    remove_all(&event);
    assert_eq!(event.remove(one), Err(dispatcher::InstallError::Unknown));
    world.drain();
}

#[test]
fn the_default_answers_for_domains_that_were_closed() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, u64, Host>::new("Test.DefaultClosed", None).open().otherwise(|_| 100);
    let domain = Arc::new(DomainState::new(1));
    let guest = |_: &Turn| 30_u64;
    for _ in 0..2 {
        install_raw(&event, foreign(&domain, &guest)).unwrap();
    }
    assert_eq!(event.raise(&ANY), Ok(30));
    domain.close();
    assert_eq!(event.raise(&ANY), Ok(100));
    event.remove_domain(1).unwrap();
    world.drain();
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[test]
fn the_default_answers_for_those_that_were_cut() {
    use dispatcher::{Processor, landing};
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, [u64; 3], Host>::new("Test.DefaultCut", None).open().otherwise(|_| [100; 3]);
    let domain = Arc::new(DomainState::new(1));
    let failing = |_: &Turn| -> [u64; 3] {
        // SAFETY: the innermost border, with a landing in progress; no frame above holds anything.
        unsafe { landing::cut(Host::top()) }
    };
    for _ in 0..2 {
        install_raw(&event, foreign(&domain, &failing)).unwrap();
        assert_eq!(event.raise(&ANY), Ok([100; 3]));
    }
    event.claim().unwrap().set_default(None);
    assert_eq!(event.raise(&ANY), Err(RaiseError::Cut), "without one it is known why there is nothing");
    event.remove_domain(1).unwrap();
    world.drain();
}

/// A result of this type comes through a plan of each kind, from trusted code and a domain's.
fn check_size<R: Copy + PartialEq + std::fmt::Debug + Send + Sync + 'static>(make: fn(u8) -> R) {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Turn, R, Host>::new("Test.Size", None).open().merging(Merge::First);
    let raise = |whose| event.raise(&Turn { whose });
    let keyed = |value| giving(make(value)).key(key!(Turn, whose), u64::from(value));
    let domain = Arc::new(DomainState::new(1));
    let guest = move |turn: &Turn| make(turn.whose);

    event.install(giving(make(1))).unwrap();
    assert_eq!((kind(&event), raise(0)), (PlanKind::Single, Ok(make(1))));
    event.install(giving(make(2))).unwrap();
    assert_eq!((kind(&event), raise(0)), (PlanKind::Few, Ok(make(1))), "not torn by the second");
    remove_all(&event);

    install_raw(&event, foreign(&domain, &guest)).unwrap();
    assert_eq!((kind(&event), raise(5)), (PlanKind::Single, Ok(make(5))));
    event.install(giving(make(2)).order(dispatcher::Order::First)).unwrap();
    assert_eq!((kind(&event), raise(5)), (PlanKind::Few, Ok(make(2))));
    remove_all(&event);

    event.install(keyed(7)).unwrap();
    assert_eq!((kind(&event), raise(7)), (PlanKind::Single, Ok(make(7))));
    install_all(&event, [8, 9].map(keyed));
    assert_eq!(kind(&event), PlanKind::Keyed);
    assert_eq!([7, 8, 9].map(raise), [7, 8, 9].map(|value| Ok(make(value))));
    event.install(giving(make(3)).when(|turn| turn.whose > 8)).unwrap();
    assert_eq!([7, 8, 9].map(raise), [7, 8, 9].map(|value| Ok(make(value))));
    assert_eq!(raise(10), Ok(make(3)));
    remove_all(&event);

    event.install(giving(make(4)).bounded_ns(u64::MAX)).unwrap();
    assert_eq!((kind(&event), raise(0)), (PlanKind::General, Ok(make(4))));
    remove_all(&event);
    event.claim().unwrap().set_intrinsic(Some(|_| panic!("another stands for it"))).unwrap();
    world.drain();
}

#[test]
fn results_of_any_size_come_through_plans_of_any_kind() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(align(64))]
    struct Aligned(u8);
    check_size(|_| ());
    check_size(|byte| byte);
    check_size(|byte| byte % 2 == 0);
    check_size(|byte| (byte, u32::from(byte) + 1));
    check_size(|byte| [byte; 8]);
    check_size(|byte| [byte; 9]);
    check_size(|byte| u64::MAX - u64::from(byte));
    check_size(|byte| u128::MAX - u128::from(byte));
    check_size(|byte| [u64::from(byte); 100]);
    check_size(Aligned);
    check_size(|byte| Some(Aligned(byte)));
}
