//! Events that a spindle owns: `server` exports some, `client` raises them when `Demo.Hello` is raised.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::RaiseError;
use spindle::{Error, installation::Installation};

use super::super::{LoadError, all, load, load_object, procedures, unload};
use super::{UNLUCKY, hello, loaded, object, wait_for_funerals};
use crate::{
    console::commands::event::show,
    domains::Domain,
    events::{
        self, KernelEvent,
        exported::{self, Declaration, MOST_OF_A_DOMAIN},
        watch::Watch,
    },
    ktest::{Level, core_count, everywhere, guarded, ktest, on, wait_until},
};

/// What the client answers when it gets that error.
const fn code(error: Error) -> Result<u64, RaiseError> {
    Ok(1_000_000 + error as u64)
}

const UNBOUND: Result<u64, RaiseError> = code(Error::Unbound);

/// The names of those that spindles own.
fn exported_names() -> Vec<String> {
    exported::all().map(|event| event.name().into()).collect()
}

#[ktest]
fn comes_and_goes_to_the_last_byte() {
    let before = Level::settled();
    for _ in 0..3 {
        let (server, client) = (loaded("server"), loaded("client"));
        assert_eq!(exported_names().len(), 5);
        everywhere(|_| {
            assert_eq!((hello(4), hello(900)), (Ok(5), Ok(901)));
            assert_eq!(hello(1_000), Ok(32), "256 bytes there and back");
            assert_eq!((hello(1_001), hello(1_002)), (Ok(1), Ok(0)), "less than a word");
            assert_eq!((hello(1_004), hello(1_005)), (Ok(20), Ok(42)), "the client's handler is for 21");
        });
        assert_eq!(hello(1_007), code(Error::NoQueue));
        assert_eq!(client.state.handlers(), 2);
        drop((server, client));
        assert_eq!(unload("client"), Ok(()));
        assert_eq!(unload("server"), Ok(()));
        assert_eq!(exported_names().len(), 0);
        assert_eq!(Level::settled(), before);
    }
}

