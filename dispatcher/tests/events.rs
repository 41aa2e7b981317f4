//! What raising, installing and removing mean.

mod common;

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use common::install_foreign;
use dispatcher::{
    BindingId, DomainState, Event, Handler, InstallError, RaiseError,
    host::{self, Host, Place, World},
    plan::{LEAST_STACK, PlanKind},
};

/// Arguments that note who was called.
type Visitors = RefCell<Vec<u32>>;

fn visit(number: u32) -> Handler<Visitors, u32> {
    Handler::trusted(move |visitors: &Visitors| {
        visitors.borrow_mut().push(number);
        number
    })
}

fn raise(event: &Event<Visitors, u32, Host>) -> (Result<u32, RaiseError>, Vec<u32>) {
    let visitors = Visitors::default();
    let result = event.raise(&visitors);
    (result, visitors.into_inner())
}

fn intrinsic(visitors: &Visitors) -> u32 {
    visitors.borrow_mut().push(0);
    100
}

#[test]
fn without_handlers_the_intrinsic_one_runs() {
    let event = Event::<Visitors, u32, Host>::new("Test.Intrinsic", Some(intrinsic)).open();
    assert_eq!(raise(&event), (Ok(100), vec![0]));
    assert_eq!(event.any().info::<Host>().kind, PlanKind::Intrinsic);
}

#[test]
fn without_any_handler_raising_says_so() {
    let event = Event::<Visitors, u32, Host>::new("Test.Empty", None).open();
    assert_eq!(raise(&event), (Err(RaiseError::NoHandler), vec![]));
}

#[test]
fn handlers_run_after_the_intrinsic_one_in_order_of_installation() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Visitors, u32, Host>::new("Test.Order", Some(intrinsic)).open();
    let ids: Vec<_> = (1..=3).map(|number| event.install(visit(number)).unwrap()).collect();
    assert_eq!(raise(&event), (Ok(3), vec![0, 1, 2, 3]), "and the last result counts");
    let info = event.any().info::<Host>();
    assert_eq!((info.name, info.kind), ("Test.Order", PlanKind::Few));
    let listed: Vec<_> = info.bindings.iter().map(|binding| (binding.id, binding.domain)).collect();
    let all = [BindingId::INTRINSIC].iter().chain(&ids).map(|id| (*id, None));
    assert_eq!(listed, all.collect::<Vec<_>>());

    event.remove(ids[1]).unwrap();
    assert_eq!(raise(&event), (Ok(3), vec![0, 1, 3]));
    event.remove(ids[2]).unwrap();
    assert_eq!(raise(&event), (Ok(1), vec![0, 1]));
    event.remove(ids[0]).unwrap();
    assert_eq!(raise(&event), (Ok(100), vec![0]));
    assert_eq!(event.any().info::<Host>().bindings.len(), 1, "the intrinsic one");
    assert_eq!(event.any().info::<Host>().kind, PlanKind::Intrinsic);
    world.drain();
}

#[test]
fn one_handler_alone_makes_a_single_plan() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Visitors, u32, Host>::new("Test.Single", None).open();
    let id = event.install(visit(7)).unwrap();
    assert_eq!(event.any().info::<Host>().kind, PlanKind::Single);
    assert_eq!(raise(&event), (Ok(7), vec![7]));
    event.remove(id).unwrap();
    assert_eq!(raise(&event).0, Err(RaiseError::NoHandler));
    world.drain();
}

#[test]
fn what_was_removed_is_unknown() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Visitors, u32, Host>::new("Test.Unknown", None).open();
    let other = Event::<Visitors, u32, Host>::new("Test.Other", None).open();
    let id = event.install(visit(1)).unwrap();
    assert_eq!(other.remove(id), Err(InstallError::Unknown));
    assert_eq!(event.remove(BindingId::from_number(u64::MAX)), Err(InstallError::Unknown));
    assert_eq!(event.remove(BindingId::from_number(id.number())), Ok(()));
    assert_eq!(event.remove(id), Err(InstallError::Unknown));
    world.drain();
}

/// Counts its destruction, if no lock of the dispatcher can be held around it.
struct LastWill(Arc<AtomicU32>);

