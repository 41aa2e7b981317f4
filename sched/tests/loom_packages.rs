//! Exhaustive models of the words by which a package's strands have one master at a time, on the real source files:
//! `RUSTFLAGS="--cfg loom" cargo test -p sched --release --test loom_packages`.
//!
//! A seat's notices are a lock around a list; here it is a list of one.
#![cfg(loom)]

#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/package/hold.rs"]
mod hold;
#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/package/idle.rs"]
mod idle;
#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/token.rs"]
mod token;

/// In place of `src/primitive.rs`.
mod primitive {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
}

use std::sync::Arc;

use hold::{Held, Hold};
use idle::IdleSeats;
use loom::{
    cell::UnsafeCell,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};
use token::Token;

/// A managed strand, and what becomes of it.
struct Strand {
    hold: Hold,
    /// What `switch` saves: whoever runs it must find it written.
    saved: UnsafeCell<usize>,
    /// How often the global scheduler has got it.
    queued: AtomicUsize,
}

// SAFETY: `saved` is touched by whoever has the strand, in the order that `hold` brings; loom checks it.
unsafe impl Sync for Strand {}

impl Strand {
    fn new(held: Held) -> Arc<Self> {
        let (hold, saved) = (Hold::new(held), UnsafeCell::new(0));
        Arc::new(Self { hold, saved, queued: AtomicUsize::new(0) })
    }

    /// By whoever has claimed it: runs it, and leaves it to its package again.
    fn run_and_keep(&self) {
        // SAFETY: it was claimed, so it is nobody else's; loom checks it.
        self.saved.with_mut(|saved| unsafe { *saved += 1 });
        self.give(Held::Kept);
    }

    /// As `carried::give`.
    fn give(&self, held: Held) {
        if !self.hold.give(held) {
            self.enqueue();
        }
    }

    /// As `package::release`.
    fn release(&self) {
        if self.hold.let_go().is_ok() {
            self.enqueue();
        }
    }

    fn enqueue(&self) {
        // SAFETY: as above.
        self.saved.with_mut(|saved| unsafe { *saved += 1 });
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// As `Package::free_kept` for this one.
    fn free_if_kept(&self) {
        if self.hold.free().is_ok() {
            self.enqueue();
        }
    }
}

/// A package answers with one strand on two cores, while a third is just leaving it.
#[test]
fn a_strand_is_claimed_by_one_core() {
    loom::model(|| {
        let strand = Strand::new(Held::Running);
        let claimers: Vec<_> = (0..2)
            .map(|_| {
                let strand = strand.clone();
                thread::spawn(move || {
                    let is_mine = strand.hold.claim().is_ok();
                    if is_mine {
                        // SAFETY: as in `run_and_keep`.
                        strand.saved.with_mut(|saved| unsafe { *saved += 1 });
                    }
                    is_mine
                })
            })
            .collect();
        strand.run_and_keep();
        let claimed = claimers.into_iter().map(|claimer| claimer.join().unwrap());
        assert!(claimed.filter(|is_mine| *is_mine).count() <= 1);
    });
}

/// A package, seen by two of its carriers.
struct Package {
    is_ejected: AtomicBool,
    strand: Arc<Strand>,
    /// The notices of the first seat: is the strand there, and is the seat closed?
    notices: Mutex<(bool, bool)>,
}

impl Package {
    fn new(held: Held) -> Arc<Self> {
        let (is_ejected, notices) = (AtomicBool::new(false), Mutex::new((false, false)));
        Arc::new(Self { is_ejected, strand: Strand::new(held), notices })
    }

    /// As `seat::awaken`: by whoever took its parked token.
    fn awaken(&self) {
        let mut notices = self.notices.lock().unwrap();
        if notices.1 {
            drop(notices);
            self.strand.hold.set(Held::Free);
            self.strand.enqueue();
            return;
        }
        self.strand.hold.set(Held::Noticed);
        notices.0 = true;
    }

    fn pop(&self) -> bool {
        core::mem::take(&mut self.notices.lock().unwrap().0)
    }

    /// As `Seat::deliver`; what the package is told is none of the scheduler's business.
    fn deliver(&self) {
        if self.pop() {
            self.strand.give(Held::Told);
        }
    }

    fn wait_for_ejection(&self) {
        while !self.is_ejected.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }

