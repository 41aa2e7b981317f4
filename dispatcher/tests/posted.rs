//! Asynchronous handlers and raises.

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use common::{Census, install_foreign};
use dispatcher::{
    DomainState, Event, Handler, InstallError, RaiseError,
    host::{self, Host, World},
    plan::PlanKind,
    post::{MailboxError, OnFull, Place, Posting},
};

const HERE: Posting = Posting { place: Place::Here, capacity: 4, on_full: OnFull::Refuse };
const DROPPING: Posting = Posting { on_full: OnFull::Drop, ..HERE };

type Told = Arc<Mutex<Vec<u32>>>;

/// A handler that writes down what it is told.
fn teller(told: &Told) -> Handler<u32, ()> {
    let told = told.clone();
    Handler::trusted(move |number: &u32| told.lock().unwrap().push(*number))
}

#[test]
fn a_posted_handler_runs_later_and_in_order() {
    let world = World::new();
    let _core = world.attach();
    let (event, told) = (Event::<u32, (), Host>::new("Test.Posted", None).open(), Told::default());
    let id = event.install(teller(&told).posted(HERE)).unwrap();
    assert_eq!(event.any().info::<Host>().kind, PlanKind::General);
    for number in 0..3 {
        assert_eq!(event.raise(&number), Ok(()), "where there is nothing to answer, that is the answer");
    }
    assert!(told.lock().unwrap().is_empty());
    host::deliver_posts();
    assert_eq!(*told.lock().unwrap(), [0, 1, 2]);
    let posts = event.any().info::<Host>().bindings[0].posts.unwrap();
    assert_eq!((posts.posted, posts.delivered), (3, 3));
    event.remove(id).unwrap();
    world.drain();
}

#[test]
fn guards_are_asked_at_the_raise_and_the_others_answer() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, u32, Host>::new("Test.Guarded", None).open();
    let told = Told::default();
    let (tell, odd) = (told.clone(), Handler::trusted(|number: &u32| number * 2));
    let noting = Handler::trusted(move |number: &u32| {
        tell.lock().unwrap().push(*number);
        0
    });
    event.install(noting.when(|number| *number % 2 == 0).posted(HERE)).unwrap();
    assert_eq!(event.raise(&1), Err(RaiseError::NoHandler));
    assert_eq!(event.raise(&2), Err(RaiseError::Posted), "whoever is posted to answers nobody");
    event.install(odd).unwrap();
    assert_eq!(event.raise(&4), Ok(8));
    host::deliver_posts();
    assert_eq!(*told.lock().unwrap(), [2, 4]);
}

#[test]
fn a_default_answers_for_those_who_were_posted_to() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, u32, Host>::new("Test.Default", None).open().otherwise(|_| 77);
    event.install(Handler::trusted(|_: &u32| 1).posted(HERE)).unwrap();
    assert_eq!(event.raise(&1), Ok(77));
    host::deliver_posts();
}

#[test]
fn a_full_queue_is_told_or_counted() {
    let world = World::new();
    let _core = world.attach();
    for (posting, ninth) in [(HERE, Err(RaiseError::QueueFull)), (DROPPING, Ok(()))] {
        let event = Event::<u32, (), Host>::new("Test.Full", None).open();
        let told = Told::default();
        event.install(teller(&told).posted(posting)).unwrap();
        (0..4).for_each(|number| event.raise(&number).unwrap());
        assert_eq!(event.raise(&4), ninth);
        host::deliver_posts();
        assert_eq!(*told.lock().unwrap(), [0, 1, 2, 3]);
        let posts = event.any().info::<Host>().bindings[0].posts.unwrap();
        assert_eq!((posts.posted, posts.refused + posts.dropped), (4, 1));
        assert_eq!(event.raise(&5), Ok(()), "there is room again");
        host::deliver_posts();
    }
}

#[test]
fn what_waits_for_a_removed_handler_is_discarded_and_its_closure_goes() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, (), Host>::new("Test.Removed", None).open();
    let (told, census) = (Told::default(), Census::default());
    let (tell, citizen) = (told.clone(), census.citizen());
    let handler = Handler::trusted(move |number: &u32| {
        let _here = &citizen;
        tell.lock().unwrap().push(*number);
    });
    let id = event.install(handler.posted(HERE)).unwrap();
    event.raise(&1).unwrap();
    event.remove(id).unwrap();
    host::deliver_posts();
    assert!(told.lock().unwrap().is_empty());
    world.drain();
    world.drain();
    assert_eq!(census.alive(), 0);
}

