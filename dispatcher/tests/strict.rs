//! What needs no epoch, for Miri with strict provenance (crossbeam-epoch keeps pointers in integers, so
//! the other tests cannot have it): words of plans, of the retire list, of borders, of closures.

#[path = "../src/primitive.rs"]
mod primitive;
#[allow(dead_code, reason = "the tests use parts of it")]
#[path = "../src/slot.rs"]
mod slot;

use std::{
    alloc::Layout,
    cell::Cell,
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use dispatcher::{
    Border, DomainState, Event, Guard, Handler, Merge, Order, Passage, Processor, RaiseError, RawKey,
    Transaction, enter,
    guard::RawGuard,
    handler::RawHandler,
    key,
    post::{self, Addressee, Agenda, Full, Mailbox, OnFull, Place, Posting},
    retire::RetireList,
};
use slot::Slot;

/// A processor without a housekeeper: what was retired stays, and is found in the list by leak checks.
struct Bare;

static RETIRED: RetireList = RetireList::new();
static AGENDA: Agenda = Agenda::new();
thread_local! {
    static TOP: Cell<*mut Border> = const { Cell::new(ptr::null_mut()) };
}

// SAFETY: `top` is the thread's, there are no interrupts, and threads have stack enough.
unsafe impl Processor for Bare {
    fn top() -> *mut Border {
        TOP.get()
    }

    fn set_top(border: *mut Border) {
        TOP.set(border);
    }

    fn has_room(_border: &Border) -> bool {
        true
    }

    fn core_id() -> usize {
        0
    }

    fn masked<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    fn unpreempted<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    fn repin() {}

    fn retired() -> &'static RetireList {
        &RETIRED
    }

    fn summon_keeper() {}

    fn wait_until(_is_done: &dyn Fn() -> bool) {
        unreachable!("nothing here waits")
    }

    fn now_ns() -> u64 {
        0
    }

    fn keep_ticking() {}

    fn agenda(core: usize) -> Option<&'static Agenda> {
        (core == 0).then_some(&AGENDA)
    }

    fn summon_worker(_core: usize) {}
}

#[test]
fn plans_and_closures_keep_their_provenance() {
    static EVENT: Event<u32, u32, Bare> = Event::new("Test.Strict", Some(|number| *number)).open();
    let own = String::from("own");
    let first = EVENT.install(Handler::trusted(move |number: &u32| number + own.len() as u32)).unwrap();
    let second = EVENT
        .install(Handler::trusted(|number: &u32| match number {
            0 => 1,
            number => EVENT.raise(&(number - 1)).unwrap() * 2,
        }))
        .unwrap();
    assert_eq!(EVENT.raise(&3), Ok(8));
    thread::scope(|scope| {
        // With or without the second: whoever comes first.
        scope.spawn(|| assert!(matches!(EVENT.raise(&0), Ok(1 | 3))));
        scope.spawn(|| EVENT.remove(second).unwrap());
    });
    assert_eq!(EVENT.raise(&3), Ok(6));
    EVENT.remove(first).unwrap();
    assert_eq!(EVENT.raise(&3), Ok(3));
}

#[test]
fn borders_find_those_below() {
    unsafe extern "C" fn depth(_closure: *const (), args: *const (), result: *mut ()) {
        // SAFETY: the test passes the domain, which lives.
        let domain = unsafe { &*args.cast::<DomainState>() };
        // SAFETY: this strand's own borders.
        let borders: Vec<_> = unsafe { dispatcher::border::outwards(Bare::top()) }.collect();
        assert!(borders.iter().all(|border| border.domain().map(DomainState::id) == Some(domain.id())));
        // SAFETY: the test passes room for a count.
        unsafe { result.cast::<usize>().write(borders.len()) };
        if borders.len() < 3 {
            // SAFETY: as the test does.
            unsafe { enter::<Bare>(Passage::Call, domain, depth, ptr::null(), args, result) }.unwrap();
        }
    }
    let (domain, mut count) = (DomainState::new(4), 0_usize);
    // SAFETY: the code takes a domain and writes a count.
    let entered = unsafe {
        enter::<Bare>(
            Passage::Base,
            &domain,
            depth,
            ptr::null(),
            ptr::from_ref(&domain).cast(),
            (&raw mut count).cast(),
        )
    };
    assert_eq!((entered, count, Bare::top().is_null()), (Ok(()), 3, true));
}