    /// As `Package::leave_seat` for the first seat.
    fn leave_seat(&self) {
        self.notices.lock().unwrap().1 = true;
        if self.pop() {
            self.strand.hold.set(Held::Free);
            self.strand.enqueue();
        }
        self.strand.free_if_kept();
    }

    /// As `Package::eject`, and the last act of the second carrier.
    fn eject(&self) {
        self.is_ejected.store(true, Ordering::Relaxed);
        self.strand.free_if_kept();
    }
}

/// One core runs the strand and leaves it, the other ejects the package: it goes on once.
#[test]
fn a_strand_is_freed_once_whoever_has_it() {
    loom::model(|| {
        let package = Package::new(Held::Kept);
        let first = package.clone();
        let carrier = thread::spawn(move || {
            if !first.is_ejected.load(Ordering::Relaxed) && first.strand.hold.claim().is_ok() {
                first.strand.run_and_keep();
            }
            first.wait_for_ejection();
            first.leave_seat();
        });
        package.eject();
        carrier.join().unwrap();
        assert_eq!(package.strand.queued.load(Ordering::Relaxed), 1);
    });
}

/// It is called while the first carrier, or a strand on its core, tells the package, and the second ejects it.
#[test]
fn a_notice_is_neither_lost_nor_doubled_by_an_ejection() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let package = Package::new(Held::Blocked);
        let (first, caller) = (package.clone(), package.clone());
        let carrier = thread::spawn(move || {
            if !first.is_ejected.load(Ordering::Relaxed) {
                first.deliver();
            }
            first.wait_for_ejection();
            first.leave_seat();
        });
        let caller = thread::spawn(move || caller.awaken());
        package.eject();
        caller.join().unwrap();
        carrier.join().unwrap();
        assert_eq!(package.strand.queued.load(Ordering::Relaxed), 1);
    });
}

/// It is taken from its package, which does not run it, while it is called and the package is told: it goes on, once.
#[test]
fn one_that_is_told_of_is_let_go() {
    loom::model(|| {
        let package = Package::new(Held::Blocked);
        let (first, caller) = (package.clone(), package.clone());
        let carrier = thread::spawn(move || first.deliver());
        let caller = thread::spawn(move || caller.awaken());
        package.strand.release();
        caller.join().unwrap();
        carrier.join().unwrap();
        // Of what came after that it is told later.
        package.deliver();
        assert_eq!(package.strand.queued.load(Ordering::Relaxed), 1);
    });
}

/// It is taken from its package while it leaves its core to be kept, and the package runs it again or does not.
#[test]
fn one_that_runs_is_let_go_when_it_is_kept() {
    loom::model(|| {
        let strand = Strand::new(Held::Running);
        let (leaving, again) = (strand.clone(), strand.clone());
        let leaving = thread::spawn(move || leaving.run_and_keep());
        let again = thread::spawn(move || {
            if again.hold.claim().is_ok() {
                again.run_and_keep();
            }
        });
        strand.release();
        leaving.join().unwrap();
        again.join().unwrap();
        assert_eq!(strand.queued.load(Ordering::Relaxed), 1);
    });
}

/// Two carriers, their sleep, and the work for them.
struct Idlers {
    idle: IdleSeats,
    tokens: [Token; 2],
    called: [(Mutex<bool>, Condvar); 2],
    /// Each seat's, and the hint beside it.
    notices: [Mutex<usize>; 2],
    has_notices: [AtomicBool; 2],
    /// The package's own queue, under its lock.
    ready: Mutex<usize>,
}

