//! A line of text in a fixed buffer.

use core::fmt;

/// Text of at most `N` bytes; what does not fit is cut off, and remembered to be.
#[derive(Clone, Debug)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
    is_cut: bool,
}

impl<const N: usize> Line<N> {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0, is_cut: false }
    }

    /// Appends as many whole characters of `text` as fit, and returns how many bytes that were.
    pub fn push_str(&mut self, text: &str) -> usize {
        let taken = text.floor_char_boundary(N - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        self.is_cut |= taken < text.len();
        taken
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only whole characters come in; the default is never met.
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    /// Whether something did not fit.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Empties the line.
    pub const fn clear(&mut self) {
        self.len = 0;
        self.is_cut = false;
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Never fails: what does not fit is cut off.
impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write;

    use super::*;

    #[test]
    fn cuts_between_characters() {
        let mut line = Line::<5>::new();
        write!(line, "ab{:€<2}", "").unwrap();
        assert_eq!(line.as_str(), "ab€");
        assert!(line.is_cut());
        line.clear();
        assert_eq!(line.push_str("12345"), 5);
        assert!(!line.is_cut());
    }
}
