//! Exhaustive models of changes to a strand that is being queued, on the real source files:
//! `RUSTFLAGS="--cfg loom" cargo test -p sched --release --test loom_policy`.
//!
//! A strand whose change is missed stays on the list of its old priority, or on a core where it must not
//! run, which the models look for at their end.
#![cfg(loom)]

#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/hail.rs"]
mod hail;
#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/spot.rs"]
mod spot;

/// In place of `src/primitive.rs`.
mod primitive {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering, fence};
}

use std::sync::Arc;

use hail::{after_changing, after_queueing};
use loom::{
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};
use spot::Spot;

/// One strand and the queues of two cores, each with the list on which the strand stands.
struct Model {
    effective: AtomicU8,
    /// The only core where it may run, or any.
    only: AtomicU8,
    spot: Spot,
    queues: [Mutex<Option<u8>>; 2],
}

const ANY: u8 = 9;

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            effective: AtomicU8::new(1),
            only: AtomicU8::new(ANY),
            spot: Spot::new(0),
            queues: [Mutex::new(None), Mutex::new(None)],
        })
    }

    fn may_be_on(&self, core: usize) -> bool {
        let only = self.only.load(Ordering::Relaxed);
        only == ANY || usize::from(only) == core
    }

    fn enter(&self, queue: &mut Option<u8>, core: usize) -> u8 {
        let level = self.effective.load(Ordering::Relaxed);
        assert_eq!(queue.replace(level), None, "a strand is queued once");
        self.spot.enter(core, level);
        level
    }

    fn leave(&self, queue: &mut Option<u8>, core: usize) {
        assert!(queue.take().is_some());
        self.spot.leave(core);
    }

    /// As `Scheduler::enqueue` with `RunQueue::admit`.
    fn enqueue(&self, target: usize) {
        let mut target = target;
        'elsewhere: loop {
            let mut queue = self.queues[target].lock().unwrap();
            loop {
                let level = self.enter(&mut queue, target);
                after_queueing();
                let is_placed = self.effective.load(Ordering::Relaxed) == level;
                if self.may_be_on(target) && is_placed {
                    return;
                }
                self.leave(&mut queue, target);
                if !self.may_be_on(target) {
                    target = 1 - target;
                    continue 'elsewhere;
                }
            }
        }
    }

    /// As `run_idle` on core `thief`.
    fn steal(&self, thief: usize) -> bool {
        let mut queue = self.queues[1 - thief].lock().unwrap();
        if queue.is_none() || !self.may_be_on(thief) {
            return false;
        }
        self.leave(&mut queue, 1 - thief);
        self.spot.leave(thief);
        drop(queue);
        self.take_back(thief);
        true
    }

    /// As `RunQueue::take_back`, and what follows.
    fn take_back(&self, core: usize) {
        let mut queue = self.queues[core].lock().unwrap();
        if self.may_be_on(core) {
            self.enter(&mut queue, core);
        } else {
            drop(queue);
            self.enqueue(1 - core);
        }
    }

    /// As the change of a strand.
    fn mend(&self) {
        after_changing();
        loop {
            let core = self.spot.core();
            let mut queue = self.queues[core].lock().unwrap();
            if self.spot.core() != core {
                continue;
            }
            assert_eq!(self.spot.level_on(core), *queue, "its spot says where it stands");
            if queue.is_some() {
                self.leave(&mut queue, core);
                if self.may_be_on(core) {
                    self.enter(&mut queue, core);
                } else {
                    drop(queue);
                    self.enqueue(1 - core);
                }
            }
            return;
        }
    }

    fn assert_placed(&self) {
        let places: Vec<_> = self.queues.iter().map(|queue| *queue.lock().unwrap()).collect();
        let core = self.spot.core();
        assert_eq!(places[1 - core], None, "it stands in one place");
        assert_eq!(places[core], Some(self.effective.load(Ordering::Relaxed)), "it waits with its equals");
        assert!(self.may_be_on(core), "it waits where it may run");
    }
}

#[test]
fn a_change_while_it_is_woken_is_not_missed() {
    loom::model(|| {
        let model = Model::new();
        let waker = model.clone();
        // Woken on another core than the one where it ran.
        let waker = thread::spawn(move || waker.enqueue(1));
        model.effective.store(2, Ordering::Relaxed);
        model.mend();
        waker.join().unwrap();
        model.assert_placed();
    });
}

#[test]
fn two_changes_while_it_is_woken_are_not_missed() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let model = Model::new();
        let (waker, other) = (model.clone(), model.clone());
        let waker = thread::spawn(move || waker.enqueue(1));
        let other = thread::spawn(move || {
            other.effective.store(2, Ordering::Relaxed);
            other.mend();
        });
        model.effective.store(3, Ordering::Relaxed);
        model.mend();
        waker.join().unwrap();
        other.join().unwrap();
        model.assert_placed();
    });
}

#[test]
fn a_place_that_is_forbidden_while_it_is_woken_there_is_left() {
    loom::model(|| {
        let model = Model::new();
        let waker = model.clone();
        let waker = thread::spawn(move || waker.enqueue(1));
        model.only.store(0, Ordering::Relaxed);
        model.mend();
        waker.join().unwrap();
        model.assert_placed();
    });
}

#[test]
fn a_change_while_it_is_stolen_is_not_missed() {
    loom::model(|| {
        let model = Model::new();
        model.enqueue(1);
        let thief = model.clone();
        let thief = thread::spawn(move || thief.steal(0));
        model.effective.store(2, Ordering::Relaxed);
        model.mend();
        assert!(thief.join().unwrap());
        model.assert_placed();
    });
}

/// A strand that was preempted goes back to the queue of its core while it is changed: no fence is needed.
#[test]
fn a_change_while_it_goes_back_to_its_queue_is_not_missed() {
    loom::model(|| {
        let model = Model::new();
        let other = model.clone();
        let core = thread::spawn(move || other.take_back(0));
        model.effective.store(2, Ordering::Relaxed);
        model.mend();
        core.join().unwrap();
        model.assert_placed();
    });
}

/// It is stolen by a core on which it may not run a moment later.
#[test]
fn a_place_that_is_forbidden_while_it_is_stolen_is_left() {
    loom::model(|| {
        let model = Model::new();
        model.enqueue(1);
        let thief = model.clone();
        let thief = thread::spawn(move || thief.steal(0));
        model.only.store(1, Ordering::Relaxed);
        model.mend();
        thief.join().unwrap();
        model.assert_placed();
    });
}

/// It goes back to the queue of a core on which it may not run a moment later.
#[test]
fn a_place_that_is_forbidden_while_it_goes_back_is_left() {
    loom::model(|| {
        let model = Model::new();
        let other = model.clone();
        let core = thread::spawn(move || other.take_back(0));
        model.only.store(1, Ordering::Relaxed);
        model.mend();
        core.join().unwrap();
        model.assert_placed();
    });
}
