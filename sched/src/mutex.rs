//! A lock that its waiters sleep on: for what is held across waits.

use alloc::{collections::VecDeque, sync::Arc};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use crate::{
    machine::Machine,
    strand::Strand,
    wait::{block, current, make_runnable},
};

/// Guards a value; whoever must wait for it sleeps, first come, first served.
pub struct Mutex<T, M: Machine> {
    state: spin::Mutex<State<M>>,
    value: UnsafeCell<T>,
}

struct State<M: Machine> {
    /// The strand that has the lock, by its number.
    owner: Option<u64>,
    waiters: VecDeque<Arc<Strand<M>>>,
}

// SAFETY: the value is reached by the owner alone, and the lock is handed over under a spin lock.
unsafe impl<T: Send, M: Machine> Sync for Mutex<T, M> {}

impl<T, M: Machine> Mutex<T, M> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        let state = State { owner: None, waiters: VecDeque::new() };
        Self { state: spin::Mutex::new(state), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock. On a strand only, and not twice by the same one.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T, M> {
        let this = current::<M>();
        let mut is_queued = false;
        loop {
            let is_ours = M::masked(|| {
                let mut state = self.state.lock();
                assert!(is_queued || state.owner != Some(this.id()), "a strand waits for itself");
                if state.owner.is_none() {
                    state.owner = Some(this.id());
                } else if !is_queued {
                    state.waiters.push_back(this.clone());
                    is_queued = true;
                }
                state.owner == Some(this.id())
            });
            if is_ours {
                return MutexGuard { mutex: self, _value: PhantomData };
            }
            block::<M>();
        }
    }
}

/// Access to what a [`Mutex`] guards; hands the lock to the next in line when dropped.
pub struct MutexGuard<'a, T, M: Machine> {
    mutex: &'a Mutex<T, M>,
    /// To share the guard is to share the value, and to send it is to send the value.
    _value: PhantomData<&'a mut T>,
}

impl<T, M: Machine> Deref for MutexGuard<'_, T, M> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that its strand owns the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, M: Machine> DerefMut for MutexGuard<'_, T, M> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed for as long.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, M: Machine> Drop for MutexGuard<'_, T, M> {
    fn drop(&mut self) {
        let next = M::masked(|| {
            let mut state = self.mutex.state.lock();
            let next = state.waiters.pop_front();
            state.owner = next.as_ref().map(|strand| strand.id());
            // Called, and let go of if it has not parked yet, under the lock that it looks at next: so
            // nobody holds a strand that may have ended. One that is parked moves on to a queue.
            let next = next.filter(|strand| strand.token.call());
            if state.waiters.is_empty() {
                // Nothing is kept for a rush that is over.
                state.waiters = VecDeque::new();
            }
            next
        });
        if let Some(strand) = next {
            make_runnable(strand);
        }
    }
}
