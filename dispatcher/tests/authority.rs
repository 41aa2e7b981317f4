//! What the owner of an event may do, and nobody else.

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use common::{
    Census, Parcel, foreign, ids, install_all, install_raw, intrinsic, kind, many, remove_all, send, visit,
    visitors,
};
use dispatcher::{
    BindingId, DomainState, Event, Guard, Handler, InstallError, Merge, Order, RaiseError, Request, Terms,
    Verdict,
    event::{Denial, MOST_HANDLERS, Operation},
    host::{self, Host, World},
    key,
    plan::PlanKind,
};

type Post = Event<Parcel, u32, Host>;

#[test]
fn the_authority_is_given_once() {
    let event = Post::new("Test.Claim", None);
    let claims = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                if let Some(owner) = event.claim() {
                    assert!(std::ptr::eq(owner.event(), &event));
                    claims.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(claims.into_inner(), 1);
    assert!(event.claim().is_none(), "not even when he has let go of it");
}

#[test]
fn without_an_authorizer_nobody_but_the_owner_installs() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Post::new("Test.Closed", Some(intrinsic)), Census::default());
    let citizen = census.citizen();
    let counted = Handler::trusted(move |_: &Parcel| {
        let _here = &citizen;
        1
    });
    let unasked = Err(InstallError::Denied(Denial::Unasked));
    assert_eq!(event.install(counted), unasked);
    assert_eq!(census.alive(), 0);
    let domain = Arc::new(DomainState::new(1));
    let handler = |_: &Parcel| 2_u32;
    assert_eq!(install_raw(&event, foreign(&domain, &handler)), unasked);
    assert_eq!((visitors(&event, 0), Arc::strong_count(&domain)), (vec![0], 1));
    let owner = event.claim().unwrap();
    let id = owner.install(visit(3)).unwrap();
    assert_eq!(event.replace(id, visit(4)), unasked, "nor in the place of his");
    assert_eq!(visitors(&event, 0), [0, 3]);
    owner.remove(id).unwrap();
    assert_eq!(owner.remove(id), Err(InstallError::Unknown));
    assert_eq!(owner.remove(BindingId::INTRINSIC), Err(InstallError::Unknown));
    world.drain();
}

#[test]
fn an_authorizer_is_shown_who_wants_what_and_denies_by_the_name_of_a_rule() {
    static ASKED: Mutex<Vec<Request>> = Mutex::new(Vec::new());
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Rules", None).open();
    let first = event.install(visit(1)).unwrap();
    event.claim().unwrap().authorize(|request| {
        assert!(host::is_preemptible(), "he is asked under no lock");
        ASKED.lock().unwrap().push(*request);
        match request {
            Request { is_filter: true, .. } => Verdict::Deny("no filters"),
            Request { domain: Some(7), .. } => Verdict::Deny("not seven"),
            Request { operation: Operation::Replace(_), .. } => Verdict::Deny("no replacing"),
            _ => Verdict::Allow(Terms::free()),
        }
    });
    let denied = |rule| Err(InstallError::Denied(Denial::Rule(rule)));
    let domains = [7, 8].map(|id| Arc::new(DomainState::new(id)));
    let handler = |_: &Parcel| 2_u32;
    assert_eq!(install_raw(&event, foreign(&domains[0], &handler)), denied("not seven"));
    assert_eq!(install_raw(&event, foreign(&domains[1], &handler).filter()), denied("no filters"));
    let second = install_raw(&event, foreign(&domains[1], &handler).bounded_ns(500)).unwrap();
    assert_eq!(event.replace(first, visit(4)), denied("no replacing"));
    event.install(visit(3)).unwrap();
    let request = |operation, domain, is_filter, bound_ns| Request {
        operation,
        domain,
        is_filter,
        bound_ns,
        posting: None,
    };
    let wanted = [
        request(Operation::Install, Some(7), false, None),
        request(Operation::Install, Some(8), true, None),
        request(Operation::Install, Some(8), false, Some(500)),
        request(Operation::Replace(first), None, false, None),
        request(Operation::Install, None, false, None),
    ];
    assert_eq!(*ASKED.lock().unwrap(), wanted);
    let text = InstallError::Denied(Denial::Rule("not seven")).to_string();
    assert!(text.contains("not seven"), "{text}");
    // Removing is not asked about.
    event.remove(second).unwrap();
    assert_eq!(ASKED.lock().unwrap().len(), wanted.len());
    remove_all(&event);
    world.drain();
}

