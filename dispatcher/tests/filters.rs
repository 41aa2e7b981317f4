//! Filters: handlers that change the arguments for those who come after them.

mod common;

use std::{
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{Census, install_all, kind, remove_all};
use dispatcher::{
    DomainState, Event, Handler, Merge,
    Order::{Before, First},
    Processor, RaiseError,
    handler::RawHandler,
    host::{self, Host, World},
    key,
    plan::PlanKind,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Args {
    number: u32,
    rest: [u8; 100],
}

fn args(number: u32) -> Args {
    Args { number, rest: [7; 100] }
}

/// Results come one after the other as digits.
type Digits = Event<Args, u64, Host>;

const fn digits(name: &'static str) -> Digits {
    Digits::new(name, None).open().merging(Merge::Fold(|so_far, next| so_far * 10 + next))
}

fn see() -> Handler<Args, u64> {
    Handler::trusted(|args: &Args| u64::from(args.number))
}

fn add(number: u32) -> Handler<Args, u64> {
    Handler::filter(move |args: &mut Args| {
        args.number += number;
        args.rest.fill(8);
        u64::from(args.number)
    })
}

/// Raises, and makes sure that nothing happened to what was raised.
fn raise(event: &Digits, number: u32) -> Result<u64, RaiseError> {
    let own = args(number);
    let result = event.raise(&own);
    assert_eq!(own, args(number), "the raiser's own arguments stay as they are");
    result
}

#[test]
fn a_filter_changes_the_arguments_for_those_who_come_after_it() {
    let world = World::new();
    let _core = world.attach();
    let event = digits("Test.Filter");
    install_all(&event, [see(), add(2), see(), add(3), see()]);
    assert_eq!(kind(&event), PlanKind::General);
    assert_eq!(raise(&event, 1), Ok(13_366));
    assert_eq!(raise(&event, 2), Ok(24_477), "each raise has a copy of its own");
    remove_all(&event);
    world.drain();
}

#[test]
fn a_filter_alone_works_on_a_copy_too() {
    let world = World::new();
    let _core = world.attach();
    let event = digits("Test.Alone");
    event.install(add(4)).unwrap();
    assert_eq!([raise(&event, 1), raise(&event, 1)], [Ok(5), Ok(5)]);
    remove_all(&event);
    world.drain();
}

#[test]
fn guards_and_keys_see_what_a_filter_left() {
    let world = World::new();
    let _core = world.attach();
    let event = digits("Test.FilterGuards");
    let before = event.install(see().key(key!(Args, number), 1)).unwrap();
    event.install(add(1)).unwrap();
    for number in 0..4 {
        event.install(see().key(key!(Args, number), number)).unwrap();
    }
    event.install(see().when(|args| args.number == 2)).unwrap();
    event.install(add(5).when(|args| args.number == 3)).unwrap();
    event.install(see()).unwrap();
    assert_eq!(raise(&event, 1), Ok(12_222));
    assert_eq!(raise(&event, 2), Ok(3388), "a filter has guards, too");
    assert_eq!(raise(&event, 5), Ok(66));
    event.remove(before).unwrap();
    assert_eq!(raise(&event, 1), Ok(2222));
    remove_all(&event);
    world.drain();
}

#[test]
fn a_filter_has_a_place_like_any_handler() {
    let world = World::new();
    let _core = world.attach();
    let event = digits("Test.FilterOrder");
    let last = install_all(&event, [see(), see()])[1];
    let first = event.install(add(1).order(First)).unwrap();
    assert_eq!(raise(&event, 1), Ok(222));
    let between = event.install(add(2).order(Before(last))).unwrap();
    assert_eq!(raise(&event, 1), Ok(2244));
    event.remove(first).unwrap();
    assert_eq!(raise(&event, 1), Ok(133));
    let see_instead = event.replace(between, see()).unwrap();
    assert_eq!(raise(&event, 1), Ok(111));
    event.remove(see_instead).unwrap();
    assert_eq!(kind(&event), PlanKind::Few);
    remove_all(&event);
    world.drain();
}

#[test]
fn no_copy_is_made_before_a_filter_is_called() {
    static SEEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Args, (), Host>::new("Test.NoCopy", None).open();
    let look = || Handler::trusted(|args: &Args| SEEN.lock().unwrap().push(ptr::from_ref(args).addr()));
    event.install(look()).unwrap();
    event.install(Handler::filter(|_: &mut Args| ()).when(|args| args.number == 1)).unwrap();
    event.install(look()).unwrap();
    let own = args(0);
    event.raise(&own).unwrap();
    assert_eq!(*SEEN.lock().unwrap(), [ptr::from_ref(&own).addr(); 2], "its guard was false");
    SEEN.lock().unwrap().clear();
    let own = args(1);
    event.raise(&own).unwrap();
    let seen: Vec<_> = SEEN.lock().unwrap().drain(..).collect();
    assert_eq!((seen[0] == ptr::from_ref(&own).addr(), seen[1] == seen[0]), (true, false));
    remove_all(&event);
    world.drain();
}

#[test]
fn a_raise_within_a_raise_has_another_copy() {
    static EVENT: Digits = digits("Test.NestedFilter");
    let world = World::new();
    let _core = world.attach();
    EVENT.install(add(1)).unwrap();
    EVENT
        .install(Handler::trusted(|args: &Args| match args.number {
            5.. => 9,
            _ => {
                let inner = EVENT.raise(args).unwrap();
                assert_eq!(args.rest, [8; 100]);
                inner % 10
            }
        }))
        .unwrap();
    EVENT.install(see()).unwrap();
    // 4, 5: the inner raise brings 5, 9, 5.
    assert_eq!(raise(&EVENT, 3), Ok(454));
    remove_all(&EVENT);
    world.drain();
}

/// The copy lies on the strand's stack, and stays with it while it sleeps.
#[test]
fn the_copy_outlives_a_sleep() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Arc::new(digits("Test.Sleep")), Census::default());
    event.install(add(1)).unwrap();
    event
        .install(Handler::trusted(move |args: &Args| {
            host::block(|| assert!(Host::top().is_null()));
            host::preempt(|| ());
            u64::from(args.number)
        }))
        .unwrap();
    let citizen = census.citizen();
    let counted = Handler::filter(move |args: &mut Args| {
        let _here = &citizen;
        args.number += 1;
        7
    });
    install_all(&event, [counted, see()]);
    assert_eq!(raise(&event, 1), Ok(2273));
    remove_all(&event);
    world.drain();
    assert_eq!(census.alive(), 0);
}

