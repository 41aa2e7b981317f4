//! Exhaustive models of the primitives, on the real source:
//! `RUSTFLAGS="--cfg loom" cargo test -p waiting --release --test loom`.
//!
//! Strands are loom's threads, blocked and called by the scheduler's own token (`sched/src/token.rs`). A model in
//! which a wake-up is lost ends with everybody asleep, which loom reports as a deadlock; a node or a value that
//! two touch at once is reported by loom's cells.
#![cfg(loom)]

#[allow(dead_code, reason = "its model only tries")]
#[path = "../src/raw.rs"]
mod raw;
#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../../src/token.rs"]
mod token;

/// In place of this crate's, and of `sched/src/primitive.rs`.
mod primitive {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    macro_rules! constructor {
        ($vis:vis fn $name:ident() -> Self $body:block) => {
            $vis fn $name() -> Self $body
        };
    }
    pub(crate) use constructor;
}

use std::{cell::RefCell, sync::Arc};

use loom::{
    cell::UnsafeCell,
    sync::{
        Condvar, Mutex as LoomMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};
use token::Token;
use waiting::{Barrier, Channel, Condition, Error, Lending, Mutex, Refused, Semaphore, Strands};

struct Strand {
    token: Token,
    is_queued: LoomMutex<bool>,
    changed: Condvar,
    /// What `switch` saves: whoever makes the strand runnable must find it written.
    saved: UnsafeCell<usize>,
    is_terminated: AtomicBool,
    /// Its deadline has come, and it was called for that.
    is_late: AtomicBool,
    lending: Lending<Threads>,
    own: u8,
    loans: LoomMutex<Vec<u8>>,
    lent: Condvar,
    /// No granter may call it any more.
    has_ended: AtomicBool,
}

// SAFETY: `saved` is touched by the strand while it runs and by whoever makes it runnable, in the order
// that the token brings; loom checks it.
unsafe impl Sync for Strand {}
// SAFETY: as above.
unsafe impl Send for Strand {}

impl Strand {
    fn new(own: u8) -> Arc<Self> {
        Arc::new(Self {
            token: Token::new(),
            is_queued: LoomMutex::new(false),
            changed: Condvar::new(),
            saved: UnsafeCell::new(0),
            is_terminated: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            lending: Lending::new(),
            own,
            loans: LoomMutex::new(Vec::new()),
            lent: Condvar::new(),
            has_ended: AtomicBool::new(false),
        })
    }

    fn call_up(self: &Arc<Self>) {
        if self.token.call() {
            Threads::resume(self.clone());
        }
    }

    /// As the timer does at the deadline.
    fn strike(self: &Arc<Self>) {
        self.is_late.store(true, Ordering::Release);
        self.call_up();
    }

    /// It shall end.
    fn terminate(self: &Arc<Self>) {
        self.is_terminated.store(true, Ordering::Release);
        self.call_up();
    }

    fn urgency(&self) -> u8 {
        self.loans.lock().unwrap().iter().copied().fold(self.own, u8::max)
    }

    fn loans(&self) -> usize {
        self.loans.lock().unwrap().len()
    }
}

loom::thread_local! {
    static CURRENT: RefCell<Option<Arc<Strand>>> = RefCell::new(None);
}

/// The thread becomes that strand.
fn enter(strand: &Arc<Strand>) {
    CURRENT.with(|current| *current.borrow_mut() = Some(strand.clone()));
}

fn spawn<T: 'static>(strand: &Arc<Strand>, body: impl FnOnce() -> T + 'static) -> thread::JoinHandle<T> {
    let strand = strand.clone();
    thread::spawn(move || {
        enter(&strand);
        let result = body();
        strand.has_ended.store(true, Ordering::Relaxed);
        result
    })
}

struct Threads;

/// A deadline that is past when the model says so: see [`Strand::strike`].
const DEADLINE: u64 = 1;

// SAFETY: what a strand lends is part of it, and an `Arc` keeps it where it is.
unsafe impl Strands for Threads {
    type Strand = Arc<Strand>;

    fn shielded<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    fn relax(_tries: u32) {
        thread::yield_now();
    }

    fn current() -> Arc<Strand> {
        CURRENT.with(|current| current.borrow().clone().expect("it entered"))
    }

    fn is_same(one: &Arc<Strand>, other: &Arc<Strand>) -> bool {
        Arc::ptr_eq(one, other)
    }