#[test]
fn who_is_let_in_comes_on_the_owners_terms() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Terms", Some(intrinsic));
    let owner = event.claim().unwrap();
    owner.authorize(|request| {
        let terms = Terms::free().imposing(Guard::key(key!(Parcel, port), 5)).order(Order::First);
        let terms = terms.imposing(Guard::predicate(|parcel: &Parcel| parcel.tag == 0));
        Verdict::Allow(match request.bound_ns {
            Some(_) => terms.bounded_ns(1000),
            None => terms,
        })
    });
    event.install(visit(1)).unwrap();
    assert_eq!([4, 5].map(|port| visitors(&event, port)), [vec![0], vec![1, 0]]);
    let tagged = Parcel { port: 5, tag: 1, ..Parcel::default() };
    assert_eq!((event.raise(&tagged), tagged.visitors.into_inner()), (Ok(100), vec![0]));
    // Of two bounds the tighter one.
    event.install(visit(2).bounded_ns(3000)).unwrap();
    event.install(visit(3).bounded_ns(200)).unwrap();
    let bounds: Vec<_> =
        event.any().info::<Host>().bindings.into_iter().map(|binding| binding.bound_ns).collect();
    assert_eq!(bounds, [Some(200), Some(1000), None, None]);
    // What contradicts the owner's order cannot be had.
    assert_eq!(event.install(visit(4).order(Order::Last)), Err(InstallError::Cycle));
    // An owner's guards can be lifted only by name, and these names nobody was told; his own handler he
    // installs on no terms.
    owner.install(visit(5)).unwrap();
    assert_eq!(visitors(&event, 9), [0, 5]);
    remove_all(&event);
    world.drain();
}

#[test]
fn the_last_authorizer_counts_and_the_one_before_goes() {
    let world = World::new();
    let _core = world.attach();
    let (event, census) = (Post::new("Test.Successor", None), Census::default());
    let owner = event.claim().unwrap();
    for rule in ["one", "two", "three"] {
        let citizen = census.citizen();
        owner.authorize(move |_| {
            let _here = &citizen;
            Verdict::Deny(rule)
        });
        assert_eq!(census.alive(), 1);
        assert_eq!(event.install(visit(1)), Err(InstallError::Denied(Denial::Rule(rule))));
    }
    owner.authorize(|_| Verdict::Allow(Terms::free()));
    event.install(visit(1)).unwrap();
    assert_eq!((census.alive(), visitors(&event, 0)), (0, vec![1]));
    remove_all(&event);
    world.drain();
}

#[test]
fn the_owner_sets_policy_default_and_intrinsic_handler() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Sets", None).open();
    let owner = event.claim().unwrap();
    assert_eq!(send(&event, 0).0, Err(RaiseError::NoHandler));
    owner.set_default(Some(|_| 50));
    assert_eq!(send(&event, 0).0, Ok(50));
    owner.set_intrinsic(Some(intrinsic)).unwrap();
    assert_eq!((send(&event, 0), kind(&event)), ((Ok(100), vec![0]), PlanKind::Intrinsic));
    install_all(&event, [visit(1), visit(2)]);
    owner.set_merge(Merge::Fold(|one, other| one + other)).unwrap();
    assert_eq!(send(&event, 0), (Ok(103), vec![0, 1, 2]));
    assert_eq!(event.any().info::<Host>().merge, "fold");
    owner.set_merge(Merge::First).unwrap();
    assert_eq!(send(&event, 0), (Ok(100), vec![0, 1, 2]));
    owner.set_intrinsic(Some(|_| 7)).unwrap();
    assert_eq!(send(&event, 0), (Ok(7), vec![1, 2]), "another in its place");
    remove_all(&event);
    assert_eq!((send(&event, 0), kind(&event)), ((Ok(7), vec![]), PlanKind::Intrinsic));
    owner.set_intrinsic(Some(intrinsic)).unwrap();
    assert_eq!(send(&event, 0), (Ok(100), vec![0]), "where there is no plan, too");
    world.drain();
}

