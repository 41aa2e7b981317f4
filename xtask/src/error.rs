//! The one error of the tool: what went wrong, and what to do next. It cannot be made without the second.
use std::fmt;
use std::path::Path;

const INTERRUPTED: &str = "interrupted";

/// A failure as the user reads it.
#[derive(Debug)]
pub struct Error {
    what: String,
    next: String,
}

/// What every fallible step of the tool gives.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `what` went wrong; `next` says what the user does about it.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Error { what: what.into(), next: next.into() }
    }

    /// The user's Ctrl-C.
    pub fn interruption() -> Self {
        Error::new(INTERRUPTED, "run it again when you like")
    }

    /// True for [`Error::interruption`].
    pub fn is_interruption(&self) -> bool {
        self.what == INTERRUPTED
    }

    /// A failure that has been shown already: `main` says no more of it.
    pub fn told() -> Self {
        Error::new("", "")
    }

    /// True if there is nothing left to show.
    pub fn is_told(&self) -> bool {
        self.what.is_empty()
    }

    /// A file or folder that could not be read or written.
    pub fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Error::new(
            format!("cannot {doing} {}: {error}", path.display()),
            "check that the path exists and that you may use it",
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n  next: {}", self.what, self.next)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn says_what_to_do_next() {
        let error = Error::new("no QEMU", "install it");
        assert_eq!(error.to_string(), "no QEMU\n  next: install it");
    }
}
