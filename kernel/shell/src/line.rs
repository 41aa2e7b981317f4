//! A line and the cursor in it.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// The most characters that a line takes.
const LIMIT: usize = 1024;

/// Text that is edited. Places are counted in characters.
#[derive(Default)]
pub(crate) struct Line {
    signs: Vec<char>,
    cursor: usize,
    /// What was cut last, for [`paste`](Self::paste).
    cut: Vec<char>,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.signs.len()
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.cursor == self.signs.len()
    }

    pub(crate) fn text(&self) -> String {
        self.signs.iter().collect()
    }

    pub(crate) fn before_cursor(&self) -> String {
        self.signs[..self.cursor].iter().collect()
    }

    /// Replaces all of it; the cursor goes to the end.
    pub(crate) fn set(&mut self, text: &str) {
        self.signs = text.chars().take(LIMIT).collect();
        self.cursor = self.signs.len();
    }

    /// Replaces what is between `start` and the cursor. False if the line would be too long.
    pub(crate) fn replace_before_cursor(&mut self, start: usize, text: &str) -> bool {
        let start = start.min(self.cursor);
        let fits = self.signs.len() - (self.cursor - start) + text.chars().count() <= LIMIT;
        if fits {
            self.signs.splice(start..self.cursor, text.chars());
            self.cursor = start + text.chars().count();
        }
        fits
    }

    pub(crate) fn insert(&mut self, sign: char) -> bool {
        self.replace_before_cursor(self.cursor, sign.encode_utf8(&mut [0; 4]))
    }

    pub(crate) fn move_to(&mut self, place: usize) -> bool {
        let place = place.min(self.signs.len());
        core::mem::replace(&mut self.cursor, place) != place
    }

    pub(crate) fn move_left(&mut self) -> bool {
        self.move_to(self.cursor.saturating_sub(1))
    }

    pub(crate) fn move_right(&mut self) -> bool {
        self.move_to(self.cursor + 1)
    }

    pub(crate) fn move_word_left(&mut self) -> bool {
        self.move_to(self.left_of(|sign| sign.is_alphanumeric()))
    }

    pub(crate) fn move_word_right(&mut self) -> bool {
        let ahead = &self.signs[self.cursor..];
        let start = ahead.iter().position(|sign| sign.is_alphanumeric()).unwrap_or(ahead.len());
        let word = ahead[start..].iter().take_while(|sign| sign.is_alphanumeric()).count();
        self.move_to(self.cursor + start + word)
    }

    pub(crate) fn delete_left(&mut self) -> bool {
        self.move_left() && self.delete_right()
    }

    pub(crate) fn delete_right(&mut self) -> bool {
        let is_any = !self.is_at_end();
        if is_any {
            self.signs.remove(self.cursor);
        }
        is_any
    }

    pub(crate) fn cut_to_end(&mut self) -> bool {
        self.cut_range(self.cursor..self.signs.len())
    }

    pub(crate) fn cut_to_start(&mut self) -> bool {
        self.cut_range(0..self.cursor)
    }

    /// Cuts back to the blank before the word.
    pub(crate) fn cut_word(&mut self) -> bool {
        self.cut_range(self.left_of(|sign| !sign.is_whitespace())..self.cursor)
    }

    pub(crate) fn paste(&mut self) -> bool {
        let text: String = self.cut.iter().collect();
        !text.is_empty() && self.replace_before_cursor(self.cursor, &text)
    }

    /// The begin of the word to the left of the cursor.
    fn left_of(&self, is_word: fn(char) -> bool) -> usize {
        let before = &self.signs[..self.cursor];
        let end = before.iter().rposition(|&sign| is_word(sign)).map_or(0, |last| last + 1);
        before[..end].iter().rposition(|&sign| !is_word(sign)).map_or(0, |blank| blank + 1)
    }

    fn cut_range(&mut self, range: Range<usize>) -> bool {
        let is_any = !range.is_empty();
        if is_any {
            self.cursor = range.start;
            self.cut = self.signs.drain(range).collect();
        }
        is_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, cursor: usize) -> Line {
        let mut line = Line::default();
        line.set(text);
        line.move_to(cursor);
        line
    }

    #[test]
    fn words() {
        let mut it = line("raise Demo.Hello  1000", 22);
        assert!(it.cut_word());
        assert_eq!((it.text().as_str(), it.cursor()), ("raise Demo.Hello  ", 18));
        assert!(it.cut_word());
        assert_eq!(it.text(), "raise ");
        assert!(it.paste());
        assert_eq!(it.text(), "raise Demo.Hello  ");
        assert!(it.move_word_left());
        assert_eq!(it.cursor(), 11);
        assert!(it.move_word_left());
        assert_eq!(it.cursor(), 6);
        assert!(it.move_word_right());
        assert_eq!(it.cursor(), 10);
    }

    #[test]
    fn ends_are_walls() {
        let mut it = line("äö", 0);
        assert!(!it.move_left() && !it.delete_left() && !it.cut_to_start() && !it.cut_word());
        assert!(it.move_right() && it.move_right() && !it.move_right());
        assert!(!it.delete_right() && !it.cut_to_end());
        assert!(it.delete_left());
        assert_eq!(it.text(), "ä");
    }

    #[test]
    fn a_full_line_takes_no_more() {
        let mut it = line(&"x".repeat(LIMIT + 5), 3);
        assert_eq!(it.len(), LIMIT);
        assert!(!it.insert('y') && it.delete_right() && it.insert('y'));
    }
}
