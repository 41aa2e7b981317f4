//! A semaphore: a count of what is there, and who waits for some.

use core::fmt;

use crate::{
    error::Error,
    lock::Lock,
    primitive::constructor,
    queue::Queue,
    strands::Strands,
    wait::{Limit, Line, Outcome},
};

/// Counts signals that nobody has waited for yet; who finds none waits. A signal goes to the first in line,
/// nobody overtakes.
pub struct Semaphore<S: Strands> {
    state: Lock<State<S>, S>,
}

struct State<S: Strands> {
    /// Above zero only while nobody waits.
    count: usize,
    queue: Queue<S, ()>,
}

impl<S: Strands> Semaphore<S> {
    constructor! {
        /// So many can be had at once.
        pub fn new(count: usize) -> Self {
            Self { state: Lock::new(State { count, queue: Queue::new() }) }
        }
    }

    #[inline]
    #[track_caller]
    fn wait_within(&self, limit: Limit) -> Result<(), Error> {
        let line = Line::new(
            &self.state,
            |state: &mut State<S>| &mut state.queue,
            || (),
            |_: &mut State<S>, (): &mut ()| true,
        );
        let outcome = line.wait(limit, |state| {
            let left = state.count.checked_sub(1);
            state.count = left.unwrap_or(0);
            left.is_none().then_some(())
        });
        match outcome {
            Outcome::Passed | Outcome::Granted(()) => Ok(()),
            Outcome::GaveUp(error, ()) => Err(error),
        }
    }

    /// Takes one, and waits for it even if the strand shall end. Cost: a few dozen instructions if there is
    /// one.
    ///
    /// # Panics
    ///
    /// If the strand must not block.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        let outcome = self.wait_within(Limit::NONE);
        debug_assert!(outcome.is_ok(), "such a wait does not end otherwise");
    }

    /// Takes one if there is one. From anywhere.
    #[inline]
    pub fn try_wait(&self) -> bool {
        self.state.with(|state| {
            let left = state.count.checked_sub(1);
            state.count = left.unwrap_or(0);
            left.is_some()
        })
    }

    /// As [`wait`](Self::wait), but a strand that shall end waits no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`].
    #[track_caller]
    pub fn wait_interruptible(&self) -> Result<(), Error> {
        self.wait_within(Limit::INTERRUPTIBLE)
    }

    /// Waits for one until `deadline_ns` on the processor's clock; a deadline past takes one if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Terminated`].
    #[track_caller]
    pub fn wait_until(&self, deadline_ns: u64) -> Result<(), Error> {
        self.wait_within(Limit::until(deadline_ns))
    }

    /// Adds one: the first in line has it, or whoever comes next. From anywhere, interrupts included.
    #[inline]
    pub fn signal(&self) {
        let granted = self.state.with(|state| {
            let granted = state.queue.grant_first(|_, ()| ());
            // It cannot overflow before somebody has signalled for a few hundred years.
            state.count += usize::from(granted.is_none());
            granted
        });
        if let Some(((), wake)) = granted {
            wake.deliver();
        }
    }
}

impl<S: Strands> fmt::Debug for Semaphore<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Semaphore").finish_non_exhaustive()
    }
}