#[test]
fn slots_are_lent_and_tended() {
    static SLOTS: Mutex<Vec<&'static Slot<usize>>> = Mutex::new(Vec::new());
    let slot: &'static Slot<usize> = Box::leak(Box::new(Slot::new(0)));
    SLOTS.lock().unwrap().push(slot);
    let tended = Arc::new(AtomicUsize::new(0));
    let count = tended.clone();
    let tender = thread::spawn(move || {
        for _ in 0..20 {
            count.fetch_add(usize::from(slot.tend(|value| *value += 1)), Ordering::Relaxed);
        }
    });
    let mut owned = loop {
        if let Some(owned) = slot.claim() {
            break owned;
        }
    };
    for _ in 0..20 {
        *owned.get() += 1;
        owned = owned.lend().take_back();
    }
    tender.join().unwrap();
    assert_eq!(*owned.get(), 20 + tended.load(Ordering::Relaxed));
    owned.park();
    assert!(slot.is_free());
}

/// Counts by references that came by post, so that their provenance had to come along.
struct Counter;

impl Addressee for Counter {
    unsafe fn deliver(&self, args: *mut ()) {
        // SAFETY: that is what is posted below.
        let count = unsafe { args.cast::<&AtomicUsize>().read() };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn is_gone(&self) -> bool {
        false
    }
}

#[test]
fn posts_keep_their_provenance() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let boxes = [4, 1].map(|capacity| {
        let posting = Posting { place: Place::Here, capacity, on_full: OnFull::Refuse };
        Mailbox::new::<Bare>(Arc::new(Counter), Layout::new::<&AtomicUsize>(), posting).unwrap()
    });
    let deliver = || {
        while let Some(turn) = post::take::<Bare>(0) {
            turn.deliver::<Bare>(0)
        }
    };
    let post_some = |rounds: usize| {
        let count = &COUNT;
        for mailbox in boxes.iter().cycle().take(2 * rounds) {
            // SAFETY: the mailboxes are for such references.
            while unsafe { mailbox.post::<Bare>((&raw const count).cast()) } == Err(Full) {
                deliver();
            }
        }
    };
    assert!(post::is_empty::<Bare>(0));
    thread::scope(|scope| {
        let posters = [(); 2].map(|()| scope.spawn(|| post_some(10)));
        while !posters.iter().all(thread::ScopedJoinHandle::is_finished) {
            deliver();
            thread::yield_now();
        }
    });
    deliver();
    assert_eq!(COUNT.load(Ordering::Relaxed), 40);
    assert!(boxes.iter().all(|mailbox| mailbox.is_quiet()));
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Args {
    byte: u8,
    short: i16,
    word: u32,
    long: u64,
}

const ARGS: Args = Args { byte: 1, short: -2, word: 3, long: 4 };

/// Results come one after the other as digits, in a type that is wide.
type Digits = [u64; 3];

fn digits(one: Digits, other: Digits) -> Digits {
    [0, 1, 2].map(|at| one[at] * 10 + other[at])
}

fn digit(digit: u64) -> Handler<Args, Digits> {
    Handler::trusted(move |_: &Args| [digit; 3])
}

/// The code of a domain's predicate over the long field.
unsafe extern "C" fn is_four(_closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: the event has such arguments.
    let args = unsafe { &*args.cast::<Args>() };
    // SAFETY: there is room for a byte, and the border's own is a word.
    unsafe { result.cast::<u8>().write(u8::from(args.long == 4)) };
}

/// The code of a domain's filter, which writes to the copy and to a wide result.
unsafe extern "C" fn double(closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: the test passes a count as the closure.
    unsafe { &*closure.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    // SAFETY: a filter is given what it may change.
    let args = unsafe { &mut *args.cast_mut().cast::<Args>() };
    args.long *= 2;
    // SAFETY: the event has such results.
    unsafe { result.cast::<Digits>().write([args.long; 3]) };
}

#[test]
fn guards_and_keys_read_what_is_theirs() {
    static EVENT: Event<Args, Digits, Bare> =
        Event::new("Test.Guards", None).open().merging(Merge::Fold(digits)).otherwise(|_| [0; 3]);
    let owner = EVENT.claim().unwrap();
    let domain = Arc::new(DomainState::new(1));
    let raise = |args: &Args| EVENT.raise(args).map(|all| all[2]);
    // One key alone, then as many as make an index, then with others among them.
    let own = String::from("own");
    EVENT.install(digit(1).key(key!(Args, byte), 1)).unwrap();
    assert_eq!((raise(&ARGS), raise(&Args { byte: 9, ..ARGS })), (Ok(1), Ok(0)));
    EVENT.install(digit(2).key(key!(Args, byte), 2)).unwrap();
    EVENT.install(digit(3).key(key!(Args, byte), 1)).unwrap();
    assert_eq!((raise(&ARGS), raise(&Args { byte: 2, ..ARGS })), (Ok(13), Ok(2)));
    EVENT.install(digit(4).key(key!(Args, short), (-2_i64) as u64)).unwrap();
    EVENT.install(digit(5).key(key!(Args, word), 3).when(move |args| args.long == own.len() as u64)).unwrap();
    EVENT.install(digit(6).order(Order::First)).unwrap();
    assert_eq!((raise(&ARGS), raise(&Args { long: 3, short: 0, ..ARGS })), (Ok(6134), Ok(6135)));
    // A domain's handler and guard.
    let calls = AtomicUsize::new(0);
    // SAFETY: the code fits the event, and the count outlives it.
    let handler = unsafe { RawHandler::foreign(double, ptr::from_ref(&calls).cast(), domain.clone()) };
    // SAFETY: the code fits the event's arguments.
    let guard = unsafe { RawGuard::foreign(is_four, ptr::null(), domain.clone()) };
    // SAFETY: as above.
    let handler = unsafe { handler.filter().guarded(guard) };
    let long = RawKey { offset: core::mem::offset_of!(Args, long) as u32, width: 4 };
    // SAFETY: the low half of a field of eight bytes is one of four.
    let handler = unsafe { handler.guarded(RawGuard::key(long, 4)) };
    // SAFETY: the handler fits the event.
    let foreign = unsafe { EVENT.install_raw(handler) }.unwrap();
    assert_eq!((raise(&ARGS), raise(&Args { long: 3, ..ARGS })), (Ok(61_348), Ok(61_345)));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let imposed = owner.impose(foreign, Guard::predicate(|args: &Args| args.word == 0)).unwrap();
    assert_eq!(raise(&ARGS), Ok(6134));
    owner.lift(foreign, imposed).unwrap();
    domain.close();
    assert_eq!(raise(&ARGS), Ok(6134));
    assert_eq!(EVENT.remove_domain(1), Ok(1));
}

#[test]
fn filters_write_to_a_copy_that_others_read() {
    static EVENT: Event<Args, Digits, Bare> =
        Event::new("Test.Filters", None).open().merging(Merge::Fold(digits));
    static NESTED: Event<Args, u8, Bare> = Event::new("Test.Nested", None).open();
    let add = |number: u64| {
        Handler::filter(move |args: &mut Args| {
            args.long += number;
            [args.long; 3]
        })
    };
    NESTED
        .install(Handler::filter(|args: &mut Args| {
            args.long = 0;
            args.byte += 1;
            args.byte
        }))
        .unwrap();
    EVENT.install(digit(9)).unwrap();
    EVENT.install(add(1)).unwrap();
    EVENT.install(add(2).when(|args| NESTED.raise(args) == Ok(2))).unwrap();
    EVENT
        .install(Handler::trusted(|args: &Args| {
            NESTED.raise(args).unwrap();
            [args.long; 3]
        }))
        .unwrap();
    EVENT.install(add(1).key(key!(Args, long), 7)).unwrap();
    EVENT.install(Handler::trusted(|args: &Args| [args.long; 3])).unwrap();
    let own = ARGS;
    assert_eq!(EVENT.raise(&own), Ok([957_788; 3]));
    assert_eq!(own, ARGS);
}

#[test]
fn policies_and_the_intrinsic_handler_change_under_raises() {
    static EVENT: Event<u64, u64, Bare> = Event::new("Test.Change", None).open();
    let owner = EVENT.claim().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                assert!(matches!(EVENT.raise(&1), Ok(1..=5 | 10) | Err(RaiseError::NoHandler)));
                thread::yield_now();
            }
        });
        for _ in 0..5 {
            owner.set_intrinsic(Some(|number| *number)).unwrap();
            let id = EVENT.install(Handler::trusted(|number: &u64| number + 1)).unwrap();
            owner.set_merge(Merge::Fold(|one, other| one + other)).unwrap();
            owner.set_default(Some(|_| 4));
            owner.set_merge(Merge::Own(|so_far, next, _| so_far.unwrap_or(1) * next)).unwrap();
            owner.set_intrinsic(Some(|number| number + 4)).unwrap();
            EVENT.remove(id).unwrap();
            owner.set_intrinsic(None).unwrap();
            owner.set_default(None);
            owner.set_merge(Merge::Last).unwrap();
        }
    });
}

