//! What happens when the code of a domain is cut.
#![cfg(all(target_arch = "x86_64", not(miri)))]

mod common;

use std::{
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use common::{elsewhere, enter_with, install_foreign, outer_round};
use dispatcher::{
    BindingId, DomainState, EnterError, Event, Handler, Processor, RaiseError, border,
    handler::RawHandler,
    host::{self, Host, World},
    landing,
};

type Plain = Event<u32, u32, Host>;

fn cut_here() -> ! {
    // SAFETY: the innermost border, with a landing in progress; no frame above holds anything.
    unsafe { landing::cut(Host::top()) }
}

#[test]
fn a_cut_lands_at_the_raise() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Cut", None).open();
    let domain = Arc::new(DomainState::new(1));
    let failing = |_: &u32| -> u32 { cut_here() };
    install_foreign(&event, &domain, &failing).unwrap();
    for _ in 0..3 {
        assert_eq!(event.raise(&3), Err(RaiseError::Cut));
        assert!(Host::top().is_null());
    }
    assert_eq!(enter_with(&domain, &failing), Err(EnterError::Cut));
    assert!(Host::top().is_null());
    event.remove_domain(1).unwrap();
    assert!(world.drain() > 0);
}

#[test]
fn after_a_cut_the_other_handlers_run_and_their_result_counts() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Others", None).open();
    let domain = Arc::new(DomainState::new(1));
    let failing = |_: &u32| -> u32 { cut_here() };
    let ids = [
        event.install(Handler::trusted(|number: &u32| number + 1)).unwrap(),
        install_foreign(&event, &domain, &failing).unwrap(),
    ];
    assert_eq!(event.raise(&3), Ok(4), "of the one before");
    let last = event.install(Handler::trusted(|number: &u32| number + 2)).unwrap();
    assert_eq!(event.raise(&3), Ok(5), "of the one after");
    ids.into_iter().chain([last]).for_each(|id: BindingId| event.remove(id).unwrap());
    world.drain();
}

#[test]
fn a_cut_gives_up_what_was_held() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Held", None).open();
    let domain = Arc::new(DomainState::new(1));
    let failing = |_: &u32| -> u32 {
        host::block(|| {
            event.remove_domain(1).unwrap();
            world.drain();
            assert_eq!(domain.sleepers(), 1);
        });
        cut_here()
    };
    install_foreign(&event, &domain, &failing).unwrap();
    assert_eq!(event.raise(&3), Err(RaiseError::Cut));
    assert_eq!(domain.sleepers(), 0);
    assert_eq!(world.drain(), 1, "the plan");
    assert_eq!(Arc::strong_count(&domain), 1);
}

#[test]
fn an_inner_cut_leaves_the_outer_handler_running() {
    let world = World::new();
    let _core = world.attach();
    let (outer, inner) = (Plain::new("Test.Outer", None).open(), Plain::new("Test.Inner", None).open());
    let domains = [1, 2].map(|id| Arc::new(DomainState::new(id)));
    let failing = |_: &u32| -> u32 {
        // SAFETY: this strand's own borders, which stay open meanwhile.
        let ids: Vec<_> = unsafe { border::outwards(Host::top()) }
            .map(|border| border.domain().map(DomainState::id))
            .collect();
        assert_eq!(ids, [Some(2), Some(1)]);
        drop(ids);
        cut_here()
    };
    // Kept in callee-saved registers across the cut, if anything is.
    let outermost = |number: &u32| {
        let (a, b, c, d, e) = (number + 1, number * 2, number * 3, number * 5, number * 7);
        assert_eq!(inner.raise(number), Err(RaiseError::Cut));
        a + b + c + d + e
    };
    install_foreign(&inner, &domains[1], &failing).unwrap();
    install_foreign(&outer, &domains[0], &outermost).unwrap();
    assert_eq!(outer.raise(&3), Ok(3 * 18 + 1));
    assert!(Host::top().is_null());
    outer.remove_domain(1).unwrap();
    inner.remove_domain(2).unwrap();
    world.drain();
}

type Pair = [u64; 64];

/// Writes half of its result, and fails.
unsafe extern "C" fn half(_closure: *const (), _args: *const (), result: *mut ()) {
    // SAFETY: the event's result has room for more.
    unsafe { result.cast::<[u64; 32]>().write([u64::MAX; 32]) };
    cut_here()
}

#[test]
fn a_cut_does_not_tear_the_result_of_another_handler() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, Pair, Host>::new("Test.Torn", Some(|_| [1; 64])).open();
    let domain = Arc::new(DomainState::new(1));
    // SAFETY: the code of a handler that fits the event, and needs no closure.
    let handler = unsafe { RawHandler::foreign(half, ptr::null(), domain) };
    // SAFETY: as above.
    let id = unsafe { event.install_raw(handler) }.unwrap();
    assert_eq!(event.raise(&3), Ok([1; 64]));
    event.remove(id).unwrap();
    world.drain();
}

#[test]
fn who_was_marked_and_cut_repins_all_the_same() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Marked", None).open();
    let domain = Arc::new(DomainState::new(1));
    let failing = |_: &u32| -> u32 {
        elsewhere(|| world.keep());
        host::poll();
        cut_here()
    };
    install_foreign(&event, &domain, &failing).unwrap();
    world.retired().after_grace(|| ());
    assert_eq!(event.raise(&3), Err(RaiseError::Cut));
    outer_round(world);
    event.remove_domain(1).unwrap();
    world.drain();
}

#[test]
fn a_cut_of_many_counts_each() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Many", None).open();
    let domain = Arc::new(DomainState::new(1));
    let calls = AtomicU32::new(0);
    let failing = |_: &u32| -> u32 {
        calls.fetch_add(1, Ordering::Relaxed);
        cut_here()
    };
    for _ in 0..5 {
        install_foreign(&event, &domain, &failing).unwrap();
    }
    assert_eq!(event.raise(&3), Err(RaiseError::Cut));
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    domain.close();
    assert_eq!(event.raise(&3), Err(RaiseError::NoHandler));
    event.remove_domain(1).unwrap();
    world.drain();
}