impl Drop for LastWill {
    fn drop(&mut self) {
        self.0.fetch_add(u32::from(host::is_preemptible()), Ordering::Relaxed);
    }
}

#[test]
fn an_event_takes_so_many_handlers_and_no_more() {
    const MOST: usize = 20;
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, u32, Host>::new("Test.TooMany", None).open();
    event.claim().unwrap().set_most_handlers(MOST).unwrap();
    let domain = Arc::new(DomainState::new(5));
    let procedure = |number: &u32| *number;
    for _ in 0..MOST {
        install_foreign(&event, &domain, &procedure).unwrap();
    }
    let was_dropped = Arc::new(AtomicU32::new(0));
    let last_will = LastWill(was_dropped.clone());
    let refused = Handler::trusted(move |number: &u32| {
        let _here = &last_will;
        *number
    });
    assert_eq!(event.install(refused), Err(InstallError::TooMany));
    assert_eq!(was_dropped.load(Ordering::Relaxed), 1, "what was refused is dropped, under no lock");
    assert_eq!(event.raise(&1), Ok(1));
    assert_eq!(event.remove_domain(5), Ok(MOST));
    world.drain();
}

#[test]
fn a_domain_has_so_many_handlers_and_no_more() {
    let world = World::new();
    let _core = world.attach();
    let events = ["Test.One", "Test.Two"].map(|name| Event::<u32, u32, Host>::new(name, None).open());
    let domain = Arc::new(DomainState::new(5).with_most_handlers(2));
    let procedure = |number: &u32| *number;
    let first = install_foreign(&events[0], &domain, &procedure).unwrap();
    install_foreign(&events[1], &domain, &procedure).unwrap();
    assert_eq!(install_foreign(&events[0], &domain, &procedure), Err(InstallError::Quota));
    events[0].remove(first).unwrap();
    assert_eq!(domain.handlers(), 1);
    install_foreign(&events[1], &domain, &procedure).unwrap();
    assert_eq!(install_foreign(&events[0], &domain, &procedure), Err(InstallError::Quota));
    assert_eq!(events[1].remove_domain(5), Ok(2));
    assert_eq!(domain.handlers(), 0);
    world.drain();
}

#[test]
fn a_handler_removes_itself_and_its_successor() {
    static EVENT: Event<Visitors, u32, Host> = Event::new("Test.Suicide", None).open();
    static IDS: Mutex<Vec<BindingId>> = Mutex::new(Vec::new());
    let world = World::new();
    let _core = world.attach();
    let first = EVENT
        .install(Handler::trusted(|visitors: &Visitors| {
            visitors.borrow_mut().push(1);
            IDS.lock().unwrap().drain(..).for_each(|id| EVENT.remove(id).unwrap());
            1
        }))
        .unwrap();
    let second = EVENT.install(visit(2)).unwrap();
    *IDS.lock().unwrap() = vec![first, second];
    assert_eq!(raise(&EVENT), (Ok(2), vec![1, 2]), "a raise that has begun goes on with its plan");
    assert_eq!(raise(&EVENT).0, Err(RaiseError::NoHandler));
    world.drain();
}

#[test]
fn a_handler_installs_another() {
    static EVENT: Event<Visitors, u32, Host> = Event::new("Test.Install", None).open();
    static SECOND: OnceLock<BindingId> = OnceLock::new();
    let world = World::new();
    let _core = world.attach();
    let first = EVENT
        .install(Handler::trusted(|visitors: &Visitors| {
            visitors.borrow_mut().push(1);
            SECOND.get_or_init(|| EVENT.install(visit(2)).unwrap());
            1
        }))
        .unwrap();
    assert_eq!(raise(&EVENT), (Ok(1), vec![1]));
    assert_eq!(raise(&EVENT), (Ok(2), vec![1, 2]));
    EVENT.remove(first).unwrap();
    EVENT.remove(*SECOND.get().unwrap()).unwrap();
    world.drain();
}

