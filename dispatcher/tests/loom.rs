//! Exhaustive models of what cores do to each other without locks, on the real source files:
//! `RUSTFLAGS="--cfg loom" cargo test -p dispatcher --release --test loom`.
//!
//! loom cannot run crossbeam-epoch. Where a grace period matters it is modelled: each strand says when
//! it is inside and when it no longer is, and the housekeeper waits until it has seen each outside,
//! which is what a pinned participant comes to.
#![cfg(loom)]

extern crate alloc;

#[path = "../src/primitive.rs"]
mod primitive;
#[path = "../src/references.rs"]
mod references;
#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/retire.rs"]
mod retire;
#[allow(dead_code, reason = "the models use parts of it")]
#[path = "../src/slot.rs"]
mod slot;

use alloc::{boxed::Box, sync::Arc};

use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
    thread,
};
use references::References;
use retire::{RetireList, Retired};
use slot::Slot;

/// Of each iteration of a model one is left behind: what is `'static` cannot be freed.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A core that halts and wakes against the tender: the slot's cell, checked by loom, is touched by one
/// at a time, and nothing that the tender did is lost.
#[test]
fn lending_excludes_tending() {
    loom::model(|| {
        let slot = leak(Slot::new(0_usize));
        let mut owned = slot.claim().expect("it is free");
        *owned.get() += 1;
        let tender = thread::spawn(move || usize::from(slot.tend(|value| *value += 10)));
        let lent = owned.lend();
        let mut owned = lent.take_back();
        *owned.get() += 1;
        let value = *owned.get();
        owned.park();
        let tended = tender.join().unwrap();
        let mut owned = slot.claim().expect("it is free again");
        assert_eq!(*owned.get(), 2 + 10 * tended);
        assert!(value == 2 || value == 12);
        owned.park();
    });
}

/// Two cores that want a participant of the pool, and the tender: one owner at a time.
#[test]
fn claiming_excludes_claiming_and_tending() {
    loom::model(|| {
        let slot = leak(Slot::new(0_usize));
        let claimers = [(); 2].map(|()| {
            thread::spawn(move || {
                slot.claim().map_or(0, |mut owned| {
                    *owned.get() += 1;
                    owned.park();
                    1
                })
            })
        });
        let tended = usize::from(slot.tend(|value| *value += 10));
        let claimed: usize = claimers.map(|claimer| claimer.join().unwrap()).iter().sum();
        let mut owned = slot.claim().expect("it is free again");
        assert_eq!(*owned.get(), claimed + 10 * tended);
        owned.park();
    });
}

/// What is retired in the models: its first field is the header.
#[repr(C)]
struct Object {
    header: Retired,
    references: References,
    /// Written by those who use it, read by whoever destroys it: loom finds an access too late.
    contents: UnsafeCell<usize>,
    users: AtomicUsize,
    destroyed: Arc<std::sync::atomic::AtomicUsize>,
}

impl Object {
    fn new(destroyed: &Arc<std::sync::atomic::AtomicUsize>) -> *mut Self {
        Box::into_raw(Box::new(Self {
            header: Retired::new(Self::finish),
            references: References::new(),
            contents: UnsafeCell::new(0),
            users: AtomicUsize::new(0),
            destroyed: destroyed.clone(),
        }))
    }

    /// As a plan does.
    unsafe fn finish(object: *mut Retired) {
        let object = object.cast::<Self>();
        // SAFETY: alive until it is dropped below.
        let this = unsafe { &*object };
        if this.references.finish() {
            // A write: nobody may use the contents any more, nor unordered before.
            this.contents.with_mut(|_| ());
            this.destroyed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // SAFETY: nobody holds it.
            drop(unsafe { Box::from_raw(object) });
        }
    }
}

/// Two strands retire while the housekeeper takes: each object is finished once, with all that was
/// done to it before.
#[test]
fn what_is_retired_is_taken_once() {
    loom::model(|| {
        let list = leak(RetireList::new());
        let destroyed = Arc::default();
        let pushers = [(); 2].map(|()| {
            let destroyed = Arc::clone(&destroyed);
            thread::spawn(move || {
                let object = Object::new(&destroyed);
                // SAFETY: it was just made.
                unsafe { &*object }.contents.with_mut(|_| ());
                // SAFETY: nobody else has it.
                unsafe { list.push(object.cast()) };
            })
        });
        // SAFETY: nobody can reach what is on the list.
        let early = unsafe { list.take().finish(list) };
        for pusher in pushers {
            pusher.join().unwrap();
        }
        // SAFETY: as above.
        let late = unsafe { list.take().finish(list) };
        assert_eq!((early + late, list.len()), (2, 0));
        assert!(list.is_empty());
        assert_eq!(destroyed.load(std::sync::atomic::Ordering::Relaxed), 2);
    });
}

/// One published object, and who may still be using it by an epoch.
struct Published {
    object: AtomicPtr<Object>,
    inside: [AtomicBool; 2],
    list: RetireList,
}

/// A strand that raises, sleeps in the handler, wakes and leaves.
fn sleeper(published: &'static Published, number: usize) {
    // It was inside from the beginning, as the core's participant was pinned from the beginning.
    // Acquire: pairs with the publication.
    let object = published.object.load(Ordering::Acquire);
    // SAFETY: covered by the epoch until `inside` is cleared, by the reference after that.
    let held = unsafe { object.as_ref() };
    if let Some(held) = held {
        held.references.hold();
        held.contents.with(|_| ());
    }
    // The core repins. Release: what was done inside comes before the grace period's end.
    published.inside[number].store(false, Ordering::Release);
    if let Some(held) = held {
        // Asleep, and awake again.
        held.contents.with(|_| ());
        if held.references.release() {
            // SAFETY: the last reference is gone, and nobody can reach it.
            unsafe { published.list.push(object.cast()) };
        }
    }
}

fn sleepers_and_the_housekeeper(count: usize) {
    let destroyed = Arc::default();
    let published = leak(Published {
        object: AtomicPtr::new(Object::new(&destroyed)),
        inside: [0, 1].map(|number| AtomicBool::new(number < count)),
        list: RetireList::new(),
    });
    let sleepers: Vec<_> =
        (0..count).map(|number| thread::spawn(move || sleeper(published, number))).collect();
    // The writer.
    let old = published.object.swap(core::ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: it was swapped out and is retired once.
    unsafe { published.list.push(old.cast()) };
    // The housekeeper, here the same strand.
    let batch = published.list.take();
    // The grace period. Acquire: pairs with the Release of a core that repins.
    while published.inside.iter().any(|inside| inside.load(Ordering::Acquire)) {
        thread::yield_now();
    }
    // SAFETY: the grace period is over.
    unsafe { batch.finish(&published.list) };
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
    // SAFETY: nobody is inside any more.
    unsafe { published.list.take().finish(&published.list) };
    assert_eq!(destroyed.load(std::sync::atomic::Ordering::Relaxed), 1, "once, neither never nor twice");
    assert!(published.list.is_empty());
}

#[test]
fn a_plan_that_is_slept_in_is_destroyed_once() {
    loom::model(|| sleepers_and_the_housekeeper(1));
}

#[test]
fn a_plan_that_two_sleep_in_is_destroyed_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| sleepers_and_the_housekeeper(2));
}
