//! A console for a person.

use core::fmt::Write;

use crate::{Commands, Console, Editor, Pager, ReadError, Terminal};

/// Reads lines and runs them as scripts until the input ends (Ctrl-D). Long output waits; errors are shown
/// and forgotten.
///
/// The terminal is measured first, which takes a fraction of a second where it does not answer.
pub fn interact<T: Terminal, C>(
    console: &mut Console<T>,
    commands: &Commands<C>,
    context: &mut C,
    prompt: &str,
) {
    console.measure();
    let mut editor = Editor::new();
    loop {
        match editor.read_line(console, prompt, &(commands, &*context)) {
            Ok(line) => {
                if let Err(error) = commands.run_script(&line, context, &mut Pager::new(console)) {
                    let _ = writeln!(console, "{error}");
                }
            }
            Err(ReadError::Interrupted) => {}
            Err(ReadError::EndOfInput) => return,
        }
    }
}
