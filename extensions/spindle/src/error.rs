//! What can come back from another domain.

use core::fmt;

/// Why a procedure of another domain, or an event, brought no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum Error {
    /// The import is bound to nothing (any more): whoever implements it was never there, or is gone.
    Unbound = 1,
    /// No memory, or past this domain's quota: give some back first.
    OutOfMemory = 2,
    /// An argument makes no sense to the callee: see its documentation.
    BadArgument = 3,
    /// No handler's conditions held, and the event has none of its own.
    NoHandler = 4,
    /// The handler failed and was cut; its domain goes.
    Cut = 5,
    /// Too little stack is left to enter anybody's code: call from less deep.
    OutOfStack = 6,
    /// This domain is being retired: return.
    Closed = 7,
    /// No such binding of this spindle's on this event: it may have been removed already.
    UnknownBinding = 8,
    /// A limit was reached: too many handlers, too many conditions, or more text than fits.
    Limit = 9,
    /// Must not be called here: a guard only looks, a bounded handler does not block, and nobody waits
    /// for himself.
    Context = 10,
    /// The spindle's own procedures failed, for a reason of its own.
    Failed = 11,
    /// The event's owner forbids it; the kernel's log says by which rule.
    Denied = 12,
    /// The wishes for an order among handlers contradict each other: drop one.
    Order = 13,
    /// The queue of an asynchronous handler is full, or the event's: raise again when it has caught up.
    Full = 14,
    /// All handlers that were found are asynchronous: they will answer nobody.
    Posted = 15,
    /// The event takes no asynchronous raises.
    NoQueue = 16,
    /// There is an event of that name already; the kernel's log says whose.
    Exists = 17,
    /// The strand was asked to end, or its own domain is being retired: return.
    Terminated = 18,
}

impl Error {
    const ALL: [Self; 18] = [
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
        Self::Full,
        Self::Posted,
        Self::NoQueue,
        Self::Exists,
        Self::Terminated,
    ];
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unbound => "the import is bound to nothing: its implementation is gone",
            Self::OutOfMemory => "no memory, or past the domain's quota: give some back first",
            Self::BadArgument => "an argument makes no sense to the callee: see its documentation",
            Self::NoHandler => "no handler's conditions held, and the event has none of its own",
            Self::Cut => "the handler failed and was cut: the kernel's log tells how",
            Self::OutOfStack => "too little stack is left to enter a handler: call from less deep",
            Self::Closed => "the domain is being retired: return",
            Self::UnknownBinding => "no such binding of this spindle's: it may have been removed already",
            Self::Limit => "a limit was reached: remove or shorten something first",
            Self::Context => "must not be called here: guards only look, bounded handlers do not block",
            Self::Failed => "the spindle gave up",
            Self::Denied => "the event's owner forbids it: the kernel's log says by which rule",
            Self::Order => "the wishes for an order contradict each other: drop one",
            Self::Full => "a queue is full: raise again when its handler has caught up",
            Self::Posted => "its handlers are asynchronous: they will run, and answer nobody",
            Self::NoQueue => "the event takes no asynchronous raises: raise it and wait",
            Self::Exists => "there is an event of that name already: the kernel's log says whose",
            Self::Terminated => "the strand was asked to end: return",
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
