//! A domain's guard has as long as its handler; what an owner imposes is his own business.

mod common;

use std::sync::Arc;

use common::{foreign, foreign_guard, guarded, install_raw, remove_all};
use dispatcher::{
    DomainState, Event, Guard, RaiseError, bound,
    host::{self, Host, World},
};

type Plain = Event<u64, u64, Host>;

/// So long that no test takes it really.
const HOUR_NS: u64 = 3_600_000_000_000;

fn overruns(event: &Plain) -> u64 {
    event.any().info::<Host>().bindings[0].overruns
}

#[test]
fn a_guard_has_as_long_as_its_handler() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Guard", None).open();
    let domain = Arc::new(DomainState::new(1));
    let looks = |time_ns: &u64| {
        assert!(bound::is_bounded::<Host>() && !bound::is_late::<Host>());
        host::let_pass(*time_ns);
        u8::from(*time_ns < 3 * HOUR_NS)
    };
    let answers = |_: &u64| {
        // The guard's time is not the handler's.
        assert!(!bound::is_late::<Host>());
        7
    };
    let handler = guarded(foreign::<u64, u64, _>(&domain, &answers), foreign_guard(&domain, &looks));
    install_raw(&event, handler.bounded_ns(HOUR_NS)).unwrap();
    assert_eq!((event.raise(&(HOUR_NS / 2)), overruns(&event)), (Ok(7), 0));
    assert_eq!((event.raise(&(2 * HOUR_NS)), overruns(&event)), (Ok(7), 1), "late, and uncut it says yes");
    assert_eq!((event.raise(&(4 * HOUR_NS)), overruns(&event)), (Err(RaiseError::NoHandler), 2));
    assert!(!bound::is_bounded::<Host>());
    remove_all(&event);
    world.drain();
}

#[test]
fn an_imposed_guard_is_not_bounded() {
    let world = World::new();
    let _core = world.attach();
    let event = Plain::new("Test.Imposed", None).open();
    let owner = event.claim().unwrap();
    let domain = Arc::new(DomainState::new(1));
    let answers = |_: &u64| 7;
    let id = install_raw(&event, foreign::<u64, u64, _>(&domain, &answers).bounded_ns(HOUR_NS)).unwrap();
    let imposed = Guard::predicate(|time_ns: &u64| {
        assert!(!bound::is_bounded::<Host>());
        host::let_pass(*time_ns);
        true
    });
    owner.impose(id, imposed).unwrap();
    assert_eq!((event.raise(&(2 * HOUR_NS)), overruns(&event)), (Ok(7), 0));
    remove_all(&event);
    world.drain();
}
