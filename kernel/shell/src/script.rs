//! Splitting text into commands and words.
//!
//! Commands are separated by `;`, words by blanks. Within double quotes, blanks and `;` are signs like any
//! other. A backslash takes the special meaning from the next sign; within quotes, `\n` and `\t` are a line
//! end and a tab.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One command of a script: its words and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Name and arguments; at least one.
    pub words: Vec<String>,
    /// The column at which it begins, from 1.
    pub column: usize,
}

/// Why a script cannot be split. Columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// A quote is opened and never closed.
    OpenQuote {
        /// Where the quote stands.
        column: usize,
    },
    /// The script ends with a backslash.
    TrailingBackslash {
        /// Where the backslash stands.
        column: usize,
    },
    /// A backslash before a sign with which it means nothing.
    UnknownEscape {
        /// Where the backslash stands.
        column: usize,
        /// The sign after it.
        found: char,
    },
}

impl SyntaxError {
    /// The column at fault, from 1.
    pub fn column(&self) -> usize {
        match *self {
            Self::OpenQuote { column } | Self::TrailingBackslash { column } => column,
            Self::UnknownEscape { column, .. } => column,
        }
    }
}

impl core::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "column {}: ", self.column())?;
        match self {
            Self::OpenQuote { .. } => {
                write!(f, "this quote is never closed; add a \" or write \\\" for the sign itself")
            }
            Self::TrailingBackslash { .. } => {
                write!(f, "nothing follows this backslash; write \\\\ for the sign itself")
            }
            Self::UnknownEscape { found, .. } => {
                let found = found.escape_default();
                write!(
                    f,
                    "\\{found} means nothing within quotes; write \\\\ for a backslash, or \\\" \\n \\t"
                )
            }
        }
    }
}

/// Splits a script; commands without words are left out.
///
/// ```
/// let script = shell::script::split(r#"load greeter; echo "a; b""#)?;
/// assert_eq!(script[0].words, ["load", "greeter"]);
/// assert_eq!((script[1].words[1].as_str(), script[1].column), ("a; b", 15));
/// # Ok::<(), shell::script::SyntaxError>(())
/// ```
///
/// # Errors
///
/// Quotes that are not closed, and backslashes that mean nothing.
pub fn split(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    let mut splitter = Splitter::default();
    let open = splitter.run(text)?;
    splitter.end_statement();
    open.map_or(Ok(splitter.statements), |column| Err(SyntaxError::OpenQuote { column }))
}

/// The last command of an unfinished script, for completion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// The words before the last.
    pub(crate) words: Vec<String>,
    /// The last word, perhaps empty, its quotes and backslashes resolved.
    pub(crate) last: String,
    /// Where it begins, counted in characters from 0.
    pub(crate) start: usize,
}

/// Splits the last command of text that is still being typed; `None` where it ends within an escape.
pub(crate) fn split_unfinished(text: &str) -> Option<Unfinished> {
    let mut splitter = Splitter::default();
    splitter.run(text).ok()?;
    let (start, last) = splitter.word.unwrap_or((text.chars().count(), String::new()));
    Some(Unfinished { words: splitter.words, last, start })
}

/// A word so that [`split`] gives it back as it is.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |sign: char| !sign.is_whitespace() && !matches!(sign, '"' | '\\' | ';');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    let mut out = String::from("\"");
    for sign in word.chars() {
        match sign {
            '"' | '\\' => out.extend(['\\', sign]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ => out.push(sign),
        }
    }
    out.push('"');
    out
}

#[derive(Default)]
struct Splitter {
    statements: Vec<Statement>,
    words: Vec<String>,
    /// The word at hand and where it begins, from 0.
    word: Option<(usize, String)>,
    /// Where the command at hand begins, from 0.
    start: usize,
}

