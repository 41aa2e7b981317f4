//! Where a command's output goes, and who may be there to read it.

use alloc::string::String;
use core::fmt;

/// Where a command's output goes.
///
/// Errors of writing mean that the reader has quit. A command that follows what goes on for a while
/// [`wait`](Self::wait)s in between, and ends when that says so.
pub trait Output: fmt::Write {
    /// Is somebody there who can press a key? Without one, nothing may go on until it is told to end.
    fn has_reader(&self) -> bool;

    /// Waits for at most so long, less if a key is pressed; is it to be the end? The reader says so by
    /// Ctrl-C, or by `q` before any other key.
    fn wait(&mut self, at_most_ms: u32) -> bool;
}

/// Collected, for tests: nobody reads along, and time does not pass.
impl Output for String {
    fn has_reader(&self) -> bool {
        false
    }

    fn wait(&mut self, _at_most_ms: u32) -> bool {
        false
    }
}
