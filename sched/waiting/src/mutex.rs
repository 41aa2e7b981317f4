//! A lock that its waiters sleep on: for what is held across waits.

use core::{
    cell::{Cell, UnsafeCell},
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use crate::{
    error::Error,
    lending,
    lock::Lock,
    primitive::constructor,
    queue::Queue,
    strands::Strands,
    wait::{Limit, Line, Outcome},
};

/// Guards a value; whoever must wait for it sleeps, first come, first served: the lock is handed to the
/// first in line, nobody overtakes. The owner is as urgent as the most urgent who waits, where
/// strands lend.
pub struct Mutex<T, S: Strands> {
    core: Core<S>,
    value: UnsafeCell<T>,
}

/// A mutex without its value.
pub(crate) struct Core<S: Strands> {
    pub(crate) state: Lock<Hold<S>, S>,
}

/// Who has it, and who waits.
pub(crate) struct Hold<S: Strands> {
    is_held: bool,
    /// Who has it, where owners are named.
    pub(crate) owner: Option<S::Strand>,
    pub(crate) queue: Queue<S, ()>,
    /// What the owner is lent for this lock's sake.
    pub(crate) lent: Option<u8>,
}

// SAFETY: the value is reached by the owner alone, and the lock is handed over under an inner lock.
unsafe impl<T: Send, S: Strands<Strand: Send>> Sync for Mutex<T, S> {}
// SAFETY: the lock owns its value; one that can be moved has nobody in line.
unsafe impl<T: Send, S: Strands<Strand: Send>> Send for Mutex<T, S> {}

impl<S: Strands> Hold<S> {
    /// Takes it for the running strand if it is free.
    #[inline(always)]
    fn take(&mut self) -> bool {
        let is_free = !self.is_held;
        if is_free {
            self.is_held = true;
            self.owner = S::NAMES_OWNERS.then(S::current);
        }
        is_free
    }
}

impl<S: Strands> Core<S> {
    constructor! {
        fn new() -> Self {
            let hold = Hold { is_held: false, owner: None, queue: Queue::new(), lent: None };
            Self { state: Lock::new(hold) }
        }
    }

    #[inline]
    #[track_caller]
    pub(crate) fn lock(&self, limit: Limit) -> Result<(), Error> {
        // Whose loans have changed, to be passed on outside of locks.
        let changed = Cell::new(None);
        let pass_on = || {
            if let Some(change) = changed.take() {
                lending::Change::pass_on(change);
            }
        };
        let line = Line::new(
            &self.state,
            |hold: &mut Hold<S>| &mut hold.queue,
            pass_on,
            |hold: &mut Hold<S>, (): &mut ()| {
                lending::step_out::<S>(&S::current());
                changed.set(lending::settle(hold));
                true
            },
        );
        let outcome = line.wait(limit, |hold| {
            if hold.take() {
                return None;
            }
            if S::NAMES_OWNERS {
                let this = S::current();
                let is_ours = hold.owner.as_ref().is_some_and(|owner| S::is_same(owner, &this));
                assert!(!is_ours, "a strand waits for itself: it has this lock already");
                changed.set(lending::stand_in_line(&this, self, hold));
            }
            Some(())
        });
        match outcome {
            Outcome::Passed | Outcome::Granted(()) => Ok(()),
            Outcome::GaveUp(error, ()) => {
                pass_on();
                Err(error)
            }
        }
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        let (owner, lent, granted) = self.state.with(|hold| {
            let (owner, lent) = (hold.owner.take(), hold.lent.take());
            hold.is_held = false;
            let granted = hold.queue.grant_first(|strand, ()| {
                lending::step_out::<S>(strand);
                S::NAMES_OWNERS.then(|| strand.clone())
            });
            let granted = granted.map(|(next, wake)| {
                hold.is_held = true;
                hold.owner = next;
                // It waits for nothing now, so what it is lent is passed on to nobody.
                (wake, lending::settle(hold))
            });
            (owner, lent, granted)
        });
        if let Some((wake, _end_of_chain)) = granted {
            wake.deliver();
        }
        if let (Some(owner), Some(lent)) = (owner, lent) {
            S::take_back(&owner, lent);
        }
    }
}

impl<T, S: Strands> Mutex<T, S> {
    constructor! {
        /// A free lock around `value`.
        pub fn new(value: T) -> Self {
            Self { core: Core::new(), value: UnsafeCell::new(value) }
        }
    }

    fn guard(&self) -> MutexGuard<'_, T, S> {
        MutexGuard { mutex: self, _value: PhantomData }
    }

    /// Waits for the lock, even if the strand shall end. On a strand that may block, and not twice by the
    /// same one. Cost: a few dozen instructions if it is free.
    ///
    /// # Panics
    ///
    /// If the strand has the lock already, or must not block.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T, S> {
        let outcome = self.core.lock(Limit::NONE);
        debug_assert!(outcome.is_ok(), "such a wait does not end otherwise");
        self.guard()
    }

    /// Takes the lock if it is free. From anywhere that has a strand.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T, S>> {
        self.core.state.with(Hold::take).then(|| self.guard())
    }

    /// As [`lock`](Self::lock), but a strand that shall end waits no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`].
    #[track_caller]
    pub fn lock_interruptible(&self) -> Result<MutexGuard<'_, T, S>, Error> {
        self.core.lock(Limit::INTERRUPTIBLE).map(|()| self.guard())
    }

    /// Waits for the lock until `deadline_ns` on the processor's clock; one past takes it if it is free.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Terminated`].
    #[track_caller]
    pub fn lock_until(&self, deadline_ns: u64) -> Result<MutexGuard<'_, T, S>, Error> {
        self.core.lock(Limit::until(deadline_ns)).map(|()| self.guard())
    }

    /// The value, by somebody who has the lock for himself.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value, without the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T, S: Strands> fmt::Debug for Mutex<T, S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// Access to what a [`Mutex`] guards; hands the lock to the next in line when dropped.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct MutexGuard<'a, T, S: Strands> {
    mutex: &'a Mutex<T, S>,
    /// To share the guard is to share the value, and to send it is to send the value.
    _value: PhantomData<&'a mut T>,
}

impl<T, S: Strands> MutexGuard<'_, T, S> {
    /// For conditions, which give the lock back and take it again.
    pub(crate) fn core(&self) -> &Core<S> {
        &self.mutex.core
    }
}

impl<T, S: Strands> Deref for MutexGuard<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that its strand owns the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, S: Strands> DerefMut for MutexGuard<'_, T, S> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed for as long.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, S: Strands> Drop for MutexGuard<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.core.unlock();
    }
}
