//! Reading a line.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::console::{Console, Terminal};
use crate::history::History;
use crate::keys::Key;
use crate::line::Line;

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Ctrl-C: the line was given up.
    Interrupted,
    /// Ctrl-D in an empty line, or the terminal is gone.
    EndOfInput,
}

impl core::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "the line was given up (Ctrl-C); type another",
            Self::EndOfInput => "the input has ended (Ctrl-D)",
        })
    }
}

/// What could stand in place of the word before the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where the word begins, counted in characters.
    pub start: usize,
    /// Whole words, as they are to stand in the line, in the order in which to show them.
    pub words: Vec<String>,
}

/// Knows how a line can go on.
pub trait Completer {
    /// Completes the last word of `line`, which is all that stands before the cursor. Called at each Tab.
    fn complete(&self, line: &str) -> Completion;
}

/// Completes nothing.
impl Completer for () {
    fn complete(&self, _line: &str) -> Completion {
        Completion::default()
    }
}

/// Reads lines and remembers them.
///
/// | key | what it does |
/// | --- | --- |
/// | Left, Right, Ctrl-B, Ctrl-F | move by a character |
/// | Ctrl-Left, Ctrl-Right, Alt-B, Alt-F | move by a word |
/// | Home, End, Ctrl-A, Ctrl-E | move to an end |
/// | Backspace, Delete, Ctrl-H, Ctrl-D | delete a character |
/// | Ctrl-K, Ctrl-U, Ctrl-W | cut to the end, to the begin, a word |
/// | Ctrl-Y | paste what was cut |
/// | Up, Down, Ctrl-P, Ctrl-N | older and newer lines |
/// | Tab | complete, or show how the line can go on |
/// | Ctrl-L | clear the screen |
/// | Ctrl-C | give the line up |
/// | Ctrl-D in an empty line | end |
#[derive(Default)]
pub struct Editor {
    history: History,
}

impl Editor {
    /// An editor with an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one line; blocks until it is entered. `prompt` is one line of plain text.
    ///
    /// # Errors
    ///
    /// [`ReadError::Interrupted`] at Ctrl-C, [`ReadError::EndOfInput`] when nothing more will come.
    pub fn read_line<T: Terminal>(
        &mut self,
        console: &mut Console<T>,
        prompt: &str,
        completer: &impl Completer,
    ) -> Result<String, ReadError> {
        console.ask_size();
        self.history.rewind();
        let mut view = View { console, prompt, line: Line::default(), row: 0 };
        view.draw();
        loop {
            // A last line without an end is a line nevertheless.
            let key = view.console.read_key().or((view.line.len() > 0).then_some(Key::Enter));
            match key {
                None => return Err(view.leave("", ReadError::EndOfInput)),
                Some(Key::Control('d')) if view.line.len() == 0 => {
                    return Err(view.leave("", ReadError::EndOfInput));
                }
                Some(Key::Control('c')) => return Err(view.leave("^C", ReadError::Interrupted)),
                Some(Key::Enter) => {
                    let text = view.line.text();
                    self.history.add(&text);
                    return Ok(view.leave("", text));
                }
                Some(Key::Char(sign)) => view.type_sign(sign),
                Some(Key::Tab) => view.complete(completer),
                Some(Key::Control('l')) => view.clear_screen(),
                Some(key) => {
                    if self.edit(&mut view.line, key) {
                        view.draw();
                    } else {
                        view.ring();
                    }
                }
            }
        }
    }

    /// Does what a key says; false if that is impossible here.
    fn edit(&mut self, line: &mut Line, key: Key) -> bool {
        match key {
            Key::Left | Key::Control('b') => line.move_left(),
            Key::Right | Key::Control('f') => line.move_right(),
            Key::WordLeft => line.move_word_left(),
            Key::WordRight => line.move_word_right(),
            Key::Home | Key::Control('a') => line.move_to(0),
            Key::End | Key::Control('e') => line.move_to(line.len()),
            Key::Backspace => line.delete_left(),
            Key::Delete | Key::Control('d') => line.delete_right(),
            Key::Control('k') => line.cut_to_end(),
            Key::Control('u') => line.cut_to_start(),
            Key::Control('w') => line.cut_word(),
            Key::Control('y') => line.paste(),
            Key::Up | Key::Control('p') => {
                self.history.older(line.text()).map(|text| line.set(text)).is_some()
            }
            Key::Down | Key::Control('n') => self.history.newer().map(|text| line.set(text)).is_some(),
            _ => false,
        }
    }
}

