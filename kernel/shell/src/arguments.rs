//! The words after a command's name.

use alloc::format;
use alloc::string::String;
use core::str::FromStr;

use crate::CommandError;

/// The words after a command's name, taken one by one; each error tells which is wrong and how.
///
/// ```
/// # use shell::Arguments;
/// let words = ["Demo.Hello".to_string(), "1_000".to_string()];
/// let mut arguments = Arguments::new(&words);
/// let event = arguments.word("EVENT")?;
/// let count: u64 = arguments.optional_number("COUNT")?.unwrap_or(1);
/// arguments.end()?;
/// assert_eq!((event, count), ("Demo.Hello", 1000));
/// # Ok::<(), shell::CommandError>(())
/// ```
pub struct Arguments<'w> {
    words: &'w [String],
}

impl<'w> Arguments<'w> {
    /// All of `words`, in their order.
    pub fn new(words: &'w [String]) -> Self {
        Self { words }
    }

    /// The next word, which the usage calls `what`.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn word(&mut self, what: &str) -> Result<&'w str, CommandError> {
        self.optional_word().ok_or_else(|| CommandError::Usage(format!("{what} is missing")))
    }

    /// The next word, if there is one.
    pub fn optional_word(&mut self) -> Option<&'w str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// The next word as a number: decimal, or hexadecimal after `0x`; `_` and `,` may divide it.
    ///
    /// # Errors
    ///
    /// There is none, it is no number, or it does not fit.
    pub fn number<N: TryFrom<u64>>(&mut self, what: &str) -> Result<N, CommandError> {
        let word = self.word(what)?;
        let number = parse_number(word).ok_or_else(|| {
            CommandError::Usage(format!("{what} must be a number such as 1000 or 0x3e8, not `{word}`"))
        })?;
        N::try_from(number).map_err(|_| CommandError::Usage(format!("{what} is too large: {word}")))
    }

    /// The next word as a number, if there is one.
    ///
    /// # Errors
    ///
    /// It is no number, or it does not fit.
    pub fn optional_number<N: TryFrom<u64>>(&mut self, what: &str) -> Result<Option<N>, CommandError> {
        if self.words.is_empty() { Ok(None) } else { self.number(what).map(Some) }
    }

    /// The next word as a value of its own kind, such as a level of the log; `choices` says which there are.
    ///
    /// # Errors
    ///
    /// There is none, or it is not one of them.
    pub fn value<V: FromStr>(&mut self, what: &str, choices: &str) -> Result<V, CommandError> {
        let word = self.word(what)?;
        word.parse().map_err(|_| CommandError::Usage(format!("{what} must be {choices}, not `{word}`")))
    }

    /// The words that are left.
    pub fn rest(&mut self) -> &'w [String] {
        core::mem::take(&mut self.words)
    }

    /// Demands that no word is left.
    ///
    /// # Errors
    ///
    /// One is.
    pub fn end(&self) -> Result<(), CommandError> {
        match self.words.first() {
            Some(word) => Err(CommandError::Usage(format!("`{word}` is one argument too many"))),
            None => Ok(()),
        }
    }
}

fn parse_number(word: &str) -> Option<u64> {
    let (radix, digits) = word.strip_prefix("0x").map_or((10, word), |digits| (16, digits));
    // Else a plus sign would pass, and a comma alone be 0.
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&digits.replace(['_', ','], ""), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn number<N: TryFrom<u64>>(word: &str) -> Result<N, CommandError> {
        Arguments::new(&[word.to_string()]).number("COUNT")
    }

    #[test]
    fn numbers() {
        assert_eq!(number("1,000_000"), Ok(1_000_000_u64));
        assert_eq!(number("0xff"), Ok(255_u8));
        assert_eq!(number::<u8>("256"), Err(CommandError::Usage("COUNT is too large: 256".into())));
        for word in ["", "-1", "+1", "1.5", "0x", ",", "ten", "99999999999999999999"] {
            assert!(number::<u64>(word).is_err(), "{word}");
        }
    }

    #[test]
    fn too_few_and_too_many() {
        let words = ["one".to_string(), "two".to_string()];
        let mut arguments = Arguments::new(&words);
        assert_eq!(arguments.word("A"), Ok("one"));
        assert_eq!(arguments.end(), Err(CommandError::Usage("`two` is one argument too many".into())));
        assert_eq!(arguments.rest(), ["two"]);
        assert_eq!(arguments.end(), Ok(()));
        assert_eq!(arguments.word("B"), Err(CommandError::Usage("B is missing".into())));
    }
}
