//! What can come back from another domain.

use core::fmt;

/// Why a procedure of another domain, or an event, brought no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum Error {
    /// The import is bound to nothing (any more).
    Unbound = 1,
    /// No memory, or past this domain's quota.
    OutOfMemory = 2,
    /// An argument makes no sense to the callee.
    BadArgument = 3,
    /// The event has no handler, and none of its own.
    NoHandler = 4,
    /// The handler failed and was cut.
    Cut = 5,
    /// Too little stack is left to enter anybody's code.
    OutOfStack = 6,
    /// This domain is being retired.
    Closed = 7,
    /// No such binding: it may have been removed already.
    UnknownBinding = 8,
    /// A limit was reached: too many handlers, or more text than fits.
    Limit = 9,
    /// Must not be called here: not by a domain's code.
    Context = 10,
    /// The spindle's own procedures failed, for a reason of its own.
    Failed = 11,
    /// The event's owner forbids it.
    Denied = 12,
    /// The wishes for an order among handlers contradict each other.
    Order = 13,
}

impl Error {
    const ALL: [Self; 13] = [
        Self::Unbound,
        Self::OutOfMemory,
        Self::BadArgument,
        Self::NoHandler,
        Self::Cut,
        Self::OutOfStack,
        Self::Closed,
        Self::UnknownBinding,
        Self::Limit,
        Self::Context,
        Self::Failed,
        Self::Denied,
        Self::Order,
    ];
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unbound => "the import is bound to nothing",
            Self::OutOfMemory => "no memory, or past the domain's quota",
            Self::BadArgument => "an argument makes no sense to the callee",
            Self::NoHandler => "the event has no handler",
            Self::Cut => "the handler failed and was cut",
            Self::OutOfStack => "too little stack is left to enter a handler",
            Self::Closed => "the domain is being retired",
            Self::UnknownBinding => "no such binding",
            Self::Limit => "a limit was reached",
            Self::Context => "must not be called here",
            Self::Failed => "the spindle gave up",
            Self::Denied => "the event's owner forbids it",
            Self::Order => "the wishes for an order contradict each other",
        })
    }
}

impl core::error::Error for Error {}

impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Self {
        Self::Failed
    }
}

/// A result as it crosses a border: zero, or the number of an [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Status(u64);

impl Status {
    /// All is well.
    pub const OK: Self = Self(0);
    /// What the stub of an import that is bound to nothing returns.
    pub const UNBOUND: Self = Self(Error::Unbound as u64);

    /// The result that this stands for. A number that is none of ours, from an implementation that
    /// is newer than this kit, counts as [`Error::Failed`].
    ///
    /// # Errors
    ///
    /// The error that it stands for.
    pub fn into_result(self) -> Result<(), Error> {
        if self.0 == 0 {
            return Ok(());
        }
        Err(Error::ALL.into_iter().find(|error| *error as u64 == self.0).unwrap_or(Error::Failed))
    }
}

impl From<Result<(), Error>> for Status {
    fn from(result: Result<(), Error>) -> Self {
        result.map_or_else(|error| Self(error as u64), |()| Self::OK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_border() {
        for error in Error::ALL {
            assert_eq!(Status::from(Err(error)).into_result(), Err(error));
        }
        assert_eq!(Status::from(Ok(())).into_result(), Ok(()));
        assert_eq!(Status(u64::MAX).into_result(), Err(Error::Failed));
    }
}
