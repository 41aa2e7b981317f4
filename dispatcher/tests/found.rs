//! Raises that find their event first, while it comes and goes.

mod common;

use std::{
    mem::MaybeUninit,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
    },
    thread,
};

use common::{Census, Citizen, install_foreign, many};
use dispatcher::{
    DomainState, Event, Handler, InstallError, Processor, RaiseError,
    event::AnyEvent,
    host::{self, Host, World},
    plan::LEAST_STACK,
};

type Doubling = Event<u64, u64, Host>;

/// Raises what `find` finds with a number, for a narrow result.
fn raise<'a>(number: &u64, find: impl FnOnce() -> Option<&'a AnyEvent>) -> Option<Result<u64, RaiseError>> {
    let args = ptr::from_ref(number).cast();
    // SAFETY: whatever the tests find takes and returns a `u64`, and is dropped after a grace period.
    let raised = unsafe { AnyEvent::raise_found::<Host>(ptr::null_mut(), || Some((find()?, args))) };
    // SAFETY: a handler has written it.
    raised.map(|result| result.map(|word| unsafe { word.assume_init() }))
}

#[test]
fn what_is_found_answers_and_what_is_not_does_not() {
    let world = World::new();
    let _core = world.attach();
    let event = Doubling::new("Test.Found", None).open();
    assert_eq!(raise(&4, || Some(event.any())), Some(Err(RaiseError::NoHandler)));
    event.install(Handler::trusted(|number: &u64| number * 2)).unwrap();
    assert_eq!(raise(&4, || Some(event.any())), Some(Ok(8)));
    assert_eq!(raise(&4, || None), None);
    let domain = Arc::new(DomainState::new(1));
    let triple = |number: &u64| number * 3;
    install_foreign(&event, &domain, &triple).unwrap();
    assert_eq!(raise(&4, || Some(event.any())), Some(Ok(12)), "the last one's counts");
    host::set_stack_left(LEAST_STACK - 1);
    assert_eq!(
        raise(&4, || panic!("nobody looks where there is no stack")),
        Some(Err(RaiseError::OutOfStack))
    );
    host::set_stack_left(usize::MAX);
    assert_eq!(event.dissolve(), Ok(()));
    world.drain();
}

#[test]
fn a_wide_result_goes_to_the_room() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u64, [u64; 4], Host>::new("Test.Wide", None).open();
    let domain = Arc::new(DomainState::new(1));
    let fill = |number: &u64| [*number; 4];
    install_foreign(&event, &domain, &fill).unwrap();
    let mut room = MaybeUninit::<[u64; 4]>::uninit();
    let number = 7_u64;
    let found = || Some((event.any(), ptr::from_ref(&number).cast()));
    // SAFETY: the event is found, its argument is a `u64`, and the room is for its result.
    let raised = unsafe { AnyEvent::raise_found::<Host>(room.as_mut_ptr().cast(), found) };
    assert!(matches!(raised, Some(Ok(_))));
    // SAFETY: it went well.
    assert_eq!(unsafe { room.assume_init() }, [7; 4]);
    assert_eq!(event.dissolve(), Ok(()));
    world.drain();
}

#[test]
fn what_is_dissolved_takes_nobody_any_more() {
    let census = Census::default();
    let world = World::new();
    let _core = world.attach();
    let event = Doubling::new("Test.Dissolved", None).open();
    let domain = Arc::new(DomainState::new(1));
    let same = |number: &u64| *number;
    install_foreign(&event, &domain, &same).unwrap();
    let citizen = census.citizen();
    let own = move |number: &u64| number + census_of(&citizen);
    event.install(Handler::trusted(own)).unwrap();
    assert_eq!((raise(&1, || Some(event.any())), domain.handlers()), (Some(Ok(1)), 1));
    assert_eq!(event.dissolve(), Ok(()));
    world.drain();
    assert_eq!((census.alive(), domain.handlers()), (0, 0));
    assert_eq!(raise(&1, || Some(event.any())), Some(Err(RaiseError::NoHandler)));
    assert_eq!(event.install(Handler::trusted(|number: &u64| *number)), Err(InstallError::TooMany));
    assert_eq!(install_foreign(&event, &domain, &same), Err(InstallError::TooMany));
    assert_eq!((event.dissolve(), domain.handlers()), (Ok(()), 0), "twice is once");
    world.drain();
}

const fn census_of(_: &Citizen) -> u64 {
    0
}

/// An event that knows when it is dropped: its memory says so until it is given back.
struct Owned {
    event: Doubling,
    is_there: AtomicBool,
    _citizen: Citizen,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.is_there.store(false, Ordering::SeqCst);
    }
}

static PLACE: AtomicPtr<Owned> = AtomicPtr::new(ptr::null_mut());

#[test]
fn events_come_and_go_while_all_raise() {
    let census = Census::default();
    let world = World::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let raisers: Vec<_> = (0..3)
        .map(|_| {
            let (is_over, counts) = (is_over.clone(), counts.clone());
            thread::spawn(move || {
                let _core = world.attach();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = raise(&21, || {
                        // SAFETY: found inside, and dropped a grace period after it was taken away.
                        let owned = unsafe { PLACE.load(Ordering::Acquire).as_ref() }?;
                        assert!(owned.is_there.load(Ordering::SeqCst), "found after it was dropped");
                        Some(owned.event.any())
                    });
                    match answer {
                        Some(Ok(42)) => counts[0].fetch_add(1, Ordering::Relaxed),
                        // It was dissolved a moment after it was found.
                        None | Some(Err(RaiseError::NoHandler)) => counts[1].fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                    host::poll();
                    // All others too have something to do.
                    thread::yield_now();
                }
            })
        })
        .collect();
    let core = world.attach();
    for _ in 0..many(100) {
        let event = Doubling::new("Test.Owned", None).open();
        event.install(Handler::trusted(|number: &u64| number * 2)).unwrap();
        let owned = Owned { event, is_there: AtomicBool::new(true), _citizen: census.citizen() };
        PLACE.store(Box::into_raw(Box::new(owned)), Ordering::Release);
        let (answered, unanswered) = (counts[0].load(Ordering::Relaxed), counts[1].load(Ordering::Relaxed));
        while counts[0].load(Ordering::Relaxed) == answered {
            thread::yield_now();
        }
        let owned = PLACE.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: it came from a box, and nobody else takes it away.
        let owned = unsafe { Box::from_raw(owned) };
        assert_eq!(owned.event.dissolve(), Ok(()));
        Host::retired().after_grace(move || drop(owned));
        while counts[1].load(Ordering::Relaxed) == unanswered {
            thread::yield_now();
        }
        world.keep_trying(3);
        host::poll();
    }
    is_over.store(true, Ordering::Relaxed);
    raisers.into_iter().for_each(|raiser| raiser.join().expect("it panics not"));
    drop(core);
    let _core = world.attach();
    world.drain();
    assert_eq!(census.alive(), 0);
}
