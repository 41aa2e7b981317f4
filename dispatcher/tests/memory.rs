//! No memory for a new plan: an error, and the old one stands.
#![cfg(not(miri))]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use common::{Census, foreign, ids, install_all, install_raw};
use dispatcher::{
    BindingId, DomainState, Event, Guard, Handler, InstallError, Merge, Transaction,
    event::Failure,
    host::{Host, World},
    key,
};

/// Fails a thread's nth allocation from now on, of those that are large or are a plan.
struct Meager;

thread_local! {
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What an event of many handlers needs is larger than this; what is made with each handler is not.
const LARGE: usize = 8 * 1024;
/// Plans are aligned so.
const ALIGNED: usize = 64;

fn is_refused(layout: Layout) -> bool {
    if layout.size() < LARGE && layout.align() < ALIGNED {
        return false;
    }
    LEFT.try_with(|left| {
        let count = left.get();
        left.set(count.and_then(|count| count.checked_sub(1)));
        count == Some(0)
    })
    .unwrap_or(false)
}

// SAFETY: all is the system's, or there is nothing.
unsafe impl GlobalAlloc for Meager {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the size was checked by the caller, and the alignment is that of a layout.
        if is_refused(unsafe { Layout::from_size_align_unchecked(size, layout.align()) }) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Meager = Meager;

/// Tries with ever more memory until `attempt` succeeds; says how often it did not.
fn until_it_succeeds<T>(mut attempt: impl FnMut() -> Option<T>) -> (usize, T) {
    for allocations in 0..100 {
        LEFT.set(Some(allocations));
        let result = attempt();
        LEFT.set(None);
        if let Some(result) = result {
            return (allocations, result);
        }
    }
    panic!("that cannot take so much");
}

/// What it brought, if it was not for want of memory; from now on there is enough of it.
fn unless_meager<T>(result: Result<T, InstallError>) -> Option<T> {
    LEFT.set(None);
    match result {
        Ok(value) => Some(value),
        Err(InstallError::OutOfMemory) => None,
        Err(other) => panic!("{other}"),
    }
}

#[derive(Clone, Copy)]
struct Number {
    number: u64,
}

type Sum = Event<Number, u64, Host>;

/// An event with so many handlers that all that is made for it is large: some with keys, some in order.
fn crowded(name: &'static str) -> Sum {
    let event = Sum::new(name, Some(|_| 1)).open().merging(Merge::Fold(|one, other| one + other));
    let handler = |number: u64| Handler::trusted(|_: &Number| 2).key(key!(Number, number), number / 2);
    let last = install_all(&event, [Handler::trusted(|_| 0).order(dispatcher::Order::Last)]);
    let all = (0..1200).fold(Transaction::new(), |all, number| all.install(&event, handler(number)));
    all.install(&event, Handler::trusted(|_| 0).order(dispatcher::Order::Before(last[0]))).commit().unwrap();
    event
}

const SEVEN: Number = Number { number: 7 };
/// The intrinsic handler's and those of two keyed ones.
const FIVE: Result<u64, dispatcher::RaiseError> = Ok(5);

fn counted(census: &Census) -> Handler<Number, u64> {
    let citizen = census.citizen();
    Handler::trusted(move |_: &Number| {
        let _here = &citizen;
        10
    })
}

#[test]
fn whatever_cannot_be_allocated_nothing_is_changed() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (crowded("Test.Meager"), Census::default());
    let before = ids(&event);
    let check = |what: &str| {
        assert_eq!((event.raise(&SEVEN), ids(&event) == before), (FIVE, true), "{what}");
        assert_eq!(census.alive(), 0, "{what}");
    };
    let (failures, id) = until_it_succeeds(|| {
        let id = unless_meager(event.install(counted(&census)));
        id.is_none().then(|| check("install"));
        id
    });
    assert!(failures >= 6, "the draft, order, entries, index and the plan, but only {failures} of them");
    assert_eq!(event.raise(&SEVEN), Ok(15));
    until_it_succeeds(|| {
        let removed = unless_meager(event.remove(id));
        removed.is_none().then(|| assert_eq!(event.raise(&SEVEN), Ok(15)));
        removed
    });
    world.drain();
    check("remove");
    let owner = event.claim().unwrap();
    until_it_succeeds(|| {
        let set = unless_meager(owner.set_bound_ns(Some(u64::MAX)));
        set.is_none().then(|| check("bound"));
        set
    });
    until_it_succeeds(|| {
        let set = unless_meager(owner.impose(before[2], Guard::predicate(|_| true)));
        set.is_none().then(|| check("impose"));
        set
    });
    until_it_succeeds(|| {
        let set = unless_meager(owner.set_merge(Merge::First));
        set.is_none().then(|| check("policy"));
        set
    });
    assert_eq!(event.raise(&SEVEN), Ok(1), "the intrinsic handler's");
    until_it_succeeds(|| {
        let seen = unless_meager(event.any().observe::<Host>(1));
        seen.is_none().then(|| assert!(!event.any().info::<Host>().is_observed));
        seen
    });
    assert!(event.any().info::<Host>().is_observed);
    until_it_succeeds(|| {
        let over = unless_meager(event.any().unobserve::<Host>());
        assert_eq!(event.any().info::<Host>().is_observed, over.is_none());
        over
    });
    world.drain();
}

#[test]
fn what_replaces_comes_whole_or_not_at_all() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (crowded("Test.MeagerReplace"), Census::default());
    let domain = Arc::new(DomainState::new(1));
    let handler = |_: &Number| 10_u64;
    let old = event.install(Handler::trusted(|_| 100)).unwrap();
    let (failures, new) = until_it_succeeds(|| {
        // SAFETY: the handler fits the event.
        let new = unless_meager(unsafe { event.replace_raw(old, foreign(&domain, &handler), None) });
        let wanted = (if new.is_none() { Ok(105) } else { Ok(15) }, usize::from(new.is_some()));
        assert_eq!((event.raise(&SEVEN), domain.handlers()), wanted);
        new
    });
    assert!(failures >= 6);
    until_it_succeeds(|| {
        let third = unless_meager(event.replace(new, counted(&census)));
        let wanted = (usize::from(third.is_none()), usize::from(third.is_some()));
        assert_eq!((domain.handlers(), census.alive()), wanted);
        third
    });
    world.drain();
    assert_eq!((event.raise(&SEVEN), Arc::strong_count(&domain)), (Ok(15), 1));
}