#[test]
fn the_owner_may_take_the_intrinsic_handler_away() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Taken", Some(intrinsic)).open();
    let owner = event.claim().unwrap();
    owner.set_intrinsic(None).unwrap();
    assert_eq!((send(&event, 0), kind(&event)), ((Err(RaiseError::NoHandler), vec![]), PlanKind::Empty));
    let neighbour = Order::Before(BindingId::INTRINSIC);
    let no_neighbour = Err(InstallError::NoNeighbour(BindingId::INTRINSIC));
    assert_eq!(event.install(visit(1).order(neighbour)), no_neighbour);
    owner.set_intrinsic(Some(intrinsic)).unwrap();
    event.install(visit(1).order(neighbour)).unwrap();
    event.install(visit(2).order(Order::After(BindingId::INTRINSIC))).unwrap();
    assert_eq!(visitors(&event, 0), [1, 0, 2]);
    owner.set_intrinsic(None).unwrap();
    assert_eq!((send(&event, 0), ids(&event).len()), ((Ok(2), vec![1, 2]), 2));
    // While it is away others take places that it cannot have between them.
    let [one, two] = ids(&event)[..] else { panic!("two are left") };
    event.install(visit(3).order(Order::After(two)).order(Order::Before(one))).unwrap();
    assert_eq!(visitors(&event, 0), [2, 3, 1]);
    assert_eq!(owner.set_intrinsic(Some(intrinsic)), Err(InstallError::Cycle));
    assert_eq!(visitors(&event, 0), [2, 3, 1], "nothing was changed");
    remove_all(&event);
    assert_eq!(send(&event, 0).0, Err(RaiseError::NoHandler));
    world.drain();
}

#[test]
fn an_event_and_a_domain_take_so_many_handlers() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Limits", None).open();
    let owner = event.claim().unwrap();
    owner.set_most_handlers(3).unwrap();
    install_all(&event, [visit(1), visit(2)]);
    let domain = Arc::new(DomainState::new(1).with_most_handlers(1));
    let handler = |_: &Parcel| 3_u32;
    install_raw(&event, foreign(&domain, &handler)).unwrap();
    assert_eq!(install_raw(&event, foreign(&domain, &handler)), Err(InstallError::TooMany));
    owner.set_most_handlers(1).unwrap();
    assert_eq!(ids(&event).len(), 3, "those that there are stay");
    assert_eq!(owner.install(visit(4)), Err(InstallError::TooMany), "the owner counts, too");
    owner.set_most_handlers(9).unwrap();
    assert_eq!(install_raw(&event, foreign(&domain, &handler)), Err(InstallError::Quota));
    event.install(visit(5)).unwrap();
    remove_all(&event);
    assert_eq!(domain.handlers(), 0);
    world.drain();
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn without_a_word_of_the_owner_the_limit_is_a_large_one() {
    let world = World::new();
    let _core = world.attach();
    let event = Post::new("Test.Most", None).open();
    // All of one domain, which may have as many.
    let domain = Arc::new(DomainState::new(1));
    let handler = |parcel: &Parcel| {
        parcel.visitors.borrow_mut().push(1);
        1_u32
    };
    let all = (0..MOST_HANDLERS).fold(dispatcher::Transaction::new(), |all, _| {
        // SAFETY: the handler fits the event.
        unsafe { all.install_raw(&event, foreign(&domain, &handler)) }
    });
    all.commit().unwrap();
    assert_eq!(event.install(visit(2)), Err(InstallError::TooMany));
    assert_eq!(visitors(&event, 0).len(), MOST_HANDLERS);
    let other = Post::new("Test.OneMore", None).open();
    assert_eq!(install_raw(&other, foreign(&domain, &handler)), Err(InstallError::Quota));
    assert_eq!(event.remove_domain(1), Ok(MOST_HANDLERS));
    world.drain();
}

/// The intrinsic handler is set and taken while others raise: each raise finds one of them, or none.
#[test]
fn the_intrinsic_handler_changes_under_raises() {
    let world = World::new();
    let event = Event::<u32, u32, Host>::new("Test.Changing", None).open();
    let owner = event.claim().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _core = world.attach();
                while !stop.load(Ordering::Relaxed) {
                    host::poll();
                    assert!(matches!(event.raise(&0), Ok(1 | 2) | Err(RaiseError::NoHandler)));
                }
            });
        }
        let _core = world.attach();
        for _ in 0..many(2000) {
            owner.set_intrinsic(Some(|_| 1)).unwrap();
            owner.set_intrinsic(Some(|_| 2)).unwrap();
            owner.set_intrinsic(None).unwrap();
            host::poll();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let _core = world.attach();
    world.drain();
}