/// The line on the screen. It may take several rows.
struct View<'c, T> {
    console: &'c mut Console<T>,
    prompt: &'c str,
    line: Line,
    /// The row in which the cursor stands, counted from the row of the prompt.
    row: usize,
}

impl<T: Terminal> View<'_, T> {
    fn columns(&self) -> usize {
        usize::from(self.console.size().columns)
    }

    fn prompt_len(&self) -> usize {
        self.prompt.chars().count()
    }

    /// Draws prompt and line anew, over what was there.
    fn draw(&mut self) {
        let columns = self.columns();
        let mut out = String::new();
        if self.row > 0 {
            let _ = write!(out, "\x1b[{}A", self.row);
        }
        let _ = write!(out, "\r\x1b[J{}{}", self.prompt, self.line.text());
        let end = self.prompt_len() + self.line.len();
        if end > 0 && end.is_multiple_of(columns) {
            // The terminal waits with going to the next row; it must not.
            out.push_str("\r\n");
        }
        let place = self.prompt_len() + self.line.cursor();
        self.row = place / columns;
        let up = end / columns - self.row;
        if up > 0 {
            let _ = write!(out, "\x1b[{up}A");
        }
        out.push('\r');
        if !place.is_multiple_of(columns) {
            let _ = write!(out, "\x1b[{}C", place % columns);
        }
        self.console.write_raw(&out);
    }

    fn ring(&mut self) {
        self.console.write_raw("\x07");
    }

    fn type_sign(&mut self, sign: char) {
        if !self.line.insert(sign) {
            return self.ring();
        }
        let place = self.prompt_len() + self.line.cursor();
        if self.line.is_at_end() && !place.is_multiple_of(self.columns()) {
            // The common case costs one byte on the wire instead of the whole line.
            self.console.write_raw(sign.encode_utf8(&mut [0; 4]));
        } else {
            self.draw();
        }
    }

    fn clear_screen(&mut self) {
        self.console.write_raw("\x1b[H\x1b[2J");
        self.row = 0;
        self.draw();
    }

    /// Ends the editing: what comes next is shown below the line.
    fn leave<R>(&mut self, mark: &str, result: R) -> R {
        if self.line.move_to(self.line.len()) {
            self.draw();
        }
        self.console.write_raw(mark);
        self.console.write_raw("\r\n");
        result
    }

    fn complete(&mut self, completer: &impl Completer) {
        let before = self.line.before_cursor();
        let Completion { start, words } = completer.complete(&before);
        let typed: String = before.chars().skip(start).collect();
        let common = common_start(&words);
        let is_changed = match words.as_slice() {
            [] => false,
            // Nothing more to choose: on to the next word.
            [word] => self.line.replace_before_cursor(start, &format!("{word} ")),
            _ if common != typed && common.starts_with(&typed) => {
                self.line.replace_before_cursor(start, common)
            }
            _ => return self.show_choice(&words),
        };
        if is_changed {
            self.draw();
        } else {
            self.ring();
        }
    }

    /// Shows all words below the line, and the line again below them; no more than fit on the screen.
    fn show_choice(&mut self, words: &[String]) {
        let width = words.iter().map(|word| word.chars().count()).max().unwrap_or(0) + 2;
        let per_row = (self.columns() / width).max(1);
        let rows = usize::from(self.console.size().rows).saturating_sub(3).max(1);
        let cursor = self.line.cursor();
        self.leave("", ());
        for row in words.chunks(per_row).take(rows) {
            let mut text = String::new();
            row.iter().for_each(|word| text.push_str(&format!("{word:width$}")));
            self.console.write_raw(text.trim_end());
            self.console.write_raw("\r\n");
        }
        let hidden = words.len().saturating_sub(per_row * rows);
        if hidden > 0 {
            self.console.write_raw(&format!("... and {hidden} more\r\n"));
        }
        self.line.move_to(cursor);
        self.row = 0;
        self.draw();
    }
}

/// What all words begin with.
fn common_start(words: &[String]) -> &str {
    let Some((first, others)) = words.split_first() else { return "" };
    let end = others.iter().fold(first.len(), |end, word| {
        let same = first[..end].chars().zip(word.chars()).take_while(|(one, other)| one == other);
        same.map(|(sign, _)| sign.len_utf8()).sum()
    });
    &first[..end]
}