#[test]
fn a_transaction_is_made_of_all_or_of_nothing() {
    let world = World::new();
    let _core = world.attach();
    let census = Census::default();
    let events = ["Test.MeagerOne", "Test.MeagerTwo", "Test.MeagerThree"].map(crowded);
    let domain = Arc::new(DomainState::new(1));
    let handler = |_: &Number| 20_u64;
    let old: Vec<BindingId> =
        events.iter().map(|event| install_raw(event, foreign(&domain, &handler)).unwrap()).collect();
    let (failures, new) = until_it_succeeds(|| {
        let all = Transaction::new().install(&events[0], counted(&census)).replace(
            &events[2],
            old[2],
            counted(&census),
        );
        // SAFETY: the handler fits the event.
        let all = unsafe { all.install_raw(&events[1], foreign(&domain, &handler)) };
        // SAFETY: as above.
        let all = unsafe { all.install_raw(&events[1], foreign(&domain, &handler)) };
        let result = all.commit();
        LEFT.set(None);
        match result {
            Ok(new) => Some(new),
            Err(Failure { step: 0..4, why: InstallError::OutOfMemory }) => {
                assert_eq!((census.alive(), domain.handlers()), (0, 3));
                assert_eq!(events.each_ref().map(|event| event.raise(&SEVEN)), [Ok(25); 3]);
                None
            }
            Err(other) => panic!("{other}"),
        }
    });
    assert!(failures >= 18, "as much as for three events, but {failures}");
    assert_eq!(new.len(), 4);
    assert_eq!(events.each_ref().map(|event| event.raise(&SEVEN)), [Ok(35), Ok(65), Ok(15)]);
    assert_eq!(domain.handlers(), 4);
    until_it_succeeds(|| {
        let all = Transaction::new().remove(&events[2], new[1]).remove(&events[0], new[0]);
        let result = all.install(&events[1], counted(&census)).commit();
        LEFT.set(None);
        let wanted = [Ok(35), Ok(65), Ok(15)].map(|before| match (result.is_err(), before) {
            (true, _) => before,
            (false, Ok(65)) => Ok(75),
            (false, before) => before.map(|sum| sum - 10),
        });
        assert_eq!(events.each_ref().map(|event| event.raise(&SEVEN)), wanted);
        result.ok()
    });
    world.drain();
    assert_eq!(census.alive(), 1);
}

#[test]
fn the_intrinsic_handler_is_another_only_if_there_was_memory_for_that() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Number, u64, Host>::new("Test.MeagerIntrinsic", Some(|_| 1)).open();
    let owner = event.claim().unwrap();
    let id = event.install(Handler::trusted(|_| 2).when(|_| false)).unwrap();
    // The plan alone is wanting.
    LEFT.set(Some(0));
    assert_eq!(owner.set_intrinsic(Some(|_| 3)), Err(InstallError::OutOfMemory));
    LEFT.set(None);
    assert_eq!(event.raise(&SEVEN), Ok(1));
    event.remove(id).unwrap();
    assert_eq!(event.raise(&SEVEN), Ok(1), "nor is it when it stands alone again");
    world.drain();
}
