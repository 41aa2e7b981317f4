//! Watching changes nothing but what it counts, and leaves nothing behind.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::{BindingId, Event, Handler, Order, RaiseError, key, plan::PlanKind};
use spindle::demo::Hello;

use super::{Watch, WatchError};
use crate::{
    console::commands::event::show,
    events::HELLO,
    ktest::{Level, core_count, everywhere, guarded, ktest, on},
    strands::Cpu,
};

/// An event without a handler of its own.
static BARE: Event<u64, u64, Cpu> = Event::new("Watched.Bare", None).open();
/// One that has one.
static DOUBLE: Event<u64, u64, Cpu> = Event::new("Watched.Double", Some(|number| number * 2)).open();

fn kind(event: &Event<u64, u64, Cpu>) -> PlanKind {
    event.any().info::<Cpu>().kind
}

/// What raises of 3 and 4 bring.
fn answers(event: &Event<u64, u64, Cpu>) -> [Result<u64, RaiseError>; 2] {
    [event.raise(&3), event.raise(&4)]
}

/// Watches, sees two raises, ends: kind, answers and memory are as before.
#[track_caller]
fn comes_and_goes(event: &'static Event<u64, u64, Cpu>, expected: PlanKind) {
    let (before, answered) = (Level::settled(), answers(event));
    assert_eq!(kind(event), expected);
    for _ in 0..3 {
        let watch = Watch::begin(event.any()).unwrap();
        assert!(event.any().info::<Cpu>().is_observed);
        assert_eq!(answers(event), answered, "watched");
        let unanswered: u64 = watch.seen().iter().map(|seen| seen.unanswered).sum();
        let failed = answered.iter().filter(|answer| answer.is_err()).count() as u64;
        assert_eq!((watch.raises(), unanswered), (2, failed));
        drop(watch);
        assert!(!event.any().info::<Cpu>().is_observed);
        assert_eq!((kind(event), answers(event)), (expected, answered));
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn every_kind_of_plan_is_what_it_was_after_a_watch() {
    comes_and_goes(&DOUBLE, PlanKind::Intrinsic);
    comes_and_goes(&BARE, PlanKind::Empty);
    let mut ids = Vec::new();
    let mut install = |handler| ids.push(BARE.install(handler).unwrap());
    install(Handler::trusted(|number: &u64| number + 1));
    comes_and_goes(&BARE, PlanKind::Single);
    install(Handler::trusted(|number: &u64| number + 2));
    comes_and_goes(&BARE, PlanKind::Few);
    install(Handler::trusted(|number: &u64| number + 3).when(|number| *number == 3));
    comes_and_goes(&BARE, PlanKind::General);
    ids.drain(..).for_each(|id| BARE.remove(id).unwrap());
    comes_and_goes(&BARE, PlanKind::Empty);
}

#[ktest]
fn a_keyed_plan_is_what_it_was_after_a_watch() {
    let before = HELLO.any().info::<Cpu>();
    let install = |number: u64| {
        let handler = Handler::trusted(|hello: &Hello| hello.number * 2).key(key!(Hello, number), number);
        HELLO.install(handler).unwrap()
    };
    let ids: Vec<BindingId> = (0..20).map(install).collect();
    let hello = |number| HELLO.raise(&Hello { number, core: 0 });
    let level = Level::settled();
    let watch = Watch::begin(HELLO.any()).unwrap();
    assert_eq!(HELLO.any().info::<Cpu>().kind, PlanKind::Keyed);
    assert_eq!((hello(7), hello(21)), (Ok(14), Err(RaiseError::NoHandler)));
    let seen = watch.seen();
    let sum = |count: fn(&dispatcher::observe::Seen) -> u64| seen.iter().map(count).sum::<u64>();
    assert_eq!((sum(|seen| seen.raises), sum(|seen| seen.unanswered)), (2, 1));
    drop((seen, watch));
    assert_eq!((hello(7), hello(21)), (Ok(14), Err(RaiseError::NoHandler)));
    assert_eq!(HELLO.any().info::<Cpu>().kind, PlanKind::Keyed);
    assert_eq!(Level::settled(), level);
    ids.into_iter().for_each(|id| HELLO.remove(id).unwrap());
    assert_eq!(HELLO.any().info::<Cpu>().kind, before.kind);
}

#[ktest]
fn each_core_has_its_own_counts_and_its_own_memory_of_raises() {
    let watch = Arc::new(Watch::begin(DOUBLE.any()).unwrap());
    everywhere(|core| (0..=core as u64).for_each(|number| assert_eq!(DOUBLE.raise(&number), Ok(2 * number))));
    let raises: Vec<u64> = watch.seen().iter().map(|seen| seen.raises).collect();
    let expected: Vec<u64> = (1..=core_count() as u64).collect();
    assert_eq!(raises, expected);
    for core in 0..core_count() {
        let traces: Vec<_> = watch.observation().traces(core, 0).collect();
        assert_eq!(traces.len(), core + 1);
        assert!(traces.iter().all(|trace| trace.is_answered));
        assert!(traces.is_sorted_by_key(|trace| (trace.number, trace.began_ns)));
    }
}

#[ktest]
fn two_watchers_do_not_disturb_each_other() {
    let first = Watch::begin(BARE.any()).unwrap();
    assert_eq!(BARE.raise(&1), Err(RaiseError::NoHandler));
    let refused = Watch::begin(BARE.any()).err();
    assert_eq!(refused, Some(WatchError::Busy));
    // The first goes on as if nothing had been asked, and another event is another matter.
    let other = Watch::begin(DOUBLE.any()).unwrap();
    assert_eq!(BARE.raise(&1), Err(RaiseError::NoHandler));
    assert_eq!((first.raises(), other.raises()), (2, 0));
    drop(first);
    assert_eq!(Watch::begin(BARE.any()).unwrap().raises(), 0);
    drop(other);
}

#[ktest]
fn of_all_who_begin_at_once_one_watches() {
    static BEGAN: AtomicBool = AtomicBool::new(false);
    everywhere(|_| {
        for _ in 0..50 {
            if let Ok(watch) = Watch::begin(BARE.any()) {
                assert!(!BEGAN.swap(true, Ordering::SeqCst), "two at once");
                assert_eq!(BARE.raise(&1), Err(RaiseError::NoHandler));
                assert!(watch.raises() >= 1);
                BEGAN.store(false, Ordering::SeqCst);
            } else {
                let _ = BARE.raise(&1);
            }
        }
    });
    assert!(!BARE.any().info::<Cpu>().is_observed);
}

#[ktest]
fn handlers_come_and_go_while_an_event_is_watched() {
    let watch = Watch::begin(BARE.any()).unwrap();
    let rounds = 200;
    let installer = guarded(on(0), move || {
        for _ in 0..rounds {
            let id = BARE.install(Handler::trusted(|number: &u64| number + 7)).unwrap();
            assert_eq!(BARE.raise(&1), Ok(8));
            BARE.remove(id).unwrap();
        }
    });
    installer.join();
    let seen = watch.seen();
    assert_eq!((seen[0].raises, seen[0].unanswered), (rounds, 0), "no raise is counted twice or not");
    assert_eq!(seen[0].classes.iter().sum::<u64>(), rounds);
}

#[ktest]
fn the_console_shows_guards_by_their_fields_places_and_bounds() {
    let first = Handler::trusted(|hello: &Hello| hello.number).key(key!(Hello, core), 3);
    let first = HELLO.install(first.when(|hello| hello.number > 9).order(Order::Last)).unwrap();
    let second = Handler::filter(|hello: &mut Hello| hello.number).order(Order::Before(first));
    let second = HELLO.install(second.bounded_ns(2_000_000)).unwrap();
    let mut text = String::new();
    show(&HELLO, &mut text).unwrap();
    HELLO.remove(first).unwrap();
    HELLO.remove(second).unwrap();
    let lines: Vec<String> = text.lines().map(words).collect();
    let has = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(has("Demo.Hello: event { number: u64, core: u32 } -> u64"), "{text}");
    assert!(has("plan general, 2 handlers, result last, not watched"), "{text}");
    assert!(has(&format!("{first} the core if core = 3 and its predicate holds last none 0 0")), "{text}");
    assert!(has(&format!("{second} the core always, as a filter before {first} 2.0 ms 0 0")), "{text}");
    let place = |id: BindingId| text.find(&format!("{id}  the core"));
    assert!(
        place(second) < place(first) && place(second).is_some(),
        "in the order in which they run: {text}"
    );
}

/// With one blank between its words.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