/// A domain's filter: its code is given the copy to write to.
#[test]
fn a_domain_filters_too() {
    unsafe extern "C" fn double(closure: *const (), args: *const (), result: *mut ()) {
        // SAFETY: the test passes a count as the closure.
        unsafe { &*closure.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the code of a filter is given what it may change.
        let args = unsafe { &mut *args.cast_mut().cast::<Args>() };
        args.number *= 2;
        // SAFETY: the event's result is a `u64`.
        unsafe { result.cast::<u64>().write(u64::from(args.number)) };
    }
    let world = World::new();
    let _core = world.attach();
    let event = digits("Test.ForeignFilter");
    let (domain, calls) = (Arc::new(DomainState::new(1)), AtomicUsize::new(0));
    for _ in 0..2 {
        // SAFETY: the code fits the event, and the count outlives the binding.
        let handler =
            unsafe { RawHandler::foreign(double, ptr::from_ref(&calls).cast(), domain.clone()) }.filter();
        // SAFETY: as above; the arguments may be copied.
        unsafe { event.install_raw(handler) }.unwrap();
    }
    event.install(see()).unwrap();
    assert_eq!(raise(&event, 2), Ok(488));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    domain.close();
    assert_eq!(raise(&event, 2), Ok(2), "where the domain is closed nothing is changed");
    assert!(event.any().info::<Host>().bindings[0].is_filter);
    event.remove_domain(1).unwrap();
    remove_all(&event);
    world.drain();
}
