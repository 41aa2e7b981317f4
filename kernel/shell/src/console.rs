//! A terminal with keys, text and a size.

use alloc::collections::VecDeque;
use core::fmt;

use crate::keys::{Decoder, Key};

/// What the console needs of the machine. Called from one strand only, which may block in any of these.
pub trait Terminal {
    /// The next byte that was typed, however long it takes; `None` once there will be no more.
    fn read_byte(&mut self) -> Option<u8>;

    /// The next byte if one comes within `timeout_ms`. Asked for the answers of the terminal itself; where
    /// waiting is not possible it may give `None` at once, and the terminal counts as one that does not
    /// answer.
    fn read_byte_within(&mut self, timeout_ms: u32) -> Option<u8>;

    /// Shows bytes: UTF-8 and ANSI sequences, lines ended by `\r\n`. Does not fail: what cannot be shown is
    /// lost.
    fn write_bytes(&mut self, bytes: &[u8]);
}

/// How much a terminal shows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines from top to bottom.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What terminals had before they had windows.
impl Default for Size {
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// Each byte of the terminal's answer must come within this time: enough for one far away.
const ANSWER_MS: u32 = 300;

/// As many keys are kept for later while nobody reads them.
const TYPED_AHEAD: usize = 1024;

/// Go as far down and right as possible, say where that is, come back.
const ASK_SIZE: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";

/// A terminal with keys instead of bytes, text instead of sequences, and a size.
///
/// As a [`fmt::Write`] it takes lines that end in `\n`, and never fails.
pub struct Console<T> {
    terminal: T,
    decoder: Decoder,
    /// Keys that came while an answer was awaited.
    typed_ahead: VecDeque<Key>,
    size: Size,
    /// The terminal told its size when it was asked last.
    is_answering: bool,
}

impl<T: Terminal> Console<T> {
    /// A console on `terminal` that takes its size to be 24 rows of 80 columns until told otherwise.
    pub fn new(terminal: T) -> Self {
        let (decoder, typed_ahead) = (Decoder::default(), VecDeque::new());
        Self { terminal, decoder, typed_ahead, size: Size::default(), is_answering: false }
    }

    /// The terminal's size as it was last told.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Asks the terminal for its size and waits for the answer, a fraction of a second at most. Without one
    /// the size stays, and the terminal is not asked again at each line.
    pub fn measure(&mut self) -> Size {
        self.is_answering = false;
        self.terminal.write_bytes(ASK_SIZE);
        while !self.is_answering {
            let Some(byte) = self.terminal.read_byte_within(ANSWER_MS) else { break };
            self.decoder.feed(byte);
            while let Some(key) = self.decoder.next() {
                if !self.take_answer(key) {
                    self.typed_ahead.push_back(key);
                }
            }
        }
        self.size
    }

    /// Asks a terminal that answers for its size, without waiting: windows change, and the answer is taken
    /// when it comes.
    pub(crate) fn ask_size(&mut self) {
        if core::mem::take(&mut self.is_answering) {
            self.terminal.write_bytes(ASK_SIZE);
        }
    }

    /// The next key, however long it takes; `None` when the input has ended.
    pub fn read_key(&mut self) -> Option<Key> {
        loop {
            match self.typed_ahead.pop_front().or_else(|| self.decoder.next()) {
                Some(key) if self.take_answer(key) => {}
                Some(key) => return Some(key),
                None => self.decoder.feed(self.terminal.read_byte()?),
            }
        }
    }

    /// Waits for a key, for at most so long: does it say that it is enough? That is Ctrl-C, or `q` before any
    /// other key; the others are kept for whoever reads next, as long as there is room.
    pub(crate) fn wait_for_end(&mut self, at_most_ms: u32) -> bool {
        if self.takes_end() {
            return true;
        }
        if let Some(byte) = self.terminal.read_byte_within(at_most_ms) {
            self.decoder.feed(byte);
        }
        while let Some(key) = self.decoder.next() {
            // The one that ends it finds room always.
            let is_kept = self.typed_ahead.len() < TYPED_AHEAD || key == Key::Control('c');
            if !self.take_answer(key) && is_kept {
                self.typed_ahead.push_back(key);
            }
        }
        self.takes_end()
    }

    /// The next key, if it comes within so long; `None` may come earlier.
    pub(crate) fn read_key_within(&mut self, at_most_ms: u32) -> Option<Key> {
        let mut patience_ms = Some(at_most_ms);
        loop {
            match self.typed_ahead.pop_front().or_else(|| self.decoder.next()) {
                Some(key) if self.take_answer(key) => {}
                Some(key) => return Some(key),
                None => self.decoder.feed(self.terminal.read_byte_within(patience_ms.take()?)?),
            }
        }
    }

    /// Takes the key that says that it is enough, if it came. As at the prompt, Ctrl-C takes back what was
    /// typed before it, too.
    fn takes_end(&mut self) -> bool {
        let end = match self.typed_ahead.front() {
            Some(Key::Char('q' | 'Q')) => Some(0),
            _ => self.typed_ahead.iter().rposition(|key| *key == Key::Control('c')),
        };
        end.map(|end| self.typed_ahead.drain(..=end)).is_some()
    }

    fn take_answer(&mut self, key: Key) -> bool {
        let Key::CursorAt { row: rows, column: columns } = key else { return false };
        self.size = Size { rows, columns };
        self.is_answering = true;
        true
    }

    /// Shows text as it is: with ANSI sequences, line ends as `\r\n`.
    pub(crate) fn write_raw(&mut self, text: &str) {
        self.terminal.write_bytes(text.as_bytes());
    }

    /// The terminal below.
    pub fn terminal(&mut self) -> &mut T {
        &mut self.terminal
    }
}

impl<T: Terminal> fmt::Write for Console<T> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    self.write_raw(line);
                    self.write_raw("\r\n");
                }
                None => self.write_raw(line),
            }
        }
        Ok(())
    }
}
