//! Lines that were entered before.

use alloc::collections::VecDeque;
use alloc::string::String;

/// How many lines are kept.
const LIMIT: usize = 100;

/// The last lines, and a place among them while one is edited.
#[derive(Default)]
pub(crate) struct History {
    lines: VecDeque<String>,
    /// The line that is shown; `lines.len()` is the new one.
    place: usize,
    /// The new line as it was when older ones were looked at.
    draft: String,
}

impl History {
    /// Keeps a line, unless it is blank or a repetition.
    pub(crate) fn add(&mut self, line: &str) {
        if !line.trim().is_empty() && self.lines.back().is_none_or(|last| last != line) {
            if self.lines.len() == LIMIT {
                self.lines.pop_front();
            }
            self.lines.push_back(line.into());
        }
        self.rewind();
    }

    /// Back to the new line.
    pub(crate) fn rewind(&mut self) {
        self.place = self.lines.len();
        self.draft.clear();
    }

    /// The line before the one that is shown; `shown` is kept if it is the new one.
    pub(crate) fn older(&mut self, shown: String) -> Option<&str> {
        let older = self.place.checked_sub(1)?;
        if self.place == self.lines.len() {
            self.draft = shown;
        }
        self.place = older;
        self.lines.get(older).map(String::as_str)
    }

    /// The line after the one that is shown, at last the new one.
    pub(crate) fn newer(&mut self) -> Option<&str> {
        if self.place >= self.lines.len() {
            return None;
        }
        self.place += 1;
        Some(self.lines.get(self.place).unwrap_or(&self.draft))
    }
}
