//! A channel with back-pressure: who sends faster than others receive is made to wait.

use alloc::collections::VecDeque;
use core::fmt;

use crate::{
    error::{Error, Refused},
    lock::Lock,
    queue::{Queue, Wake},
    strands::Strands,
    wait::{Limit, Line, Outcome},
};

/// Values on their way, first in, first out, and no more than fit; shared by reference among any number of
/// strands that send and receive. Senders wait while it is full, receivers while it is empty, each
/// in the order in which they came; a value goes straight to the receiver who waits, and room straight
/// to the sender.
pub struct Channel<T, S: Strands> {
    state: Lock<State<T, S>, S>,
}

struct State<T, S: Strands> {
    values: VecDeque<T>,
    capacity: usize,
    is_closed: bool,
    /// With what they send. Nobody waits here unless the channel is full.
    senders: Queue<S, Option<T>>,
    /// With what they receive. Nobody waits here unless the channel is empty.
    receivers: Queue<S, Option<T>>,
}

impl<T, S: Strands> Channel<T, S> {
    /// A channel for `capacity` values (0 counts as one): all the memory that it ever takes, but for its
    /// waiters' frames.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            state: Lock::new(State {
                values: VecDeque::with_capacity(capacity),
                capacity,
                is_closed: false,
                senders: Queue::new(),
                receivers: Queue::new(),
            }),
        }
    }

    #[track_caller]
    fn send_within(&self, value: T, limit: Limit) -> Result<(), Refused<T>> {
        let (mut value, mut wake) = (Some(value), Wake::NOBODY);
        let line = Line::new(
            &self.state,
            |state: &mut State<T, S>| &mut state.senders,
            || (),
            |_: &mut State<T, S>, _: &mut Option<T>| true,
        );
        let outcome = line.wait(limit, |state| {
            state.put(&mut value, &mut wake);
            let must_wait = value.is_some() && !state.is_closed;
            must_wait.then(|| value.take())
        });
        wake.deliver();
        let (left, error) = match outcome {
            Outcome::Passed => (value, Error::Closed),
            Outcome::Granted(left) => (left, Error::Closed),
            Outcome::GaveUp(error, left) => (left, error),
        };
        left.map_or(Ok(()), |value| Err(Refused { value, error }))
    }

    #[track_caller]
    fn receive_within(&self, limit: Limit) -> Result<T, Error> {
        let (mut value, mut wake) = (None, Wake::NOBODY);
        let line = Line::new(
            &self.state,
            |state: &mut State<T, S>| &mut state.receivers,
            || (),
            |_: &mut State<T, S>, _: &mut Option<T>| true,
        );
        let outcome = line.wait(limit, |state| {
            state.take(&mut value, &mut wake);
            let must_wait = value.is_none() && !state.is_closed;
            must_wait.then_some(None)
        });
        wake.deliver();
        match outcome {
            Outcome::Passed => value.ok_or(Error::Closed),
            Outcome::Granted(value) => value.ok_or(Error::Closed),
            Outcome::GaveUp(error, _) => Err(error),
        }
    }

    /// Sends a value, and waits for room even if the strand shall end.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], with the value.
    ///
    /// # Panics
    ///
    /// If the strand must not block.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), Refused<T>> {
        self.send_within(value, Limit::NONE)
    }

    /// As [`send`](Self::send), but a strand that shall end waits no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Terminated`], with the value.
    #[track_caller]
    pub fn send_interruptible(&self, value: T) -> Result<(), Refused<T>> {
        self.send_within(value, Limit::INTERRUPTIBLE)
    }

    /// Sends a value, and waits for room until `deadline_ns` on the processor's clock.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::Terminated`], with the value.
    #[track_caller]
    pub fn send_until(&self, value: T, deadline_ns: u64) -> Result<(), Refused<T>> {
        self.send_within(value, Limit::until(deadline_ns))
    }

    /// Sends a value if there is room. From anywhere.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Busy`], with the value.
    pub fn try_send(&self, value: T) -> Result<(), Refused<T>> {
        let (mut value, mut wake) = (Some(value), Wake::NOBODY);
        let is_closed = self.state.with(|state| {
            state.put(&mut value, &mut wake);
            state.is_closed
        });
        wake.deliver();
        let error = if is_closed { Error::Closed } else { Error::Busy };
        value.map_or(Ok(()), |value| Err(Refused { value, error }))
    }

    /// Takes the next value, and waits for one even if the strand shall end.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once all that was sent before is taken.
    ///
    /// # Panics
    ///
    /// If the strand must not block.
    #[track_caller]
    pub fn receive(&self) -> Result<T, Error> {
        self.receive_within(Limit::NONE)
    }

    /// As [`receive`](Self::receive), but a strand that shall end waits no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Terminated`].
    #[track_caller]
    pub fn receive_interruptible(&self) -> Result<T, Error> {
        self.receive_within(Limit::INTERRUPTIBLE)
    }

    /// Takes the next value, and waits for one until `deadline_ns` on the processor's clock.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::Terminated`].
    #[track_caller]
    pub fn receive_until(&self, deadline_ns: u64) -> Result<T, Error> {
        self.receive_within(Limit::until(deadline_ns))
    }

    /// Takes the next value if there is one. From anywhere.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Busy`].
    pub fn try_receive(&self) -> Result<T, Error> {
        let (mut value, mut wake) = (None, Wake::NOBODY);
        let is_closed = self.state.with(|state| {
            state.take(&mut value, &mut wake);
            state.is_closed
        });
        wake.deliver();
        value.ok_or(if is_closed { Error::Closed } else { Error::Busy })
    }

    /// Takes no more values: all who wait go on, senders with their value back. What was sent before can still
    /// be received. From anywhere; a second time does nothing.
    pub fn close(&self) {
        while let Some(wake) = self.state.with(|state| {
            // From here on nobody comes into either line.
            state.is_closed = true;
            let granted = state.senders.grant_first(|_, _| ());
            granted.or_else(|| state.receivers.grant_first(|_, _| ())).map(|((), wake)| wake)
        }) {
            wake.deliver();
        }
    }

    /// Was it closed?
    pub fn is_closed(&self) -> bool {
        self.state.with(|state| state.is_closed)
    }

    /// How many values are on their way, for people.
    pub fn len(&self) -> usize {
        self.state.with(|state| state.values.len())
    }

    /// Is none on its way?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, S: Strands> State<T, S> {
    /// Gives the value to whoever waits for it, or keeps it if there is room; else leaves it.
    fn put(&mut self, value: &mut Option<T>, wake: &mut Wake<S>) {
        if self.is_closed {
            return;
        }
        let granted = self.receivers.grant_first(|_, place| *place = value.take());
        match granted {
            Some(((), called)) => *wake = called,
            // The capacity is there from the beginning, so nothing is allocated under the lock.
            None if self.values.len() < self.capacity => self.values.extend(value.take()),
            None => {}
        }
    }

    /// Takes the first value, if there is one, and lets the first sender in line fill the gap.
    fn take(&mut self, value: &mut Option<T>, wake: &mut Wake<S>) {
        let Some(first) = self.values.pop_front() else { return };
        *value = Some(first);
        // Senders of a closed channel get their values back.
        if self.is_closed {
            return;
        }
        if let Some((sent, called)) = self.senders.grant_first(|_, place| place.take()) {
            self.values.extend(sent);
            *wake = called;
        }
    }
}

impl<T, S: Strands> fmt::Debug for Channel<T, S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Channel").finish_non_exhaustive()
    }
}
