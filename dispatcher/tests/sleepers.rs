//! Ten thousand strands asleep inside handlers hold nothing back that they do not sleep in.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use common::{Census, foreign, ids, install_raw, many, remove_all};
use dispatcher::{
    BindingId, DomainState, Event, Handler, Processor, Progress, RaiseError,
    host::{self, Host, World},
};

const SLEEPERS: usize = many(10_000);
/// Each of them needs a few frames on the one thread that plays them all.
const STACK: usize = 16 * 1024 * SLEEPERS;

type Plain = Event<usize, usize, Host>;

/// A thread with so much stack that many strands lie on it, one in the other.
fn on_a_large_stack(body: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(body).expect("there is room for it");
    thread.join().expect("it does not panic");
}

/// How many steps the housekeeper takes to free what is retired now; all that he frees is counted.
fn steps_until(world: &'static World, is_free: impl Fn() -> bool) -> usize {
    for step in 0.. {
        if is_free() {
            return step;
        }
        assert!(step < 1000, "somebody holds the epoch");
        assert_ne!(world.keep(), Progress::Idle, "there is something to do");
    }
    unreachable!("steps do not end")
}

fn counted(census: &Census) -> Handler<usize, usize> {
    let citizen = census.citizen();
    Handler::trusted(move |_: &usize| {
        let _here = &citizen;
        0
    })
}

/// Installs and removes a handler on an event that nobody is in; says in how many steps it goes.
fn steps_for_the_unrelated(world: &'static World) -> usize {
    let (census, event) = (Census::default(), Plain::new("Test.Unrelated", None).open());
    event.remove(event.install(counted(&census)).unwrap()).unwrap();
    steps_until(world, || census.alive() == 0)
}

#[test]
fn ten_thousand_sleepers_do_not_keep_the_unrelated_from_being_freed() {
    static EVENT: Plain = Plain::new("Test.Dormitory", None).open();
    static DEEPEST: AtomicUsize = AtomicUsize::new(0);
    on_a_large_stack(|| {
        let world = World::new();
        let _core = world.attach();
        let census = Census::default();
        let domain = Arc::new(DomainState::new(1));
        let steps = steps_for_the_unrelated(world);
        let second = OnceId::default();
        // A strand that sleeps here; the next one comes to bed while it does. The last one finds the
        // core as if nobody slept.
        let bed = |depth: &usize| {
            host::block(|| {
                assert!(Host::top().is_null());
                if depth + 1 < SLEEPERS {
                    EVENT.raise(&(depth + 1)).unwrap();
                    return;
                }
                DEEPEST.store(*depth + 1, Ordering::Relaxed);
                assert_eq!(domain.sleepers(), SLEEPERS);
                let began = std::time::Instant::now();
                assert_eq!(steps_for_the_unrelated(world), steps, "as if nobody slept");
                assert!(
                    cfg!(miri) || began.elapsed().as_millis() < 100,
                    "in good time: {:?}",
                    began.elapsed()
                );
                // An unrelated binding of the very event they are in is waited for by its drainer no
                // longer; its closure stays with the plan that they sleep in.
                EVENT.remove_drained(second.get()).unwrap();
                assert_eq!((ids(&EVENT).len(), census.alive()), (1, 1));
                // And their own goes from the event, but not from under them.
                EVENT.remove_domain(1).unwrap();
                assert_eq!(EVENT.raise(&0), Err(RaiseError::NoHandler));
                world.drain();
                assert_eq!((domain.sleepers(), census.alive()), (SLEEPERS, 1));
            });
            *depth
        };
        install_raw(&EVENT, foreign(&domain, &bed)).unwrap();
        second.set(EVENT.install(counted(&census)).unwrap());
        assert_eq!(EVENT.raise(&0), Ok(0), "the others were removed while they slept");
        assert_eq!((DEEPEST.load(Ordering::Relaxed), domain.sleepers()), (SLEEPERS, 0));
        world.drain();
        assert_eq!((census.alive(), Arc::strong_count(&domain)), (0, 1));
    });
}

/// As above, each in a binding of its own: of many different events, one within the other.
#[test]
fn sleepers_deep_in_other_raises_hold_nothing_but_these() {
    const EVENTS: usize = many(100) + 1;
    const STRANDS: usize = 20;
    static CHAIN: [Plain; EVENTS] = [const { Plain::new("Test.Chain", None).open() }; EVENTS];
    on_a_large_stack(|| {
        let world = World::new();
        let _core = world.attach();
        let census = Census::default();
        let domains: Vec<_> = (0..EVENTS).map(|id| Arc::new(DomainState::new(id as u32))).collect();
        let steps = steps_for_the_unrelated(world);
        let bed = |depth: &usize| {
            if let Some(next) = CHAIN.get(depth % EVENTS + 1) {
                // On to the next event, on the same strand.
                return next.raise(&(depth + 1)).unwrap();
            }
            host::block(|| {
                if depth + 1 < STRANDS * EVENTS {
                    // Another strand, through all of them.
                    CHAIN[0].raise(&(depth + 1)).unwrap();
                    return;
                }
                assert!(domains.iter().all(|domain| domain.sleepers() == STRANDS));
                assert_eq!(steps_for_the_unrelated(world), steps);
            });
            *depth
        };
        for (event, domain) in CHAIN.iter().zip(&domains) {
            install_raw(event, foreign(domain, &bed)).unwrap();
            event.install(counted(&census)).unwrap();
        }
        assert_eq!(CHAIN[0].raise(&0), Ok(0));
        assert!(domains.iter().all(|domain| domain.sleepers() == 0));
        CHAIN.iter().for_each(remove_all);
        world.drain();
        assert_eq!(census.alive(), 0);
    });
}

/// An id that is known later than what uses it.
#[derive(Default)]
struct OnceId(std::sync::OnceLock<BindingId>);

impl OnceId {
    fn set(&self, id: BindingId) {
        self.0.set(id).expect("it is set once");
    }

    fn get(&self) -> BindingId {
        *self.0.get().expect("it was set")
    }
}