    /// As `sched`'s `block`, `leave`, and `finish` on behalf of the strand.
    fn block() {
        let this = Self::current();
        if this.token.take() {
            return;
        }
        // SAFETY: the strand runs, so nobody looks at what is saved; loom checks it.
        this.saved.with_mut(|saved| unsafe { *saved += 1 });
        if this.token.park() {
            let mut is_queued = this.is_queued.lock().unwrap();
            while !*is_queued {
                is_queued = this.changed.wait(is_queued).unwrap();
            }
            *is_queued = false;
        }
        this.saved.with(|_| ());
    }

    fn block_until(_deadline_ns: u64) {
        Self::block();
    }

    fn call(strand: &Arc<Strand>) -> bool {
        assert!(!strand.has_ended.load(Ordering::Relaxed), "a granter calls a strand that has gone on");
        strand.token.call()
    }

    fn resume(strand: Arc<Strand>) {
        strand.saved.with(|_| ());
        *strand.is_queued.lock().unwrap() = true;
        strand.changed.notify_one();
    }

    fn now_ns() -> u64 {
        if Self::current().is_late.load(Ordering::Acquire) { DEADLINE } else { 0 }
    }

    fn is_terminated() -> bool {
        Self::current().is_terminated.load(Ordering::Acquire)
    }

    fn lending(strand: &Arc<Strand>) -> Option<&Lending<Self>> {
        (strand.own > 0).then_some(&strand.lending)
    }

    fn urgency(strand: &Arc<Strand>) -> u8 {
        strand.urgency()
    }

    fn own_urgency(strand: &Arc<Strand>) -> u8 {
        strand.own
    }

    fn lend(strand: &Arc<Strand>, urgency: u8) {
        strand.loans.lock().unwrap().push(urgency);
        strand.lent.notify_one();
    }

    fn take_back(strand: &Arc<Strand>, urgency: u8) {
        let mut loans = strand.loans.lock().unwrap();
        let place = loans.iter().position(|lent| *lent == urgency);
        loans.remove(place.expect("what is taken back was lent"));
    }
}

/// Every interleaving with so many preemptions; two threads need no bound.
fn bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn strands<const N: usize>(own: [u8; N]) -> [Arc<Strand>; N] {
    own.map(Strand::new)
}

/// The inner lock itself: what one holder did, the next one sees.
#[test]
fn an_inner_lock_has_one_holder() {
    struct Guarded(raw::Raw, UnsafeCell<usize>);
    // SAFETY: the cell is touched by who has the lock; loom checks it.
    unsafe impl Sync for Guarded {}
    // SAFETY: it is a number.
    unsafe impl Send for Guarded {}

    /// Tries once; says whether it was its turn.
    fn add(guarded: &Guarded) -> usize {
        let Some(_held) = guarded.0.try_acquire() else { return 0 };
        // SAFETY: the lock is held.
        guarded.1.with_mut(|count| unsafe { *count += 1 });
        1
    }

    loom::model(|| {
        let guarded = Arc::new(Guarded(raw::Raw::new(), UnsafeCell::new(0)));
        let other = guarded.clone();
        let thread = thread::spawn(move || add(&other));
        let added = add(&guarded) + thread.join().unwrap();
        assert!(added >= 1);
        let held = guarded.0.try_acquire().expect("nobody has it");
        // SAFETY: as above.
        assert_eq!(guarded.1.with(|count| unsafe { *count }), added);
        drop(held);
    });
}

/// Two add to what the mutex guards.
fn two_exclude_each_other(own: [u8; 2]) {
    let [this, other] = strands(own);
    enter(&this);
    let mutex = Arc::new(Mutex::<usize, Threads>::new(0));
    let shared = mutex.clone();
    let thread = spawn(&other, move || *shared.lock() += 1);
    *mutex.lock() += 1;
    thread.join().unwrap();
    assert_eq!(*mutex.lock(), 2);
    assert_eq!((this.loans(), other.loans()), (0, 0));
}

#[test]
fn a_mutex_excludes() {
    bounded(5, || two_exclude_each_other([0, 0]));
}

#[test]
fn a_mutex_lends_and_takes_back() {
    bounded(4, || two_exclude_each_other([1, 2]));
}

/// Three, so that one leaves the middle of the line to others.
#[test]
fn a_mutex_goes_from_hand_to_hand() {
    bounded(3, || {
        let [this, one, other] = strands([0, 0, 0]);
        enter(&this);
        let mutex = Arc::new(Mutex::<usize, Threads>::new(0));
        let threads = [one, other].map(|strand| {
            let mutex = mutex.clone();
            spawn(&strand, move || *mutex.lock() += 1)
        });
        *mutex.lock() += 1;
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*mutex.lock(), 3);
    });
}

