//! Epochs for loom, which cannot run `crossbeam-epoch`: the same clock, with the same orderings as version
//! 0.9 of that has, and participants that lie in the real slots. What a grace period means in the models is
//! what `Collector` makes of it, no more.

use loom::{
    sync::atomic::{AtomicUsize, Ordering, fence},
    thread,
};

use crate::slot::{Owned, Slot};

/// How many participants there are.
pub const PARTICIPANTS: usize = 2;

/// Today, and where each participant is.
pub struct Clock {
    today: AtomicUsize,
    pinned: [AtomicUsize; PARTICIPANTS],
}

/// A participant, pinned from its first day to its last.
pub struct Participant {
    clock: &'static Clock,
    number: usize,
}

/// The pool.
pub struct Epochs {
    clock: &'static Clock,
    slots: [Slot<Participant>; PARTICIPANTS],
}

impl Participant {
    /// As `Guard::repin`, and the fence of `epoch.rs`.
    pub fn repin(&mut self) {
        let today = self.clock.today.load(Ordering::Relaxed);
        let pinned = &self.clock.pinned[self.number];
        if pinned.load(Ordering::Relaxed) != today {
            pinned.store(today, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }
}

impl Epochs {
    /// With everybody in the pool, at the first day.
    pub fn new() -> &'static Self {
        let clock = crate::leak(Clock {
            today: AtomicUsize::new(0),
            pinned: core::array::from_fn(|_| AtomicUsize::new(0)),
        });
        let slots = core::array::from_fn(|number| Slot::new(Participant { clock, number }));
        crate::leak(Self { clock, slots })
    }

    /// A participant of the pool, repinned; `None` if they are all in use or being tended.
    pub fn claim(&'static self) -> Option<Owned<Participant>> {
        let mut owned = self.slots.iter().find_map(Slot::claim)?;
        owned.get().repin();
        Some(owned)
    }

    /// The housekeeper's wait, from the moment at which he has taken what was retired.
    pub fn pass_grace(&self) {
        // As `Global::push_bag`.
        fence(Ordering::SeqCst);
        let sealed = self.clock.today.load(Ordering::Relaxed);
        while self.clock.today.load(Ordering::Relaxed) < sealed + 2 {
            for slot in &self.slots {
                slot.tend(Participant::repin);
            }
            if !self.clock.advance() {
                thread::yield_now();
            }
        }
    }
}

impl Clock {
    /// As `Global::try_advance`.
    fn advance(&self) -> bool {
        let today = self.today.load(Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.pinned.iter().any(|pinned| pinned.load(Ordering::Relaxed) != today) {
            return false;
        }
        fence(Ordering::Acquire);
        self.today.store(today + 1, Ordering::Release);
        true
    }
}