impl Idlers {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            idle: IdleSeats::new(),
            tokens: [Token::new(), Token::new()],
            called: [(); 2].map(|()| (Mutex::new(false), Condvar::new())),
            notices: [(); 2].map(|()| Mutex::new(0)),
            has_notices: [(); 2].map(|()| AtomicBool::new(false)),
            ready: Mutex::new(0),
        })
    }

    /// As `Seat::call`.
    fn call(&self, core: usize) {
        if self.tokens[core].call() {
            *self.called[core].0.lock().unwrap() = true;
            self.called[core].1.notify_one();
        }
    }

    /// As `block` of a carrier's.
    fn sleep(&self, core: usize) {
        if self.tokens[core].take() || !self.tokens[core].park() {
            return;
        }
        let mut is_called = self.called[core].0.lock().unwrap();
        while !*is_called {
            is_called = self.called[core].1.wait(is_called).unwrap();
        }
        *is_called = false;
    }

    /// As `Carrier::run` of core `core`, until it has found somebody to run, who never leaves.
    fn carry(&self, core: usize) {
        let mut owed = 0;
        loop {
            owed += self.deliver(core);
            self.idle.announce(core);
            if self.is_answered() {
                owed = owed.saturating_sub(1) + usize::from(!self.take_idle(core));
                return self.wake_some(owed);
            }
            // Acquire: as in `Seat::has_notices`, of every seat.
            if !self.has_notices.iter().any(|seat| seat.load(Ordering::Acquire)) {
                self.sleep(core);
            }
            self.take_idle(core);
            owed = self.deliver(1 - core);
        }
    }

    /// As `Seat::deliver`: the package, which is told, queues the strands.
    fn deliver(&self, seat: usize) -> usize {
        if !self.has_notices[seat].load(Ordering::Acquire) {
            return 0;
        }
        let count = {
            let mut notices = self.notices[seat].lock().unwrap();
            self.has_notices[seat].store(false, Ordering::Release);
            core::mem::take(&mut *notices)
        };
        *self.ready.lock().unwrap() += count;
        count
    }

    /// Has the package, which is asked, somebody to run?
    fn is_answered(&self) -> bool {
        let mut ready = self.ready.lock().unwrap();
        let is_any = *ready > 0;
        *ready -= usize::from(is_any);
        is_any
    }

    /// As `Package::take_idle`.
    fn take_idle(&self, core: usize) -> bool {
        self.idle.withdraw(core) >> core & 1 != 0
    }

    /// As `Package::wake_any`.
    fn wake_any(&self) -> bool {
        while let idle @ 1.. = self.idle.get() {
            let core = idle.trailing_zeros() as usize;
            if self.take_idle(core) {
                self.call(core);
                return true;
            }
        }
        false
    }

    /// As `Package::wake_some`.
    fn wake_some(&self, count: usize) {
        let _ = (0..count).all(|_| self.wake_any());
    }

    /// As `Seat::push` and `Package::attend` for that seat.
    fn notify(&self, seat: usize) {
        {
            let mut notices = self.notices[seat].lock().unwrap();
            *notices += 1;
            self.has_notices[seat].store(true, Ordering::Release);
        }
        let idle = self.idle.withdraw(seat);
        if idle >> seat & 1 != 0 {
            self.call(seat);
        } else if idle != 0 {
            self.wake_any();
        }
    }
}

/// A notice comes while the carrier goes to sleep; to its own seat, or to that of a core where somebody computes.
#[test]
fn no_carrier_sleeps_over_a_notice() {
    for seat in 0..2 {
        loom::model(move || {
            let idlers = Idlers::new();
            let bringer = idlers.clone();
            let bringer = thread::spawn(move || bringer.notify(seat));
            idlers.carry(0);
            bringer.join().unwrap();
        });
    }
}

/// The package finds work by itself, puts it where `resume` looks, and calls `wake`.
#[test]
fn no_carrier_sleeps_over_the_packages_own_work() {
    loom::model(|| {
        let idlers = Idlers::new();
        let bringer = idlers.clone();
        let bringer = thread::spawn(move || {
            *bringer.ready.lock().unwrap() += 1;
            bringer.wake_any();
        });
        idlers.carry(0);
        bringer.join().unwrap();
    });
}

/// Two carriers, and two strands that keep their cores: the package has `ready` of them, and of the others it hears
/// by that seat.
fn both_find_work(ready: usize, seat: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let idlers = Idlers::new();
        *idlers.ready.lock().unwrap() = ready;
        let (bringer, other) = (idlers.clone(), idlers.clone());
        let bringer = thread::spawn(move || (ready..2).for_each(|_| bringer.notify(seat)));
        let other = thread::spawn(move || other.carry(1));
        idlers.carry(0);
        bringer.join().unwrap();
        other.join().unwrap();
    });
}

/// The one that was counted on has found other work: the other one hears of what was brought.
#[test]
fn no_carrier_sleeps_while_another_has_two() {
    (0..2).for_each(|seat| both_find_work(1, seat));
}

/// One tells of two, and takes one of them: the other one is told to ask.
#[test]
fn no_carrier_sleeps_over_what_another_has_told() {
    (0..2).for_each(|seat| both_find_work(0, seat));
}
