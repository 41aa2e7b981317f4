//! Exhaustive models of asynchronous dispatch, on the real source files:
//! `RUSTFLAGS="--cfg loom" cargo test -p dispatcher --release --test loom_post`.
//!
//! A model in which a wake-up is lost ends with everybody asleep, which loom reports as a deadlock. Two who
//! use a slot, a line or an addressee at once are found by loom's cells.
#![cfg(loom)]
#![allow(dead_code, reason = "the models use parts of the files")]

extern crate alloc;

#[path = "../src/post/agenda.rs"]
mod agenda;
#[path = "../src/post/mailbox.rs"]
mod mailbox;
#[path = "../src/post/posting.rs"]
mod posting;
#[path = "../src/primitive.rs"]
mod primitive;
#[path = "../src/post/ring.rs"]
mod ring;

use alloc::{alloc::Layout, sync::Arc};
use core::ptr;

use agenda::Agenda;
use loom::{
    cell::UnsafeCell,
    sync::{Condvar, Mutex},
    thread,
};
use mailbox::{Mailbox, Turn};
use posting::{Addressee, Full, OnFull, Place, Posted, Posting};
use ring::Ring;

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(body);
}

fn push(ring: &Ring, number: u64) -> Result<(), Full> {
    // SAFETY: the ring is for numbers.
    unsafe { ring.push(ptr::from_ref(&number).cast(), 0) }
}

fn pop(ring: &Ring) -> Option<u64> {
    let mut number = 0_u64;
    // SAFETY: the model has one consumer, and a number fits a number.
    unsafe { ring.pop(ptr::from_mut(&mut number).cast()) }.then_some(number)
}

/// Two strands push while a third pops: each number arrives once, whole, and in its pusher's order.
fn pushers_and_a_popper(capacity: usize, each: u64) {
    let ring = Arc::new(Ring::new(Layout::new::<u64>(), capacity).expect("there is memory"));
    let pushers = [10, 20].map(|first| {
        let ring = ring.clone();
        thread::spawn(move || (first..first + each).filter(|number| push(&ring, *number).is_ok()).collect())
    });
    let mut seen: Vec<u64> = (0..2).filter_map(|_| pop(&ring)).collect();
    let sent: [Vec<u64>; 2] = pushers.map(|pusher| pusher.join().unwrap());
    seen.extend(std::iter::from_fn(|| pop(&ring)));
    for (first, sent) in [10, 20].into_iter().zip(sent) {
        let own: Vec<u64> =
            seen.iter().copied().filter(|number| (first..first + 10).contains(number)).collect();
        assert_eq!(own, sent);
    }
    assert!(seen.len() >= capacity, "refused although there was room");
}

#[test]
fn a_queue_of_one() {
    model(3, || pushers_and_a_popper(1, 1));
}

#[test]
fn a_queue_of_two() {
    model(3, || pushers_and_a_popper(2, 2));
}

/// Keeps what it was given; two deliveries at once are a race that loom sees.
struct Log(UnsafeCell<Vec<u64>>);

// SAFETY: what the models are about: one delivery at a time.
unsafe impl Sync for Log {}

impl Log {
    fn taken(&self) -> Vec<u64> {
        // SAFETY: asked when all is over.
        self.0.with(|log| unsafe { (*log).clone() })
    }
}

impl Addressee for Log {
    unsafe fn deliver(&self, args: *mut ()) {
        // SAFETY: a number was posted.
        let number = unsafe { args.cast::<u64>().read() };
        // SAFETY: one delivery at a time.
        self.0.with_mut(|log| unsafe { (*log).push(number) });
    }

    fn is_gone(&self) -> bool {
        false
    }
}

fn mailbox(place: Place) -> (Arc<Log>, Arc<Mailbox>) {
    let log = Arc::new(Log(UnsafeCell::new(Vec::new())));
    let posting = Posting { place, capacity: 4, on_full: OnFull::Refuse };
    let mailbox = Mailbox::allocate(log.clone(), Layout::new::<u64>(), posting).expect("there is memory");
    (log, mailbox)
}

fn put(mailbox: &Arc<Mailbox>, number: u64, origin: usize) -> Option<Turn> {
    // SAFETY: the mailbox is for numbers.
    let (posted, turn) =
        unsafe { mailbox.put(ptr::from_ref(&number).cast(), origin) }.expect("there is room");
    assert_eq!(posted, Posted::Queued);
    turn
}

fn run_to_the_end(turn: Option<Turn>, here: usize) {
    let mut next = turn;
    while let Some(turn) = next {
        next = turn.run(here);
        if next.is_some() {
            thread::yield_now();
        }
    }
}

/// Two strands post, and whoever gets the turn delivers: all, once, one at a time.
#[test]
fn there_is_one_turn_and_nothing_is_forgotten() {
    model(4, || {
        let (log, mailbox) = mailbox(Place::Core(0));
        let poster = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                run_to_the_end(put(&mailbox, 10, 0), 0);
                run_to_the_end(put(&mailbox, 11, 0), 0);
            })
        };
        run_to_the_end(put(&mailbox, 20, 0), 0);
        poster.join().unwrap();
        assert!(mailbox.is_quiet());
        let mut seen = log.taken();
        assert!(seen.iter().position(|number| *number == 10) < seen.iter().position(|number| *number == 11));
        seen.sort_unstable();
        assert_eq!(seen, [10, 11, 20]);
    });
}