#[ktest]
fn an_owner_takes_its_events_along() {
    let before = Level::settled();
    loaded("server");
    let client = loaded("client");
    assert_eq!((hello(4), client.state.handlers()), (Ok(5), 2));
    assert_eq!(unload("server"), Ok(()));
    assert_eq!(client.state.handlers(), 1, "that on the server's event is gone");
    let all_unbound = || {
        for number in [4, 1_000, 1_001, 1_003, 1_004, 1_006, 1_007] {
            assert_eq!(hello(number), UNBOUND, "{number}");
        }
    };
    everywhere(move |_| all_unbound());
    drop(client);
    assert_eq!(unload("client"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn a_stale_import_meets_nobody() {
    let before = Level::settled();
    loaded("server");
    let client = loaded("client");
    assert_eq!(hello(4), Ok(5));
    let number = events::by_name("Server.Add").expect("it is exported").number();
    for _ in 0..5 {
        assert_eq!(unload("server"), Ok(()));
        assert_eq!(hello(4), UNBOUND);
        loaded("server");
        let next = events::by_name("Server.Add").expect("it is exported").number();
        assert_ne!(next, number, "a number is used once");
        assert_eq!(next % exported::MOST_EXPORTED, number % exported::MOST_EXPORTED, "in the same place");
        assert_eq!(hello(4), UNBOUND, "who was bound to the first is bound to nothing");
    }
    drop(client);
    // One that is loaded now is bound to the one that is there.
    assert_eq!(unload("client"), Ok(()));
    loaded("client");
    assert_eq!(hello(4), Ok(5));
    assert_eq!(unload("client"), Ok(()));
    assert_eq!(unload("server"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn unloaded_while_all_raise() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let before = Level::settled();
    for round in 0..6 {
        loaded("server");
        loaded("client");
        IS_OVER.store(false, Ordering::Relaxed);
        ANSWERED.store(0, Ordering::Relaxed);
        REFUSED.store(0, Ordering::Relaxed);
        let raise = move || {
            while !IS_OVER.load(Ordering::Relaxed) {
                let number = 100 + round;
                for (asked, right) in [(number, number + 1), (1_000, 32), (1_004, 20)] {
                    let answer = hello(asked);
                    let is_right = answer == Ok(right);
                    assert!(is_right || answer == UNBOUND, "{asked}: {answer:?}");
                    let count = if is_right { &ANSWERED } else { &REFUSED };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        // Two on each core, so that some are preempted in the middle.
        let raisers: Vec<_> =
            (0..core_count()).chain(0..core_count()).map(|core| guarded(on(core), raise)).collect();
        let answered = ANSWERED.load(Ordering::Relaxed);
        wait_until("they are answered", || ANSWERED.load(Ordering::Relaxed) > answered + 200);
        assert_eq!(unload("server"), Ok(()));
        // Another one in the same places, at once.
        loaded("server");
        let refused = REFUSED.load(Ordering::Relaxed);
        let answered = ANSWERED.load(Ordering::Relaxed);
        wait_until("they are refused", || REFUSED.load(Ordering::Relaxed) > refused + 200);
        let late = ANSWERED.load(Ordering::Relaxed) - answered;
        assert!(late <= 2 * core_count() as u64, "{late} answers of one that is gone");
        IS_OVER.store(true, Ordering::Relaxed);
        raisers.into_iter().for_each(crate::strands::Handle::join);
        assert_eq!(unload("client"), Ok(()));
        assert_eq!(unload("server"), Ok(()));
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn a_panic_of_the_owner_is_told_and_the_user_goes_on() {
    let before = Level::settled();
    for _ in 0..3 {
        let server = loaded("server");
        let client = loaded("client");
        assert_eq!(hello(4), Ok(5));
        assert_eq!(hello(UNLUCKY), code(Error::Cut));
        assert!(!server.is_open() && client.is_open());
        drop(server);
        everywhere(|_| assert_eq!(hello(4), UNBOUND));
        wait_until("the server is buried", || all().len() == 1);
        assert_eq!((hello(4), exported_names().len()), (UNBOUND, 0));
        drop(client);
        assert_eq!(unload("client"), Ok(()));
        wait_for_funerals();
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn all_cores_meet_the_panic_at_once() {
    let before = Level::settled();
    for _ in 0..3 {
        loaded("server");
        loaded("client");
        everywhere(|_| {
            for _ in 0..20 {
                let answer = hello(UNLUCKY);
                assert!([code(Error::Cut), UNBOUND].contains(&answer), "{answer:?}");
            }
        });
        wait_until("the server is buried", || all().len() == 1);
        assert_eq!(unload("client"), Ok(()));
        wait_for_funerals();
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn two_that_call_each_other_without_end_run_out_of_stack_and_go_on() {
    let before = Level::settled();
    let (server, client) = (loaded("server"), loaded("client"));
    everywhere(|_| {
        assert_eq!(hello(1_003), code(Error::OutOfStack));
        assert_eq!(hello(4), Ok(5));
    });
    assert!(server.is_open() && client.is_open());
    drop((server, client));
    assert_eq!(unload("client"), Ok(()));
    assert_eq!(unload("server"), Ok(()));
    assert_eq!(Level::settled(), before);
}

fn refusal(outcome: Result<alloc::sync::Arc<Domain>, LoadError>) -> String {
    match outcome {
        Err(error @ LoadError::Unresolved(_)) => format!("{error}"),
        Err(error) => panic!("refused, but: {error}"),
        Ok(_) => panic!("it was loaded"),
    }
}

#[ktest]
fn who_comes_before_the_owner_is_told_whom_to_load() {
    let before = Level::settled();
    let told = refusal(load("client"));
    for name in ["Server.Add", "Server.AddToAll", "Server.IsOdd", "Server.Open"] {
        assert!(told.contains(&format!("the event {name}: `load server` first")), "{told}");
    }
    drop(told);
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn another_type_is_told_with_both_signatures_and_the_owner() {
    let before = Level::settled();
    loaded("server");
    let add = events::by_name("Server.Add").expect("it is exported");
    let (hash, signature) = (add.hash().to_le_bytes(), String::from(add.signature()));
    drop(add);
    let mut file = object("client").to_vec();
    let places: Vec<usize> = (0..file.len() - 8).filter(|at| file[*at..*at + 8] == hash).collect();
    assert!(!places.is_empty(), "the object carries the event's hash");
    places.into_iter().for_each(|at| file[at] ^= 1);
    let told = refusal(load_object("client", &file));
    assert_eq!(told.matches(&*signature).count(), 2, "{told}");
    assert!(told.contains("Server.Add has another type") && told.contains("server has"), "{told}");
    drop((file, told, signature));
    assert_eq!(unload("server"), Ok(()));
    assert_eq!(Level::settled(), before);
}

/// Tries to export an event by that name in the name of a domain, with a handler that is never called.
fn export(domain: &Domain, name: &str, spoil: impl FnOnce(&mut Declaration<'_>)) -> Result<(), Error> {
    let wish = Installation::new(0, domain.place().0 as usize, 0);
    let handler = procedures::dispatch::handler(domain, &wish).expect("its form is right");
    let mut declaration = Declaration {
        name,
        signature: "event { a : u64 } -> u64",
        hash: 1,
        args_size: 8,
        result_size: 8,
        is_open: false,
        copies: false,
    };
    spoil(&mut declaration);
    // SAFETY: nobody imports it, so nobody calls the handler.
    unsafe { exported::export(&declaration, handler, &domain.state) }
}

#[ktest]
fn what_cannot_be_an_event_is_refused() {
    let before = Level::settled();
    let domain = loaded("echo");
    let settled = Level::settled();
    for name in ["", "Test", "test.Event", "Test.Event.More", "Test.\u{1b}[2J", &"T.".repeat(60)] {
        assert_eq!(export(&domain, name, |_| ()), Err(Error::BadArgument), "{name:?}");
    }
    let bad = Err(Error::BadArgument);
    assert_eq!(export(&domain, "Test.A", |event| event.signature = ""), bad);
    assert_eq!(export(&domain, "Test.A", |event| event.signature = "one\ntwo"), bad);
    assert_eq!(export(&domain, "Test.A", |event| event.args_size = 257), bad);
    assert_eq!(export(&domain, "Test.A", |event| event.result_size = usize::MAX), bad);
    assert_eq!(export(&domain, "Demo.Hello", |_| ()), Err(Error::Exists));
    assert_eq!(Level::settled(), settled);
    for number in 0..MOST_OF_A_DOMAIN {
        let name = format!("Test.E{number}");
        assert_eq!(export(&domain, &name, |event| event.result_size = number * 4), Ok(()));
        assert_eq!(export(&domain, &name, |_| ()), Err(Error::Exists));
    }
    assert_eq!(export(&domain, "Test.More", |_| ()), Err(Error::Limit));
    assert_eq!(exported_names().len(), MOST_OF_A_DOMAIN);
    // A number that means nothing is bound to nothing.
    for number in [0, 4, 1_023, 1_024, usize::MAX, usize::MAX - 1_023] {
        assert!(events::by_number(number).is_none(), "{number}");
        // SAFETY: there is no such event, so neither is looked at.
        let raised = unsafe { exported::raise(number, core::ptr::null(), core::ptr::null_mut()) };
        assert_eq!(raised, Err(None), "{number}");
    }
    domain.state.close();
    assert_eq!(export(&domain, "Test.Late", |_| ()), Err(Error::Closed));
    drop(domain);
    assert_eq!(unload("echo"), Ok(()));
    assert_eq!((Level::settled(), exported_names().len()), (before, 0));
}

#[ktest]
fn an_event_that_is_watched_can_go() {
    let before = Level::settled();
    loaded("server");
    loaded("client");
    let event = events::by_name("Server.Add").expect("it is exported");
    let mut shown = String::new();
    show(&*event, &mut shown).expect("texts take all");
    assert!(shown.contains("Server.Add: event { a: u64, b: u64 } -> u64"), "{shown}");
    assert!(shown.contains("exported by server") && shown.contains("plan single"), "{shown}");
    drop(shown);
    let watch = Watch::begin(&event).expect("nobody else does");
    assert_eq!((hello(4), watch.raises()), (Ok(5), 1));
    assert!(event.info().is_observed);
    assert_eq!(unload("server"), Ok(()));
    assert_eq!((hello(4), watch.raises()), (UNBOUND, 1));
    assert_eq!(event.info().bindings.len(), 0);
    drop(event);
    drop(watch);
    assert_eq!(unload("client"), Ok(()));
    assert_eq!(Level::settled(), before);
}
