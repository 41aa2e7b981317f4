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
    Border, DomainState, Event, Handler, Passage, Processor, enter,
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

    fn keep_ticking(_until_ns: u64) {}

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
