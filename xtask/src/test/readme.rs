//! The README as tests. Its `rust` blocks are lines of spindles, which are built; those of the tutorial are, one after
//! the other, a whole file. Its sessions are run: each
//! `$ cargo xtask run ... -c "..."` in a `console` block, and every line that stands below must be said. Numbers may
//! differ, and so may the order of lines, since cores share the console.

/// A command of the README and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What stands behind `$ cargo xtask `.
    pub command: String,
    /// The lines below it, but for those that say `...`.
    pub lines: Vec<String>,
}

/// The sessions in `readme` that end by themselves: those with `-c`.
pub fn sessions(readme: &str) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let (mut in_console, mut in_session) = (false, false);
    for line in readme.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_console = !in_console && language.trim() == "console";
            in_session = false;
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            let command = command.strip_prefix("cargo xtask ").filter(|command| command.contains(" -c "));
            in_session = command.is_some();
            sessions
                .extend(command.map(|command| Session { command: command.to_string(), lines: Vec::new() }));
        } else if let Some(session) = sessions.last_mut().filter(|_| in_session)
            && !matches!(line.trim(), "" | "..." | "…")
        {
            session.lines.push(line.to_string());
        }
    }
    sessions
}

/// The lines of the README's `rust` blocks that hold anything.
pub fn rust_lines(readme: &str) -> impl Iterator<Item = &str> {
    let mut in_rust = false;
    readme.lines().filter(move |line| {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            return in_rust && !line.trim().is_empty();
        };
        in_rust = !in_rust && language.trim() == "rust";
        false
    })
}

/// The first line of the README's `rust` blocks that `source` does not have, wherever it is indented.
pub fn strange_line<'r>(readme: &'r str, source: &str) -> Option<&'r str> {
    let known: Vec<&str> = source.lines().map(str::trim).collect();
    rust_lines(readme).find(|line| !known.contains(&line.trim()))
}

/// The part of `readme` below the heading that says so, up to the next one.
pub fn below<'r>(readme: &'r str, heading: &str) -> &'r str {
    let Some((_, part)) = readme.split_once(&format!("# {heading}\n")) else { return "" };
    part.find("\n## ").or_else(|| part.find("\n### ")).map_or(part, |end| &part[..end])
}

/// The first line at which the `rust` blocks of `part`, one after the other, are not `source`.
pub fn first_difference<'r>(part: &'r str, source: &'r str) -> Option<&'r str> {
    let mut shown = rust_lines(part);
    let mut lines = source.lines().filter(|line| !line.trim().is_empty());
    loop {
        match (shown.next(), lines.next()) {
            (None, None) => return None,
            (shown, line) if shown == line => {}
            (shown, line) => return shown.or(line),
        }
    }
}

impl Session {
    /// The first line that `output` does not have.
    pub fn missing(&self, output: &str) -> Option<&str> {
        let said: Vec<String> = output.lines().map(shape).collect();
        self.lines.iter().map(String::as_str).find(|line| !said.contains(&shape(line)))
    }
}

/// A line with each number as `#`, each unit of time as `s`, for machines are not equally fast, and each run of spaces
/// as one, so that columns may be wider.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for word in line.split_whitespace() {
        let word = if ["ns", "µs", "ms"].contains(&word) { "s" } else { word };
        let mut was_digit = false;
        for letter in word.chars() {
            let is_digit = letter.is_ascii_digit();
            match (is_digit, was_digit) {
                (true, true) => {}
                (true, false) => shape.push('#'),
                (false, _) => shape.push(letter),
            }
            was_digit = is_digit;
        }
        shape.push(' ');
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::{Session, below, first_difference, sessions, strange_line};

    #[test]
    fn times_and_widths_may_differ() {
        let session = Session { command: String::new(), lines: vec!["  0  100  10.9 ms".into()] };
        assert_eq!(session.missing("  12     7  83.0 µs"), None);
        assert_eq!(session.missing("  12     7  83.0 KiB"), Some("  0  100  10.9 ms"));
    }

    const README: &str = "# Whorl\n```sh\n$ cargo xtask run -c \"not this\"\n```\n\
        ```console\n$ cargo xtask run\nnot this either\n$ cargo xtask run --cores 2 -c \"cores; halt\"\n\
        core 0  online\n...\ncore 1  online\n```\ntext\n```console\n$ ls\nfile\n```\n";

    #[test]
    fn only_sessions_that_end_are_taken() {
        let lines = ["core 0  online", "core 1  online"].map(String::from).to_vec();
        let expected = Session { command: "run --cores 2 -c \"cores; halt\"".into(), lines };
        assert_eq!(sessions(README), [expected]);
    }

    #[test]
    fn a_spindle_that_differs_is_noticed() {
        let readme = "```rust\nfn greet() {\n\n    1 + 1\n}\n```\n```sh\nls\n```\n";
        assert_eq!(strange_line(readme, "//! x\nfn greet() {\n1 + 1\n}\n"), None);
        assert_eq!(strange_line(readme, "fn greet() {\n1 + 2\n}\n"), Some("    1 + 1"));
    }

    #[test]
    fn a_tutorial_is_the_whole_file() {
        let readme = "## Else\n```rust\nno\n```\n### It\n```rust\na\n```\ntext\n```rust\n    b\n```\n## More\n```rust\nno\n```\n";
        let part = below(readme, "It");
        assert_eq!(first_difference(part, "a\n\n    b\n"), None);
        assert_eq!(first_difference(part, "a\n    b\nc\n"), Some("c"));
        assert_eq!(first_difference(part, "a\nb\n"), Some("    b"));
        assert_eq!(first_difference(part, "a\n"), Some("    b"));
        assert_eq!(below(readme, "Nothing"), "");
    }

    #[test]
    fn numbers_and_order_may_differ_and_nothing_else() {
        let session = &sessions(README)[0];
        assert_eq!(session.missing("core 10   online\r\ncore 7 online\n"), None);
        assert_eq!(session.missing("core 1  asleep\n"), Some("core 0  online"));
        assert_eq!(session.missing(""), Some("core 0  online"));
    }
}