#[test]
fn transactions_publish_and_discard_plans() {
    static EVENTS: [Event<u64, u64, Bare>; 2] = [const {
        Event::new("Test.Transaction", None).open().merging(Merge::Fold(|one, other| one + other))
    }; 2];
    let [left, right] = &EVENTS;
    let add = |number: u64| Handler::trusted(move |seen: &u64| seen + number);
    let ids = Transaction::new().install(left, add(1)).install(right, add(10)).commit().unwrap();
    thread::scope(|scope| {
        for event in &EVENTS {
            scope.spawn(move || {
                (0..10).for_each(|_| {
                    let seen = event.raise(&0);
                    assert!(matches!(seen, Ok(1 | 2 | 10 | 20)), "{seen:?}");
                });
            });
        }
        Transaction::new().replace(right, ids[1], add(20)).replace(left, ids[0], add(2)).commit().unwrap();
        // One that fails when the plan of the first event stands already.
        let before_itself = add(9).order(Order::Before(ids[0]));
        assert!(Transaction::new().install(left, add(5)).install(right, before_itself).commit().is_err());
    });
    assert_eq!(EVENTS.each_ref().map(|event| event.raise(&0)), [Ok(2), Ok(20)]);
}

#[test]
fn what_is_watched_is_counted_in_memory_of_its_own() {
    static EVENT: Event<u64, Digits, Bare> = Event::new("Test.Watched", Some(|number| [*number; 3])).open();
    let seen = EVENT.any().observe::<Bare>(1).unwrap();
    assert_eq!(EVENT.raise(&7), Ok([7; 3]));
    let id = EVENT.install(Handler::trusted(|number: &u64| [number + 1; 3]).bounded_ns(5)).unwrap();
    assert_eq!(EVENT.raise(&7), Ok([8; 3]));
    EVENT.any().unobserve::<Bare>().unwrap();
    EVENT.remove(id).unwrap();
    assert_eq!(EVENT.raise(&7), Ok([7; 3]));
    assert_eq!(seen.seen().next().map(|core| (core.raises, core.unanswered)), Some((2, 0)));
    assert_eq!(seen.traces(0, 0).count(), 2);
}