impl Splitter {
    /// Reads all of the text, but leaves its last word and command open. Gives the column of a quote that is
    /// open.
    fn run(&mut self, text: &str) -> Result<Option<usize>, SyntaxError> {
        let mut quote = None;
        let mut signs = text.chars().enumerate();
        while let Some((place, sign)) = signs.next() {
            let column = place + 1;
            match sign {
                '\\' => {
                    let (_, next) = signs.next().ok_or(SyntaxError::TrailingBackslash { column })?;
                    let meant = match next {
                        'n' if quote.is_some() => '\n',
                        't' if quote.is_some() => '\t',
                        '"' | '\\' => next,
                        found if quote.is_some() => return Err(SyntaxError::UnknownEscape { column, found }),
                        _ => next,
                    };
                    self.word_at(place).push(meant);
                }
                '"' => {
                    quote = if quote.is_some() { None } else { Some(column) };
                    self.word_at(place);
                }
                _ if quote.is_some() => self.word_at(place).push(sign),
                ';' => self.end_statement(),
                _ if sign.is_whitespace() => self.end_word(),
                _ => self.word_at(place).push(sign),
            }
        }
        Ok(quote)
    }

    fn word_at(&mut self, place: usize) -> &mut String {
        if self.word.is_none() && self.words.is_empty() {
            self.start = place;
        }
        &mut self.word.get_or_insert_with(|| (place, String::new())).1
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take().map(|(_, word)| word));
    }

    fn end_statement(&mut self) {
        self.end_word();
        let words = core::mem::take(&mut self.words);
        if !words.is_empty() {
            self.statements.push(Statement { words, column: self.start + 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn words(text: &str) -> Vec<Vec<String>> {
        split(text).unwrap().into_iter().map(|statement| statement.words).collect()
    }

    #[test]
    fn commands_and_words() {
        assert_eq!(words("a; b;c"), [["a"], ["b"], ["c"]]);
        assert_eq!(words("  raise  Demo.Hello\t1000 "), [["raise", "Demo.Hello", "1000"]]);
        assert!(words(" ;; ; ").is_empty());
        assert!(words("").is_empty());
    }

    #[test]
    fn quotes_and_backslashes() {
        assert_eq!(words(r#"echo "a; \"b\"" c\;d"#), [["echo", "a; \"b\"", "c;d"]]);
        assert_eq!(words(r#"echo "" x"y z"w"#), [["echo", "", "xy zw"]]);
        assert_eq!(words(r#"echo "1\n2\t\\" a\ b"#), [["echo", "1\n2\t\\", "a b"]]);
    }

    #[test]
    fn columns_count_signs_from_one() {
        let columns: Vec<_> =
            split("ä ö; ü;  \"x\"").unwrap().iter().map(|statement| statement.column).collect();
        assert_eq!(columns, [1, 6, 10]);
    }

    #[test]
    fn errors_name_their_column() {
        assert_eq!(split("echo ä\"b; c").unwrap_err(), SyntaxError::OpenQuote { column: 7 });
        assert_eq!(split("echo \\").unwrap_err(), SyntaxError::TrailingBackslash { column: 6 });
        let error = split(r#"echo "\q""#).unwrap_err();
        assert_eq!(error, SyntaxError::UnknownEscape { column: 7, found: 'q' });
        assert_eq!(
            error.to_string(),
            r#"column 7: \q means nothing within quotes; write \\ for a backslash, or \" \n \t"#
        );
    }

    #[test]
    fn unfinished_text_is_open_at_its_end() {
        let last = |text| split_unfinished(text).map(|it| (it.words, it.last, it.start));
        assert_eq!(last("cores; lo"), Some((vec![], "lo".into(), 7)));
        assert_eq!(last("load "), Some((vec!["load".into()], String::new(), 5)));
        assert_eq!(last("load \"my sp"), Some((vec!["load".into()], "my sp".into(), 5)));
        assert_eq!(last("load \\"), None);
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        for word in ["plain", "", "two words", "a;b", "quo\"te", "back\\slash", "line\nend\ttab"] {
            assert_eq!(words(&quoted(word)), [[word]]);
        }
        assert_eq!(quoted("plain"), "plain");
    }
}
