//! From bytes to keys.

use alloc::collections::VecDeque;

use vte::{Params, Parser, Perform};

/// What a terminal sends, as far as anyone here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character to insert.
    Char(char),
    /// A letter typed with Control, in lower case: `Control('a')`.
    Control(char),
    /// Return; also the line feed that a pipe sends.
    Enter,
    /// Tab.
    Tab,
    /// Delete to the left.
    Backspace,
    /// Delete to the right.
    Delete,
    /// Cursor key.
    Left,
    /// Cursor key.
    Right,
    /// Cursor key.
    Up,
    /// Cursor key.
    Down,
    /// Control-Left or Alt-B.
    WordLeft,
    /// Control-Right or Alt-F.
    WordRight,
    /// To the line's begin.
    Home,
    /// To the line's end.
    End,
    /// The answer to a question for the cursor's place, counted from 1.
    CursorAt {
        /// Row from above.
        row: u16,
        /// Column from the left.
        column: u16,
    },
}

/// Operating system commands, which no keyboard sends, are kept up to this length.
const COMMAND_BYTES: usize = 16;

/// Makes keys of bytes; whatever it does not know is dropped.
#[derive(Default)]
pub(crate) struct Decoder {
    parser: Parser<COMMAND_BYTES>,
    found: Found,
}

#[derive(Default)]
struct Found {
    keys: VecDeque<Key>,
    /// ESC O came: the next character is a key of a keypad in application mode.
    is_keypad: bool,
    /// A return came: a line feed right after it belongs to it.
    was_return: bool,
}

impl Decoder {
    pub(crate) fn feed(&mut self, byte: u8) {
        self.parser.advance(&mut self.found, &[byte]);
    }

    pub(crate) fn next(&mut self) -> Option<Key> {
        self.found.keys.pop_front()
    }
}

impl Found {
    fn push(&mut self, key: Option<Key>) {
        self.keys.extend(key);
        self.is_keypad = false;
        self.was_return = false;
    }
}

impl Perform for Found {
    fn print(&mut self, sign: char) {
        let key = match sign {
            '\x7f' => Some(Key::Backspace),
            // The second control set arrives here when it is encoded as UTF-8; it has no place in a line.
            _ if sign.is_control() => None,
            _ if self.is_keypad => cursor_key(sign),
            _ => Some(Key::Char(sign)),
        };
        self.push(key);
    }

    fn execute(&mut self, byte: u8) {
        let key = match byte {
            b'\n' if self.was_return => None,
            b'\r' | b'\n' => Some(Key::Enter),
            b'\t' => Some(Key::Tab),
            0x08 | 0x7f => Some(Key::Backspace),
            1..=26 => Some(Key::Control(char::from(byte - 1 + b'a'))),
            _ => None,
        };
        self.push(key);
        self.was_return = byte == b'\r';
    }

    fn csi_dispatch(&mut self, parameters: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        let mut numbers = parameters.iter().map(|parameter| parameter.first().copied().unwrap_or(0));
        let (first, second) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let key = match (action, first, second) {
            _ if !intermediates.is_empty() => None,
            ('R', row @ 1.., column @ 1..) => Some(Key::CursorAt { row, column }),
            // Numbered keys, of the VT220, rxvt and the Linux console.
            ('~', 1 | 7, _) => Some(Key::Home),
            ('~', 4 | 8, _) => Some(Key::End),
            ('~', 3, _) => Some(Key::Delete),
            // 3 is Alt, 5 is Control.
            ('C', _, 3 | 5) => Some(Key::WordRight),
            ('D', _, 3 | 5) => Some(Key::WordLeft),
            _ => cursor_key(action),
        };
        self.push(key);
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        let key = match byte {
            b'b' => Some(Key::WordLeft),
            b'f' => Some(Key::WordRight),
            _ => None,
        };
        self.push(key.filter(|_| intermediates.is_empty()));
        self.is_keypad = byte == b'O';
    }
}

fn cursor_key(action: char) -> Option<Key> {
    Some(match action {
        'A' => Key::Up,
        'B' => Key::Down,
        'C' => Key::Right,
        'D' => Key::Left,
        'H' => Key::Home,
        'F' => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().for_each(|&byte| decoder.feed(byte));
        core::iter::from_fn(|| decoder.next()).collect()
    }

    #[test]
    fn plain_and_utf8() {
        assert_eq!(keys("aß→".as_bytes()), [Key::Char('a'), Key::Char('ß'), Key::Char('→')]);
        assert_eq!(keys("\u{80}\u{9b}A".as_bytes()), [Key::Char('A')]);
        assert_eq!(keys(b"\xffa"), [Key::Char('\u{fffd}'), Key::Char('a')]);
    }

    #[test]
    fn one_enter_for_each_kind_of_line_end() {
        assert_eq!(keys(b"\r"), [Key::Enter]);
        assert_eq!(keys(b"\n"), [Key::Enter]);
        assert_eq!(keys(b"\r\n"), [Key::Enter]);
        assert_eq!(keys(b"\n\n\r\r"), [Key::Enter; 4]);
    }

    #[test]
    fn every_dialect_of_the_cursor_keys() {
        for home in ["\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"] {
            assert_eq!(keys(home.as_bytes()), [Key::Home], "{home:?}");
        }
        for end in ["\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~"] {
            assert_eq!(keys(end.as_bytes()), [Key::End], "{end:?}");
        }
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[C\x1b[D"), [Key::Up, Key::Down, Key::Right, Key::Left]);
        assert_eq!(keys(b"\x1b[3~\x7f\x08"), [Key::Delete, Key::Backspace, Key::Backspace]);
        assert_eq!(keys(b"\x1b[1;5C\x1b[1;5D\x1bf\x1bb").len(), 4);
        assert_eq!(keys(b"\x01\x1a"), [Key::Control('a'), Key::Control('z')]);
        assert_eq!(keys(b"\x1b[24;80R"), [Key::CursorAt { row: 24, column: 80 }]);
    }

    #[test]
    fn strange_sequences_give_nothing_and_do_no_harm() {
        assert_eq!(keys(b"\x1b[R"), vec![]);
        assert_eq!(keys(b"\x1b[99999999999999999999999999A"), [Key::Up]);
        assert_eq!(keys(b"\x1b[15~\x1b[?1;2c\x1b[<0;1;1M"), vec![]);
        assert_eq!(keys(b"\x1b]0;a title that is far too long to keep\x07x"), [Key::Char('x')]);
        assert_eq!(keys(&[b"\x1b[".as_slice(), &[b';'; 500], b"Hx"].concat()).last(), Some(&Key::Char('x')));
    }
}