/// One who waits for the lock shall end while it is handed to him.
#[test]
fn an_end_races_with_a_lock() {
    bounded(4, || {
        let [this, other] = strands([1, 2]);
        enter(&this);
        let mutex = Arc::new(Mutex::<usize, Threads>::new(0));
        let guard = mutex.lock();
        let shared = mutex.clone();
        let thread = spawn(&other, move || shared.lock_interruptible().map(|mut guard| *guard += 1));
        other.terminate();
        drop(guard);
        let outcome = thread.join().unwrap();
        assert!(matches!(outcome, Ok(()) | Err(Error::Terminated)));
        let guard = mutex.try_lock().expect("nobody has it any more");
        assert_eq!(*guard, usize::from(outcome.is_ok()));
        assert_eq!((this.loans(), other.loans()), (0, 0));
    });
}

/// The owner of one mutex comes to wait for another while somebody urgent comes to wait for the first: the
/// other's owner is lent it, in whatever order.
#[test]
fn lending_finds_the_end_of_a_chain() {
    bounded(2, || {
        let [last, middle, first] = strands([1, 2, 3]);
        enter(&last);
        let mutexes = Arc::new([Mutex::<(), Threads>::new(()), Mutex::new(())]);
        let guard = mutexes[0].lock();
        enter(&middle);
        core::mem::forget(mutexes[1].lock());
        enter(&last);
        let shared = mutexes.clone();
        let waiter = spawn(&middle, move || shared[0].lock_interruptible().is_ok());
        let shared = mutexes.clone();
        let urgent = spawn(&first, move || shared[1].lock_interruptible().is_ok());
        // Both wait, at last: only then has everything that is lent been passed on.
        let mut loans = last.loans.lock().unwrap();
        while !loans.contains(&3) {
            loans = last.lent.wait(loans).unwrap();
        }
        drop(loans);
        first.terminate();
        assert!(!urgent.join().unwrap());
        middle.terminate();
        assert!(!waiter.join().unwrap());
        assert_eq!(last.loans(), 0);
        drop(guard);
    });
}

#[test]
fn no_signal_is_lost() {
    loom::model(|| {
        let [this, other] = strands([0, 0]);
        enter(&this);
        let semaphore = Arc::new(Semaphore::<Threads>::new(0));
        // Without any order but that of the signal.
        let happened = Arc::new(AtomicBool::new(false));
        let shared = (semaphore.clone(), happened.clone());
        let thread = spawn(&other, move || {
            shared.1.store(true, Ordering::Relaxed);
            shared.0.signal();
        });
        semaphore.wait();
        assert!(happened.load(Ordering::Relaxed));
        thread.join().unwrap();
        assert!(!semaphore.try_wait());
    });
}

#[test]
fn two_signals_serve_two() {
    bounded(3, || {
        let [this, one, other] = strands([0, 0, 0]);
        enter(&this);
        let semaphore = Arc::new(Semaphore::<Threads>::new(0));
        let threads = [one, other].map(|strand| {
            let semaphore = semaphore.clone();
            spawn(&strand, move || semaphore.wait())
        });
        semaphore.signal();
        semaphore.signal();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!semaphore.try_wait());
    });
}

/// A deadline strikes while a signal comes: the signal is had, or left over.
#[test]
fn a_deadline_races_with_a_signal() {
    bounded(3, || {
        let [this, other, timer] = strands([0, 0, 0]);
        enter(&this);
        let semaphore = Arc::new(Semaphore::<Threads>::new(0));
        let shared = semaphore.clone();
        let waiter = spawn(&other, move || shared.wait_until(DEADLINE));
        let late = other.clone();
        let timer = spawn(&timer, move || late.strike());
        semaphore.signal();
        timer.join().unwrap();
        let outcome = waiter.join().unwrap();
        assert!(matches!(outcome, Ok(()) | Err(Error::TimedOut)));
        assert_eq!(semaphore.try_wait(), outcome.is_err());
    });
}

/// The waiter is called by somebody else and goes on, and ends, as soon as it is settled: nobody calls it after.
#[test]
fn a_frame_may_end_once_settled() {
    bounded(4, || {
        let [this, other] = strands([0, 0]);
        enter(&this);
        let semaphore = Arc::new(Semaphore::<Threads>::new(0));
        let (shared, weak) = (semaphore.clone(), Arc::downgrade(&other));
        let waiter = spawn(&other, move || shared.wait());
        other.call_up();
        drop(other);
        semaphore.signal();
        waiter.join().unwrap();
        // All references that the wait and the signal made are gone; the thread's own goes with it.
        assert!(weak.strong_count() <= 1);
    });
}