#[test]
fn raises_nest() {
    static EVENT: Event<u32, u32, Host> = Event::new("Test.Factorial", None).open();
    let world = World::new();
    let _core = world.attach();
    let id = EVENT
        .install(Handler::trusted(|number: &u32| match number {
            0 => 1,
            number => number * EVENT.raise(&(number - 1)).unwrap(),
        }))
        .unwrap();
    assert_eq!(EVENT.raise(&10), Ok(3_628_800));
    EVENT.remove(id).unwrap();
    world.drain();
}

#[test]
fn a_closed_domain_is_not_entered() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, u32, Host>::new("Test.Closed", None).open();
    let domain = Arc::new(DomainState::new(5));
    let calls = AtomicU32::new(0);
    let procedure = |number: &u32| {
        calls.fetch_add(1, Ordering::Relaxed);
        *number
    };
    install_foreign(&event, &domain, &procedure).unwrap();
    install_foreign(&event, &domain, &procedure).unwrap();
    assert_eq!(event.raise(&3), Ok(3));
    assert!(domain.close() && !domain.close());
    assert_eq!(event.raise(&3), Err(RaiseError::NoHandler));
    assert_eq!(install_foreign(&event, &domain, &procedure), Err(InstallError::Closed));
    assert_eq!(event.remove_domain(4), Ok(0));
    assert_eq!(event.remove_domain(5), Ok(2));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    world.drain();
    assert_eq!(Arc::strong_count(&domain), 1);
}

#[test]
fn where_every_domain_is_closed_the_intrinsic_handler_stays() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<Visitors, u32, Host>::new("Test.Fallback", Some(intrinsic)).open();
    let domain = Arc::new(DomainState::new(5));
    let procedure = |_: &Visitors| 1;
    let id = install_foreign(&event, &domain, &procedure).unwrap();
    assert_eq!(raise(&event), (Ok(1), vec![0]));
    domain.close();
    assert_eq!(raise(&event), (Ok(100), vec![0]));
    event.remove(id).unwrap();
    world.drain();
}

/// An installation that passed its first look while the domain was being retired.
#[test]
fn nothing_is_installed_behind_the_back_of_a_retiring_domain() {
    let world = World::new();
    let _core = world.attach();
    static EVENT: Event<u32, u32, Host> = Event::new("Test.Behind", None).open();
    let domain = Arc::new(DomainState::new(9));
    let procedure = |number: &u32| *number;
    let retiring = domain.clone();
    host::at(Place::Unpreempted, move || {
        retiring.close();
        assert_eq!(EVENT.remove_domain(9), Ok(0));
    });
    assert_eq!(install_foreign(&EVENT, &domain, &procedure), Err(InstallError::Closed));
    assert!(EVENT.any().info::<Host>().bindings.is_empty());
    world.drain();
    assert_eq!(Arc::strong_count(&domain), 1, "nothing of a retired domain is left on the event");
}

#[test]
fn too_little_stack_is_an_error_and_calls_nobody() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, u32, Host>::new("Test.Stack", None).open();
    let domain = Arc::new(DomainState::new(5));
    let procedure = |number: &u32| *number;
    let id = install_foreign(&event, &domain, &procedure).unwrap();
    host::set_stack_left(LEAST_STACK - 1);
    assert_eq!(event.raise(&3), Err(RaiseError::OutOfStack));
    host::set_stack_left(LEAST_STACK);
    assert_eq!(event.raise(&3), Ok(3));
    host::set_stack_left(host::STACK);
    event.remove(id).unwrap();
    world.drain();
}

#[test]
fn a_result_may_be_of_any_size() {
    let world = World::new();
    let _core = world.attach();
    let unit = Event::<(), (), Host>::new("Test.Unit", None).open();
    let id = unit.install(Handler::trusted(|(): &()| ())).unwrap();
    assert_eq!(unit.raise(&()), Ok(()));
    unit.remove(id).unwrap();
    let large = Event::<u64, [u64; 100], Host>::new("Test.Large", None).open();
    let ids = [1, 2]
        .map(|factor| large.install(Handler::trusted(move |number: &u64| [number * factor; 100])).unwrap());
    assert_eq!(large.raise(&21), Ok([42; 100]));
    ids.iter().for_each(|id| large.remove(*id).unwrap());
    world.drain();
}
