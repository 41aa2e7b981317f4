//! Long output, a screen at a time.

use core::fmt::{self, Write};

use crate::console::{Console, Size, Terminal};
use crate::keys::Key;
use crate::output::Output;

const QUESTION: &str = "-- more (space, enter, q) --";

/// Output that waits when the screen is full, so that nothing scrolls away unread: Space shows the next
/// screen, Enter the next line, `q` or Ctrl-C drops the rest. Once it is dropped, each write is an
/// [`fmt::Error`], so that whoever writes may stop.
///
/// Make a new one for each script that a person enters. Without a person there must be none: write to the
/// [`Console`].
pub struct Pager<'c, T> {
    console: &'c mut Console<T>,
    /// Rows that may be filled before the next question.
    rows_left: usize,
    /// Signs in the row at hand.
    column: usize,
    /// Within an ANSI sequence, which takes no room.
    is_escape: bool,
    /// The reader has quit.
    is_stopped: bool,
}

impl<'c, T: Terminal> Pager<'c, T> {
    /// Takes the screen to be empty.
    pub fn new(console: &'c mut Console<T>) -> Self {
        let mut pager = Self { console, rows_left: 0, column: 0, is_escape: false, is_stopped: false };
        pager.rows_left = pager.rows();
        pager
    }

    /// All rows but that of the question.
    fn rows(&self) -> usize {
        usize::from(self.console.size().rows).saturating_sub(1).max(1)
    }

    /// Did the reader quit?
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Shows text that has at most one line end, at its end.
    fn show(&mut self, text: &str) -> fmt::Result {
        if self.rows_left == 0 {
            self.ask()?;
        }
        self.console.write_str(text)?;
        for sign in text.chars() {
            self.count(sign);
        }
        Ok(())
    }

    fn count(&mut self, sign: char) {
        match sign {
            '\n' => {
                self.column = 0;
                self.rows_left = self.rows_left.saturating_sub(1);
            }
            '\r' => self.column = 0,
            '\x1b' => self.is_escape = true,
            _ if self.is_escape => self.is_escape = !sign.is_ascii_alphabetic(),
            _ => {
                if self.column == usize::from(self.console.size().columns) {
                    self.column = 0;
                    self.rows_left = self.rows_left.saturating_sub(1);
                }
                self.column += 1;
            }
        }
    }

    fn ask(&mut self) -> fmt::Result {
        self.console.write_raw(QUESTION);
        loop {
            self.rows_left = match self.console.read_key() {
                Some(Key::Char(' ')) => self.rows(),
                Some(Key::Enter | Key::Down) => 1,
                Some(Key::Char('q' | 'Q') | Key::Control('c')) => {
                    self.is_stopped = true;
                    0
                }
                // Nobody is there any more: what follows is not held back.
                None => usize::MAX,
                Some(_) => continue,
            };
            self.console.write_raw("\r\x1b[K");
            return if self.is_stopped { Err(fmt::Error) } else { Ok(()) };
        }
    }
}

impl<T: Terminal> Output for Pager<'_, T> {
    fn has_reader(&self) -> bool {
        !self.is_stopped
    }

    /// What was written before was seen as it came: the screen counts as empty again.
    fn wait(&mut self, at_most_ms: u32) -> bool {
        self.rows_left = self.rows();
        self.is_stopped || self.console.wait_for_end(at_most_ms)
    }

    fn screen(&self) -> Option<Size> {
        Some(self.console.size())
    }

    fn key(&mut self, at_most_ms: u32) -> Option<Key> {
        self.rows_left = self.rows();
        if self.is_stopped { Some(Key::Control('c')) } else { self.console.read_key_within(at_most_ms) }
    }
}

impl<T: Terminal> Write for Pager<'_, T> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_stopped {
            return Err(fmt::Error);
        }
        // In pieces of at most a row, so that a line that is longer than the screen waits, too.
        for line in text.split_inclusive('\n') {
            let columns = usize::from(self.console.size().columns);
            let mut rest = line;
            while !rest.is_empty() {
                let end = rest.char_indices().nth(columns).map_or(rest.len(), |(end, _)| end);
                let (piece, after) = rest.split_at(end);
                self.show(piece)?;
                rest = after;
            }
        }
        Ok(())
    }
}