#[test]
fn no_notification_is_lost() {
    bounded(4, || {
        let [this, other] = strands([0, 0]);
        enter(&this);
        let pair = Arc::new((Mutex::<bool, Threads>::new(false), Condition::<Threads>::new()));
        let shared = pair.clone();
        let thread = spawn(&other, move || {
            *shared.0.lock() = true;
            shared.1.notify_one();
        });
        let mut guard = pair.0.lock();
        while !*guard {
            pair.1.wait(&mut guard);
        }
        drop(guard);
        thread.join().unwrap();
    });
}

#[test]
fn all_are_notified() {
    bounded(2, || {
        let [this, one, other] = strands([0, 0, 0]);
        enter(&this);
        let pair = Arc::new((Mutex::<bool, Threads>::new(false), Condition::<Threads>::new()));
        let threads = [one, other].map(|strand| {
            let pair = pair.clone();
            spawn(&strand, move || {
                let mut guard = pair.0.lock();
                while !*guard {
                    pair.1.wait(&mut guard);
                }
            })
        });
        *pair.0.lock() = true;
        pair.1.notify_all();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// More is sent than fits.
#[test]
fn a_channel_passes_all_in_order() {
    bounded(4, || {
        let [this, other] = strands([0, 0]);
        enter(&this);
        let channel = Arc::new(Channel::<usize, Threads>::new(1));
        let shared = channel.clone();
        let thread = spawn(&other, move || {
            (0..3).for_each(|number| shared.send(number).unwrap());
            shared.close();
        });
        assert_eq!([(); 4].map(|()| channel.receive()), [Ok(0), Ok(1), Ok(2), Err(Error::Closed)]);
        thread.join().unwrap();
    });
}

#[test]
fn closing_wakes_everybody() {
    bounded(3, || {
        let [this, one, other] = strands([0, 0, 0]);
        enter(&this);
        let full = Arc::new(Channel::<usize, Threads>::new(1));
        full.send(1).unwrap();
        let empty = Arc::new(Channel::<usize, Threads>::new(1));
        let (shared, sender) = (full.clone(), one);
        let sender = spawn(&sender, move || shared.send(2));
        let (shared, receiver) = (empty.clone(), other);
        let receiver = spawn(&receiver, move || shared.receive());
        full.close();
        empty.close();
        assert_eq!(sender.join().unwrap(), Err(Refused { value: 2, error: Error::Closed }));
        assert_eq!(receiver.join().unwrap(), Err(Error::Closed));
    });
}

/// A sender in line shall end while room is made for it: its value arrives, or it has it back.
#[test]
fn an_end_races_with_room() {
    bounded(4, || {
        let [this, other] = strands([0, 0]);
        enter(&this);
        let channel = Arc::new(Channel::<usize, Threads>::new(1));
        channel.send(1).unwrap();
        let shared = channel.clone();
        let sender = spawn(&other, move || shared.send_interruptible(2));
        other.terminate();
        assert_eq!(channel.receive(), Ok(1));
        match sender.join().unwrap() {
            Ok(()) => assert_eq!(channel.try_receive(), Ok(2)),
            Err(refused) => {
                assert_eq!(refused, Refused { value: 2, error: Error::Terminated });
                assert_eq!(channel.try_receive(), Err(Error::Busy));
            }
        }
    });
}

#[test]
fn a_barrier_holds_until_all_have_come() {
    bounded(3, || {
        let [this, one, other] = strands([0, 0, 0]);
        enter(&this);
        let barrier = Arc::new((Barrier::<Threads>::new(3), AtomicUsize::new(0)));
        let threads = [one, other].map(|strand| {
            let barrier = barrier.clone();
            spawn(&strand, move || {
                barrier.1.fetch_add(1, Ordering::Relaxed);
                let is_last = barrier.0.wait();
                (barrier.1.load(Ordering::Relaxed), is_last)
            })
        });
        barrier.1.fetch_add(1, Ordering::Relaxed);
        let is_last = barrier.0.wait();
        let [(one, first), (other, second)] = threads.map(|thread| thread.join().unwrap());
        assert_eq!((one, other), (3, 3));
        assert_eq!([is_last, first, second].into_iter().filter(|is_last| *is_last).count(), 1);
    });
}

/// One whose deadline comes together with the last one: both have met, or neither.
#[test]
fn a_deadline_races_with_the_last_one() {
    bounded(4, || {
        let [this, other] = strands([0, 0]);
        enter(&this);
        let barrier = Arc::new(Barrier::<Threads>::new(2));
        let shared = barrier.clone();
        let waiter = spawn(&other, move || shared.wait_until(DEADLINE));
        other.strike();
        this.is_late.store(true, Ordering::Relaxed);
        let own = barrier.wait_until(DEADLINE);
        let others = waiter.join().unwrap();
        assert_eq!(own.is_ok(), others.is_ok(), "{own:?} {others:?}");
    });
}
