//! Where a command's output goes, and who may be there to read it.

use alloc::string::String;
use core::fmt;

use crate::{Key, Size};

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

    /// How much the reader sees at once, for a command that draws over what it drew before; `None` where
    /// that makes no sense, because nobody is there or all is kept.
    fn screen(&self) -> Option<Size> {
        None
    }

    /// The next key, if one is pressed within so long: for a command that has the keyboard to itself while
    /// it runs. `None` may come earlier. Whoever follows what goes on without keys of its own
    /// [`wait`](Self::wait)s instead, which leaves other keys to the next line.
    fn key(&mut self, at_most_ms: u32) -> Option<Key> {
        self.wait(at_most_ms).then_some(Key::Control('c'))
    }
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
