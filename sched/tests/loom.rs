//! Exhaustive models of the words by which strands and cores are called, on the real source files:
//! `RUSTFLAGS="--cfg loom" cargo test -p sched --release --test loom`.
//!
//! A model in which a wake-up is lost ends with everybody asleep, which loom reports as a deadlock.
#![cfg(loom)]

#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/hail.rs"]
mod hail;
#[path = "../src/token.rs"]
mod token;

/// In place of `src/primitive.rs`.
mod primitive {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering, fence};
}

use std::sync::Arc;

use hail::{IdleCores, Ticking, after_queueing};
use loom::{
    cell::UnsafeCell,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};
use token::Token;

/// A run queue's slot for one strand: how it gets to its next core, and who waits for that.
struct Queue {
    is_queued: Mutex<bool>,
    changed: Condvar,
}

impl Queue {
    fn new() -> Self {
        Self { is_queued: Mutex::new(false), changed: Condvar::new() }
    }

    fn push(&self) {
        let mut is_queued = self.is_queued.lock().unwrap();
        assert!(!*is_queued, "a strand is queued once");
        *is_queued = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut is_queued = self.is_queued.lock().unwrap();
        while !*is_queued {
            is_queued = self.changed.wait(is_queued).unwrap();
        }
        *is_queued = false;
    }
}

struct Waiting {
    token: Token,
    queue: Queue,
    /// What the strand waits for: written without any order but that of the call.
    happened: [AtomicBool; 2],
    /// What `switch` saves: whoever makes the strand runnable must find it written.
    saved: UnsafeCell<usize>,
}

// SAFETY: `saved` is touched by the strand while it runs and by whoever makes it runnable, in the order
// that the token brings; loom checks it.
unsafe impl Sync for Waiting {}

/// As `block`, `leave`, and `finish` on behalf of the strand.
fn block(waiting: &Waiting) {
    if waiting.token.take() {
        return;
    }
    // SAFETY: the strand runs, so nobody looks at what is saved; loom checks it.
    waiting.saved.with_mut(|saved| unsafe { *saved += 1 });
    if !waiting.token.park() {
        waiting.queue.push();
    }
    waiting.queue.wait();
    waiting.saved.with(|_| ());
}

fn wake_up(waiting: &Waiting, number: usize) {
    waiting.happened[number].store(true, Ordering::Relaxed);
    if waiting.token.call() {
        waiting.saved.with(|_| ());
        waiting.queue.push();
    }
}

fn no_wake_up_is_lost(callers: usize) {
    let waiting = Arc::new(Waiting {
        token: Token::new(),
        queue: Queue::new(),
        happened: [0, 1].map(|number| AtomicBool::new(number >= callers)),
        saved: UnsafeCell::new(0),
    });
    let callers: Vec<_> = (0..callers)
        .map(|number| {
            let waiting = waiting.clone();
            thread::spawn(move || wake_up(&waiting, number))
        })
        .collect();
    while !waiting.happened.iter().all(|happened| happened.load(Ordering::Relaxed)) {
        block(&waiting);
    }
    for caller in callers {
        caller.join().unwrap();
    }
}

#[test]
fn who_is_called_once_goes_on() {
    loom::model(|| no_wake_up_is_lost(1));
}

#[test]
fn who_is_called_by_two_sees_both() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| no_wake_up_is_lost(2));
}

struct Cores {
    idle: IdleCores,
    /// Strands that wait for the core. Without the order that the real queue's lock brings, so that the
    /// protocol is seen to stand by itself.
    queue: AtomicUsize,
    kicked: Mutex<bool>,
    kick: Condvar,
}

impl Cores {
    fn new() -> Arc<Self> {
        let (queue, kicked) = (AtomicUsize::new(0), Mutex::new(false));
        Arc::new(Self { idle: IdleCores(AtomicU64::new(0)), queue, kicked, kick: Condvar::new() })
    }

    /// As `Scheduler::enqueue` for core 0, on which something runs, or which is idle.
    fn enqueue(&self) {
        let is_claimed = self.idle.claim(1, 0).is_some();
        self.queue.fetch_add(1, Ordering::Relaxed);
        after_queueing();
        if is_claimed || self.idle.has(0) {
            *self.kicked.lock().unwrap() = true;
            self.kick.notify_one();
        }
    }

    /// As `run_idle` and `halt`, until so many strands have run.
    fn run_idle(&self, mut strands: usize) {
        while strands > 0 {
            let queued = self.queue.swap(0, Ordering::Relaxed);
            strands -= queued;
            if queued > 0 {
                continue;
            }
            self.idle.announce(0);
            if self.queue.load(Ordering::Relaxed) == 0 {
                let mut kicked = self.kicked.lock().unwrap();
                while !*kicked {
                    kicked = self.kick.wait(kicked).unwrap();
                }
                *kicked = false;
            }
            self.idle.withdraw(0);
        }
    }
}

fn no_core_halts_over_work(enqueuers: usize) {
    let cores = Cores::new();
    let enqueuers: Vec<_> = (0..enqueuers)
        .map(|_| {
            let cores = cores.clone();
            thread::spawn(move || cores.enqueue())
        })
        .collect();
    cores.run_idle(enqueuers.len());
    for enqueuer in enqueuers {
        enqueuer.join().unwrap();
    }
}

#[test]
fn a_core_does_not_halt_over_a_strand() {
    loom::model(|| no_core_halts_over_work(1));
}

#[test]
fn nor_over_two_that_come_together() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| no_core_halts_over_work(2));
}

/// Two that take idle cores at once do not take the same one.
#[test]
fn an_idle_core_is_claimed_once() {
    loom::model(|| {
        let idle = Arc::new(IdleCores(AtomicU64::new(0)));
        idle.announce(0);
        idle.announce(1);
        let other = idle.clone();
        let claimer = thread::spawn(move || other.claim(0b11, 1));
        let claimed = idle.claim(0b11, 1);
        let both = [claimed, claimer.join().unwrap()];
        assert!(both == [Some(0), Some(1)] || both == [Some(1), Some(0)]);
    });
}

/// An equal is queued while the core decides that it needs no tick: it ticks, or is told.
#[test]
fn nobody_waits_for_a_core_without_a_tick() {
    loom::model(|| {
        let core = Arc::new((Ticking(AtomicBool::new(false)), AtomicBool::new(false)));
        // It ticked until now, for one that has just left the queue.
        assert!(core.0.decide(|| true));
        let other = core.clone();
        let enqueuer = thread::spawn(move || {
            other.1.store(true, Ordering::Relaxed);
            after_queueing();
            !other.0.is_on()
        });
        let is_ticking = core.0.decide(|| core.1.load(Ordering::Relaxed));
        let is_told = enqueuer.join().unwrap();
        assert!(is_ticking || is_told);
    });
}