#[test]
fn draining_waits_for_what_is_being_delivered() {
    static EVENT: Event<u32, (), Host> = Event::new("Test.Drained", None).open();
    static RUNNING: AtomicU32 = AtomicU32::new(0);
    let world = World::new();
    let _core = world.attach();
    let handler = Handler::trusted(|_: &u32| {
        RUNNING.store(1, Ordering::SeqCst);
        host::block(|| std::thread::sleep(std::time::Duration::from_millis(30)));
        RUNNING.store(2, Ordering::SeqCst);
    });
    let id = EVENT.install(handler.posted(HERE)).unwrap();
    std::thread::scope(|scope| {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let is_over = &*Box::leak(Box::new(is_over));
        scope.spawn(move || {
            let _core = world.attach();
            EVENT.raise(&1).unwrap();
            host::deliver_posts();
            while !is_over.load(Ordering::SeqCst) {
                host::poll();
                std::thread::yield_now();
            }
        });
        while RUNNING.load(Ordering::SeqCst) == 0 {
            host::poll();
            std::thread::yield_now();
        }
        EVENT.remove_drained(id).unwrap();
        assert_eq!(RUNNING.load(Ordering::SeqCst), 2, "nobody runs it any more");
        is_over.store(true, Ordering::SeqCst);
    });
    world.drain();
}

#[test]
fn a_domain_that_closes_hears_of_nothing_more() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, (), Host>::new("Test.Closed", None).open();
    let domain = Arc::new(DomainState::new(3));
    let calls = AtomicU32::new(0);
    let procedure = |_: &u32| {
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let handler = common::foreign::<u32, (), _>(&domain, &procedure);
    // SAFETY: numbers may be copied and sent.
    let handler = unsafe { handler.posted(HERE) };
    // SAFETY: it takes a number and answers nothing.
    unsafe { event.install_raw(handler) }.unwrap();
    event.raise(&1).unwrap();
    host::deliver_posts();
    event.raise(&2).unwrap();
    domain.close();
    assert_eq!(event.remove_domain(3), Ok(1));
    host::deliver_posts();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(install_foreign(&event, &domain, &procedure), Err(InstallError::Closed));
    world.drain();
    world.drain();
    assert_eq!(Arc::strong_count(&domain), 1);
}

#[test]
fn an_event_takes_posts_once_its_owner_makes_room() {
    static EVENT: Event<u32, u32, Host> = Event::new("Test.Post", None).open();
    let world = World::new();
    let _core = world.attach();
    let told = Told::default();
    let tell = told.clone();
    let handler = Handler::trusted(move |number: &u32| {
        tell.lock().unwrap().push(*number);
        *number
    });
    let id = EVENT.install(handler).unwrap();
    assert_eq!(EVENT.post(&1), Err(RaiseError::NoQueue));
    let authority = EVENT.claim().unwrap();
    let nowhere = Posting { place: Place::Core(60), ..HERE };
    assert_eq!(authority.take_posts(nowhere), Err(InstallError::Mailbox(MailboxError::NoSuchCore)));
    authority.take_posts(HERE).unwrap();
    assert_eq!(authority.take_posts(HERE), Err(InstallError::TakesPosts));
    (0..4).for_each(|number| EVENT.post(&number).unwrap());
    assert_eq!(EVENT.post(&4), Err(RaiseError::QueueFull));
    assert!(told.lock().unwrap().is_empty());
    host::deliver_posts();
    assert_eq!(*told.lock().unwrap(), [0, 1, 2, 3]);
    EVENT.remove(id).unwrap();
    world.drain();
}

#[test]
fn a_filter_cannot_be_posted() {
    let world = World::new();
    let _core = world.attach();
    let event = Event::<u32, (), Host>::new("Test.Filter", None).open();
    let filter = Handler::filter(|number: &mut u32| *number += 1).posted(HERE);
    assert_eq!(event.install(filter), Err(InstallError::PostedFilter));
}
