//! What a console needs, free of the kernel: line editing, commands, tables, paging.
//!
//! From the wire to the command:
//! - [`Terminal`] is what the kernel provides: bytes in, bytes out.
//! - [`Console`] makes keys of the bytes, knows the terminal's size, and writes text.
//! - [`Editor`] reads a line: cursor keys, history, completion.
//! - [`script`] splits a line into commands and their words.
//! - [`Commands`] finds, runs, explains and completes commands; [`Arguments`] hands them their words.
//! - [`Pager`] shows long output a screen at a time.
//! - [`table`], [`units`], [`numbers`] and [`histogram`] make output that people can read; an [`Output`] is where it goes.
//! - [`interact`] is all of this together: a console until its input ends.
//!
//! ```
//! use shell::{Call, Command, CommandError, Commands};
//!
//! /// What the commands work on.
//! struct Machine {
//!     cores: u32,
//! }
//!
//! fn wake(call: &mut Call<Machine>) -> Result<(), CommandError> {
//!     let count: u32 = call.arguments.number("COUNT")?;
//!     call.arguments.end()?;
//!     if count > 64 {
//!         return Err(CommandError::failed("a machine has at most 64 cores"));
//!     }
//!     call.context.cores += count;
//!     writeln!(call.out, "{} cores", call.context.cores)?;
//!     Ok(())
//! }
//!
//! let mut commands = Commands::new();
//! commands.add(Command {
//!     name: "wake",
//!     summary: "bring up further cores",
//!     usage: "wake COUNT",
//!     example: "wake 3",
//!     help: "Brings up COUNT cores that are asleep.",
//!     run: wake,
//!     complete: shell::no_completion,
//! });
//!
//! let (mut machine, mut out) = (Machine { cores: 1 }, String::new());
//! commands.run_script("wake 3; echo done", &mut machine, &mut out)?;
//! assert_eq!(out, "4 cores\ndone\n");
//!
//! let error = commands.run_script("wkae 3", &mut machine, &mut out).unwrap_err();
//! assert!(error.to_string().contains("did you mean `wake`?"));
//! # Ok::<(), shell::ScriptError>(())
//! ```
//!
//! # Why an editor of our own
//!
//! Two crates edit lines without `std`. `embedded-cli` 0.2 knows neither Home and End nor any control key.
//! `noline` 0.5 knows most of them, but has no way to complete (Tab rings the bell, and nobody outside can
//! change the line), waits for ever on a terminal that does not tell its cursor's place, and panics on some escape
//! sequences (a report without numbers, a number past `usize`): whoever types could stop the kernel. So the
//! hard part, telling keys from escape sequences and UTF-8, is left to `vte`, the parser of the Alacritty
//! terminal, and the editor above it is a small one of our own. The tests show its output on an emulated
//! terminal, `vt100`.
//!
//! # Where it is weak
//!
//! Each character counts as one column wide. A line that is longer than the whole screen is not drawn well.
//! Text that others write while a line is edited stays in it until Ctrl-L.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arguments;
mod builtin;
mod command;
mod console;
mod editor;
mod error;
mod history;
mod interact;
mod keys;
mod line;
mod nearest;
mod output;
mod pager;

pub mod histogram;
pub mod numbers;
pub mod script;
pub mod table;
pub mod units;

pub use arguments::Arguments;
pub use command::{Call, Command, Commands, Hint, no_completion};
pub use console::{Console, Size, Terminal};
pub use editor::{Completer, Completion, Editor, ReadError};
pub use error::{CommandError, ScriptError};
pub use interact::interact;
pub use keys::Key;
pub use nearest::suggestion;
pub use output::Output;
pub use pager::Pager;
