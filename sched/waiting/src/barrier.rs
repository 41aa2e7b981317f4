//! A barrier: nobody goes on before all have come.

use core::fmt;

use crate::{
    error::Error,
    lock::Lock,
    primitive::constructor,
    queue::Queue,
    strands::Strands,
    wait::{Limit, Line, Outcome},
};

/// So many strands meet here, and again; whoever comes after the last one belongs to the next round.
pub struct Barrier<S: Strands> {
    size: usize,
    state: Lock<State<S>, S>,
}

struct State<S: Strands> {
    round: u64,
    /// How many have come in this round.
    count: usize,
    /// With the rounds in which they came.
    queue: Queue<S, u64>,
}

impl<S: Strands> Barrier<S> {
    constructor! {
        /// For `size` strands; none counts as one.
        pub fn new(size: usize) -> Self {
            Self { size, state: Lock::new(State { round: 0, count: 0, queue: Queue::new() }) }
        }
    }

    #[track_caller]
    fn wait_within(&self, limit: Limit) -> Result<bool, Error> {
        let mut ended = None;
        let line = Line::new(
            &self.state,
            |state: &mut State<S>| &mut state.queue,
            || (),
            // One whose round is over has come through, even if nobody has called it yet.
            |state: &mut State<S>, round: &mut u64| {
                let is_open = *round == state.round;
                state.count -= usize::from(is_open);
                is_open
            },
        );
        let outcome = line.wait(limit, |state| {
            let round = state.round;
            state.count += 1;
            if state.count < self.size {
                return Some(round);
            }
            state.count = 0;
            state.round += 1;
            ended = Some(round);
            None
        });
        match outcome {
            Outcome::GaveUp(error, _) => Err(error),
            Outcome::Granted(_) | Outcome::Passed => {
                if let Some(round) = ended {
                    self.release(round);
                }
                Ok(ended.is_some())
            }
        }
    }

    /// Lets all go on who came in that round, one turn through the inner lock for each.
    fn release(&self, ended: u64) {
        while let Some(((), wake)) =
            self.state.with(|state| state.queue.grant_first_if(|round| *round <= ended, |_, _| ()))
        {
            wake.deliver();
        }
    }

    /// Waits until all have come, even if the strand shall end. True for the one who came last.
    ///
    /// # Panics
    ///
    /// If the strand must not block.
    #[track_caller]
    pub fn wait(&self) -> bool {
        self.wait_within(Limit::NONE).unwrap_or(false)
    }

    /// As [`wait`](Self::wait), but a strand that shall end waits no longer, and counts as one who has
    /// not come.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`].
    #[track_caller]
    pub fn wait_interruptible(&self) -> Result<bool, Error> {
        self.wait_within(Limit::INTERRUPTIBLE)
    }

    /// As [`wait`](Self::wait), until `deadline_ns` on the processor's clock; who gives up counts as one
    /// who has not come.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Terminated`].
    #[track_caller]
    pub fn wait_until(&self, deadline_ns: u64) -> Result<bool, Error> {
        self.wait_within(Limit::until(deadline_ns))
    }
}

impl<S: Strands> fmt::Debug for Barrier<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Barrier").finish_non_exhaustive()
    }
}
