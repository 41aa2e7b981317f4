//! Tests of the dispatcher in the booted kernel, on every core at once.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dispatcher::{Event, Handler, InstallError, RaiseError, plan::PlanKind};

use crate::{
    ktest::{Random, core_count, everywhere, ktest},
    strands::{Cpu, housekeeper},
};

/// An event without a handler of its own.
static BARE: Event<u64, u64, Cpu> = Event::new("Test.Bare", None).open();
/// One that has one.
static DOUBLE: Event<u64, u64, Cpu> = Event::new("Test.Double", Some(|number| number * 2)).open();
/// One whose handler raises it again.
static NEST: Event<u64, u64, Cpu> = Event::new("Test.Nest", None).open();

/// Counts those that are alive.
struct Citizen(Arc<AtomicUsize>);

impl Citizen {
    fn new(census: &Arc<AtomicUsize>) -> Self {
        census.fetch_add(1, Ordering::Relaxed);
        Self(census.clone())
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[ktest]
fn raises_run_what_is_installed() {
    assert_eq!((BARE.raise(&1), DOUBLE.raise(&4)), (Err(RaiseError::NoHandler), Ok(8)));
    let first = BARE.install(Handler::trusted(|number: &u64| number + 1)).unwrap();
    assert_eq!(BARE.raise(&1), Ok(2));
    let second = BARE.install(Handler::trusted(|number: &u64| number + 10)).unwrap();
    assert_eq!((BARE.raise(&1), BARE.any().info::<Cpu>().kind), (Ok(11), PlanKind::Few));
    let third = DOUBLE.install(Handler::trusted(|number: &u64| number * 100)).unwrap();
    assert_eq!(DOUBLE.raise(&4), Ok(400), "the intrinsic handler first, the installed one last");
    assert_eq!(BARE.remove(second), Ok(()));
    assert_eq!((BARE.raise(&1), BARE.remove(second)), (Ok(2), Err(InstallError::Unknown)));
    assert_eq!((BARE.remove(first), DOUBLE.remove(third)), (Ok(()), Ok(())));
    assert_eq!((BARE.raise(&1), DOUBLE.raise(&4)), (Err(RaiseError::NoHandler), Ok(8)));
    assert_eq!(BARE.any().info::<Cpu>().kind, PlanKind::Empty);
}

#[ktest]
fn closures_are_dropped_once_and_not_early() {
    let census = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let citizen = Citizen::new(&census);
        let handler = Handler::trusted(move |number: &u64| number + citizen.0.load(Ordering::Relaxed) as u64);
        let id = BARE.install(handler).unwrap();
        assert_eq!(BARE.raise(&5), Ok(6));
        housekeeper::settle();
        assert_eq!(census.load(Ordering::Relaxed), 1);
        BARE.remove(id).unwrap();
        housekeeper::settle();
        assert_eq!(census.load(Ordering::Relaxed), 0);
    }
    // Many on one event, and all away at once.
    let install = |_| {
        let citizen = Citizen::new(&census);
        let handler = Handler::trusted(move |_: &u64| citizen.0.load(Ordering::Relaxed) as u64);
        BARE.install(handler).expect("there is room")
    };
    let ids: Vec<_> = (0..60).map(install).collect();
    assert_eq!(BARE.raise(&1), Ok(60));
    housekeeper::settle();
    assert_eq!(census.load(Ordering::Relaxed), ids.len());
    ids.into_iter().for_each(|id| BARE.remove(id).unwrap());
    housekeeper::settle();
    assert_eq!(census.load(Ordering::Relaxed), 0);
}

#[ktest]
fn installs_and_removes_everywhere_while_all_raise() {
    static CALLED: AtomicU64 = AtomicU64::new(0);
    let census = Arc::new(AtomicUsize::new(0));
    let rounds = 300 / core_count() + 20;
    let citizens = census.clone();
    everywhere(move |core| {
        let mut random = Random::new(core);
        for _ in 0..rounds {
            let citizen = Citizen::new(&citizens);
            let handler = Handler::trusted(move |number: &u64| {
                assert!(citizen.0.load(Ordering::Relaxed) > 0, "called after it was dropped");
                CALLED.fetch_add(1, Ordering::Relaxed);
                number + 7
            });
            let id = BARE.install(handler).expect("there is room for a handler of every core");
            // One is installed while this strand raises, its own, whatever the others do.
            for _ in 0..random.below(20) {
                let number = random.next() >> 8;
                assert_eq!(BARE.raise(&number), Ok(number + 7));
            }
            assert_eq!(BARE.remove(id), Ok(()));
            // Now there may be none; if there is one, it answers right.
            let answer = BARE.raise(&1);
            assert!(matches!(answer, Ok(8) | Err(RaiseError::NoHandler)), "{answer:?}");
        }
    });
    assert!(CALLED.load(Ordering::Relaxed) > 0);
    assert_eq!(BARE.raise(&1), Err(RaiseError::NoHandler));
    housekeeper::settle();
    assert_eq!(census.load(Ordering::Relaxed), 0);
}

#[ktest]
fn a_removed_handler_is_called_no_more() {
    everywhere(|_| {
        for _ in 0..50 {
            let calls = Arc::new(AtomicU64::new(0));
            let counter = calls.clone();
            let handler = Handler::trusted(move |_: &u64| counter.fetch_add(1, Ordering::Relaxed));
            let id = DOUBLE.install(handler).unwrap();
            DOUBLE.raise(&1).unwrap();
            DOUBLE.remove(id).unwrap();
            // This strand's raises begin after the removal; others' may have begun before.
            housekeeper::wait_for_grace();
            let before = calls.load(Ordering::Relaxed);
            assert!(before > 0);
            (0..20).for_each(|_| _ = DOUBLE.raise(&1));
            assert_eq!(calls.load(Ordering::Relaxed), before);
        }
    });
}

#[ktest]
fn raises_nest() {
    let id = NEST
        .install(Handler::trusted(|depth: &u64| match depth {
            0 => 0,
            _ => NEST.raise(&(depth - 1)).map_or(u64::MAX, |below| below + 1),
        }))
        .unwrap();
    everywhere(|_| {
        for depth in 0..20 {
            assert_eq!(NEST.raise(&depth), Ok(depth));
        }
    });
    assert_eq!(NEST.remove(id), Ok(()));
}

#[ktest]
fn a_handler_may_remove_itself_and_install_another() {
    static OWN: AtomicU64 = AtomicU64::new(0);
    for _ in 0..20 {
        let id = BARE
            .install(Handler::trusted(|_: &u64| {
                let own = dispatcher::BindingId::from_number(OWN.load(Ordering::Relaxed));
                BARE.remove(own).expect("it is installed");
                let next = BARE.install(Handler::trusted(|number: &u64| number + 2)).expect("there is room");
                OWN.store(next.number(), Ordering::Relaxed);
                1
            }))
            .unwrap();
        OWN.store(id.number(), Ordering::Relaxed);
        assert_eq!((BARE.raise(&0), BARE.raise(&5)), (Ok(1), Ok(7)));
        BARE.remove(dispatcher::BindingId::from_number(OWN.load(Ordering::Relaxed))).unwrap();
    }
}