/// A strand that finds the mailbox quiet after its last post sees all that was delivered.
#[test]
fn quiet_means_delivered() {
    model(4, || {
        let (log, mailbox) = mailbox(Place::Core(0));
        let turn = put(&mailbox, 1, 0);
        let worker = thread::spawn(move || run_to_the_end(turn, 0));
        let turn = put(&mailbox, 2, 0);
        if mailbox.is_quiet() {
            assert_eq!(log.taken(), [1, 2]);
        }
        run_to_the_end(turn, 0);
        worker.join().unwrap();
        assert!(mailbox.is_quiet());
    });
}

/// Strands that sleep until they are summoned, as the workers of a core do.
#[derive(Default)]
struct Bed {
    summons: Mutex<usize>,
    changed: Condvar,
}

impl Bed {
    fn summon(&self) {
        *self.summons.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    fn sleep(&self) {
        let mut summons = self.summons.lock().unwrap();
        while *summons == 0 {
            summons = self.changed.wait(summons).unwrap();
        }
        *summons -= 1;
    }
}

struct Office {
    agenda: Agenda,
    bed: Bed,
}

impl Office {
    fn new() -> Arc<Self> {
        Arc::new(Self { agenda: Agenda::new(), bed: Bed::default() })
    }

    fn post(&self, mailbox: &Arc<Mailbox>, number: u64) {
        if put(mailbox, number, 0).is_some_and(|turn| self.agenda.push(turn)) {
            self.bed.summon();
        }
    }

    /// A worker, until `is_over`.
    fn work(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if let Some(turn) = self.agenda.take() {
                if let Some(turn) = turn.run(0) {
                    self.agenda.put_back(turn);
                }
            } else if self.agenda.watch() {
                self.bed.sleep();
            }
        }
    }
}

/// Two raisers, a mailbox each, and a worker who sleeps when there is nothing to do.
#[test]
fn no_summons_is_lost() {
    model(3, || {
        let office = Office::new();
        let boxes = [(); 2].map(|()| mailbox(Place::Core(0)));
        let posters = [0, 1].map(|own: usize| {
            let (office, mailbox) = (office.clone(), boxes[own].1.clone());
            thread::spawn(move || office.post(&mailbox, own as u64))
        });
        let counts = boxes.clone();
        office.work(|| counts.iter().all(|(_, mailbox)| mailbox.counts().delivered == 1));
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        assert!(boxes.iter().all(|(_, mailbox)| mailbox.is_quiet()));
        assert_eq!(boxes.map(|(log, _)| log.taken()), [vec![0], vec![1]]);
    });
}

/// One raiser that posts twice to one mailbox, while the worker falls asleep and wakes.
#[test]
fn a_post_at_the_end_of_a_turn_is_seen() {
    model(4, || {
        let office = Office::new();
        let (log, mailbox) = mailbox(Place::Core(0));
        let poster = {
            let (office, mailbox) = (office.clone(), mailbox.clone());
            thread::spawn(move || {
                office.post(&mailbox, 1);
                office.post(&mailbox, 2);
            })
        };
        office.work(|| mailbox.counts().delivered == 2);
        poster.join().unwrap();
        // A turn for nothing may be left, if the second was delivered before its poster exchanged the flag.
        while let Some(turn) = office.agenda.take() {
            assert!(turn.run(0).is_none());
        }
        assert!(mailbox.is_quiet());
        assert_eq!(log.taken(), [1, 2]);
    });
}

/// Two workers on one agenda: a mailbox is taken by one of them.
#[test]
fn workers_share_an_agenda() {
    model(3, || {
        let office = Office::new();
        let boxes = [(); 2].map(|()| mailbox(Place::Core(0)));
        for (number, (_, mailbox)) in boxes.iter().enumerate() {
            office.post(mailbox, number as u64);
        }
        let work = |office: &Office| {
            while let Some(turn) = office.agenda.take() {
                if let Some(turn) = turn.run(0) {
                    office.agenda.put_back(turn);
                }
            }
        };
        let other = {
            let office = office.clone();
            thread::spawn(move || work(&office))
        };
        office.post(&boxes[0].1, 7);
        work(&office);
        other.join().unwrap();
        assert_eq!(boxes.map(|(log, _)| log.taken()), [vec![0, 7], vec![1]]);
    });
}

/// One binding, two cores whose raisers want it run where they are: each delivery is on its raiser's
/// core, in one order.
#[test]
fn a_turn_goes_where_the_next_is_wanted() {
    model(3, || {
        let (log, mailbox) = mailbox(Place::Here);
        let other = {
            let mailbox = mailbox.clone();
            thread::spawn(move || put(&mailbox, 1, 1))
        };
        let mut turn = put(&mailbox, 0, 0);
        turn = other.join().unwrap().or(turn);
        let mut cores = Vec::new();
        while let Some(own) = turn {
            let core = own.core(0);
            cores.push(core);
            turn = own.run(core);
        }
        assert!(mailbox.is_quiet());
        // What was delivered on core n is n.
        assert_eq!(log.taken(), cores.iter().map(|core| *core as u64).collect::<Vec<_>>());
        assert_eq!(cores.len(), 2);
    });
}
