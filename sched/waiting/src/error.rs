//! Why somebody did not get what he waited for.

use core::fmt;

/// Why a wait brought nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The deadline came first.
    TimedOut,
    /// The strand shall end, and said that it can be interrupted.
    Terminated,
    /// The channel is closed, and empty.
    Closed,
    /// It would have had to wait, and would not.
    Busy,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TimedOut => "the deadline came first: wait again, or do without",
            Self::Terminated => "the strand was told to end: tidy up and return",
            Self::Closed => "the channel is closed: nothing more comes or goes",
            Self::Busy => "it cannot be had at once: wait for it, or try again later",
        })
    }
}

impl core::error::Error for Error {}

/// What a channel did not take, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused<T> {
    /// What was to be sent.
    pub value: T,
    /// Why it was not.
    pub error: Error,
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "nothing was sent: {}", self.error)
    }
}

impl<T: fmt::Debug> core::error::Error for Refused<T> {}
