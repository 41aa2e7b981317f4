//! A slot: something that has one user at a time, and a tender while it has none.
//!
//! Participants of the epoch live in slots. A core *owns* its participant while it runs strands,
//! *lends* it out while it halts, and *parks* it in the pool when it needs it no more. While a
//! participant is lent or parked, the housekeeper *tends* it, that is: moves it to today's epoch on
//! its behalf. So an idle core holds back no epoch, and waking costs one compare-and-swap of its own
//! line; it may have to wait for the few instructions that tending takes.

use crate::primitive::{AtomicU8, Ordering, UnsafeCell};

const FREE: u8 = 0;
const OWNED: u8 = 1;
const LENT: u8 = 2;
/// Set on top of `FREE` or `LENT` while the tender is at work.
const TENDED: u8 = 4;

/// A value with one user at a time. All transitions are by the methods below; [`Owned`] is the proof
/// of ownership.
pub struct Slot<T> {
    state: AtomicU8,
    value: UnsafeCell<T>,
}

// SAFETY: the value is touched only by the owner or the tender, who exclude each other by `state`;
// each hand-over is a Release store that an Acquire operation reads, so it moves like a sent value.
unsafe impl<T: Send> Sync for Slot<T> {}

/// The ownership of a slot's value. Dropping it without parking or lending keeps the slot owned for
/// ever, which is the safe side.
#[must_use]
pub struct Owned<T: 'static> {
    slot: &'static Slot<T>,
}

/// A slot that was lent out: only who lent it can take it back.
#[must_use]
pub struct Lent<T: 'static> {
    slot: &'static Slot<T>,
}

impl<T> Slot<T> {
    /// A free slot around `value`.
    pub fn new(value: T) -> Self {
        Self { state: AtomicU8::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Is it free? For people, and for guessing ahead: it may have changed by the time you look.
    pub fn is_free(&self) -> bool {
        // Relaxed: a guess.
        self.state.load(Ordering::Relaxed) & !TENDED == FREE
    }

    /// Takes a free slot; `None` if it is not free, or is being tended at this moment.
    pub fn claim(&'static self) -> Option<Owned<T>> {
        // Acquire: pairs with the Release of `park` and of `tend`.
        self.state
            .compare_exchange(FREE, OWNED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then_some(Owned { slot: self })
    }

    /// Runs `care` on the value if nobody owns it; says whether it did. One tender at a time, who
    /// must not be interrupted for long meanwhile: an owner may be waiting.
    pub fn tend(&self, care: impl FnOnce(&mut T)) -> bool {
        for state in [FREE, LENT] {
            // Acquire: pairs with the Release of `park` and `lend`.
            if self
                .state
                .compare_exchange(state, state | TENDED, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                // SAFETY: with TENDED set, `claim` and `take_back` fail until it is cleared below.
                self.value.with_mut(|value| care(unsafe { &mut *value }));
                // Release: pairs with the Acquire of `claim` and `take_back`.
                self.state.store(state, Ordering::Release);
                return true;
            }
        }
        false
    }
}

impl<T> Owned<T> {
    /// The value.
    pub fn get(&mut self) -> &mut T {
        // SAFETY: the slot is in state OWNED, of which this is the only proof.
        self.slot.value.with_mut(|value| unsafe { &mut *value })
    }

    /// Gives it back to the pool.
    pub fn park(self) {
        // Release: pairs with the Acquire of `claim` and `tend`.
        self.slot.state.store(FREE, Ordering::Release);
    }

    /// Leaves it to the tender until it is taken back.
    pub fn lend(self) -> Lent<T> {
        // Release: pairs with the Acquire of `take_back` and `tend`.
        self.slot.state.store(LENT, Ordering::Release);
        Lent { slot: self.slot }
    }
}

impl<T> Lent<T> {
    /// Takes it back, waiting for a tender who is at it (a few instructions).
    pub fn take_back(self) -> Owned<T> {
        // Acquire: pairs with the Release of `tend`.
        while self
            .slot
            .state
            .compare_exchange_weak(LENT, OWNED, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            crate::primitive::relax();
        }
        Owned { slot: self.slot }
    }
}
