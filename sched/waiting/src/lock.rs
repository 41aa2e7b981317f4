//! The inner lock: guards a primitive's few words for a few dozen instructions.

use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use crate::{
    primitive::{Raw, RawHeld, UnsafeCell, constructor},
    strands::Strands,
};

/// A spin lock. Never held while a strand blocks or another one is made to run.
pub(crate) struct Lock<T, S> {
    raw: Raw,
    value: UnsafeCell<T>,
    _strands: PhantomData<fn() -> S>,
}

// SAFETY: the value is reached by one holder at a time.
unsafe impl<T: Send, S> Sync for Lock<T, S> {}
// SAFETY: the lock owns its value.
unsafe impl<T: Send, S> Send for Lock<T, S> {}

impl<T, S: Strands> Lock<T, S> {
    constructor! {
        pub(crate) fn new(value: T) -> Self {
            Self { raw: Raw::new(), value: UnsafeCell::new(value), _strands: PhantomData }
        }
    }

    /// Runs `body` as the holder, shielded.
    #[inline(always)]
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        S::shielded(|| body(&mut self.acquire()))
    }

    /// Waits for the lock. Shielded, until it is given back.
    #[inline(always)]
    pub(crate) fn acquire(&self) -> Held<'_, T, S> {
        Held { _raw: self.raw.acquire(S::relax), lock: self }
    }

    /// Takes the lock if it is free. Shielded, until it is given back.
    pub(crate) fn try_acquire(&self) -> Option<Held<'_, T, S>> {
        self.raw.try_acquire().map(|raw| Held { _raw: raw, lock: self })
    }
}

/// The lock is held; let go of this to give it back.
pub(crate) struct Held<'a, T, S> {
    lock: &'a Lock<T, S>,
    _raw: RawHeld<'a>,
}

impl<T, S> Deref for Held<'_, T, S> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, and the reference borrows from whoever holds it.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T, S> DerefMut for Held<'_, T, S> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, mutably.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}
