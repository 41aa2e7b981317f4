//! A condition: to wait, without a lock, for something that is changed under it.

use core::fmt;

use crate::{
    error::Error,
    lock::Lock,
    mutex::{Core, MutexGuard},
    primitive::constructor,
    queue::Queue,
    strands::Strands,
    wait::{Limit, Line, Outcome},
};

/// Strands wait here, having given a mutex back, until somebody who changed what it guards says so. The first
/// who came is notified first.
///
/// A strand that is notified has the mutex again when it goes on, and others may have had it before: what it
/// waited for is looked at in a loop.
pub struct Condition<S: Strands> {
    state: Lock<State<S>, S>,
}

struct State<S: Strands> {
    /// What the next one in line is numbered.
    next: u64,
    /// With their numbers.
    queue: Queue<S, u64>,
}

impl<S: Strands> Condition<S> {
    constructor! {
        /// Nobody waits.
        pub fn new() -> Self {
            Self { state: Lock::new(State { next: 0, queue: Queue::new() }) }
        }
    }

    /// Gives the mutex back, waits to be notified, and takes the mutex again. Who notifies after the mutex
    /// was given back finds this strand waiting.
    ///
    /// # Panics
    ///
    /// If the strand must not block.
    #[track_caller]
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T, S>) {
        let outcome = self.wait_within(guard, Limit::NONE);
        debug_assert!(outcome.is_ok(), "such a wait does not end otherwise");
    }

    /// As [`wait`](Self::wait), but a strand that shall end waits no longer than for the mutex.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`]. The mutex was taken again all the same.
    #[track_caller]
    pub fn wait_interruptible<T>(&self, guard: &mut MutexGuard<'_, T, S>) -> Result<(), Error> {
        self.wait_within(guard, Limit::INTERRUPTIBLE)
    }

    /// As [`wait`](Self::wait), until `deadline_ns` on the processor's clock; then it waits for the mutex.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Terminated`]. The mutex was taken again all the same.
    #[track_caller]
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T, S>, deadline_ns: u64) -> Result<(), Error> {
        self.wait_within(guard, Limit::until(deadline_ns))
    }

    #[track_caller]
    fn wait_within<T>(&self, guard: &mut MutexGuard<'_, T, S>, limit: Limit) -> Result<(), Error> {
        let mut away = Away { core: guard.core(), is_away: false };
        let line = Line::new(
            &self.state,
            |state: &mut State<S>| &mut state.queue,
            // Only when it stands in line, so that nobody who takes the mutex next misses it.
            || away.leave(),
            |_: &mut State<S>, _: &mut u64| true,
        );
        let outcome = line.wait(limit, |state| {
            state.next += 1;
            Some(state.next - 1)
        });
        drop(away);
        match outcome {
            Outcome::Passed | Outcome::Granted(_) => Ok(()),
            Outcome::GaveUp(error, _) => Err(error),
        }
    }

    /// Lets the first in line go on; whoever comes later is not meant. True if there was one. From anywhere,
    /// best while the mutex is held.
    pub fn notify_one(&self) -> bool {
        let granted = self.state.with(|state| state.queue.grant_first(|_, _| ()));
        granted.map(|((), wake)| wake.deliver()).is_some()
    }

    /// Lets all go on who are in line now, one round through the inner lock for each; says how many. From
    /// anywhere.
    pub fn notify_all(&self) -> usize {
        let end = self.state.with(|state| state.next);
        let mut count = 0;
        while let Some(((), wake)) =
            self.state.with(|state| state.queue.grant_first_if(|number| *number < end, |_, _| ()))
        {
            wake.deliver();
            count += 1;
        }
        count
    }
}

/// A mutex that was given back and is taken again, whatever happens meanwhile: its guard still exists.
struct Away<'a, S: Strands> {
    core: &'a Core<S>,
    is_away: bool,
}

impl<S: Strands> Away<'_, S> {
    fn leave(&mut self) {
        self.is_away = true;
        self.core.unlock();
    }
}

impl<S: Strands> Drop for Away<'_, S> {
    fn drop(&mut self) {
        if self.is_away {
            let outcome = self.core.lock(Limit::NONE);
            debug_assert!(outcome.is_ok(), "such a wait does not end otherwise");
        }
    }
}

#[cfg(not(loom))]
impl<S: Strands> Default for Condition<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Strands> fmt::Debug for Condition<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Condition").finish_non_exhaustive()
    }
}
