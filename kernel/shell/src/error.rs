//! Why a command or a script did not succeed.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display};

use crate::script::SyntaxError;

/// Why a command failed. What it returns is all that it should say of it; where and how it is used is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// It was called with wrong arguments: shown with its usage and an example.
    Usage(String),
    /// It could not do what it was asked; the text says why and what to do.
    Failed(String),
    /// Nobody wants to see the rest of its output. Not an error to anyone but the command, which ends.
    Stopped,
}

impl CommandError {
    /// It could not do what it was asked, for a reason that is an error of its own, or a sentence.
    pub fn failed(reason: impl Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// It was called with wrong arguments.
    pub fn usage(reason: impl Display) -> Self {
        Self::Usage(reason.to_string())
    }
}

/// Output fails only where the reader has quit.
impl From<fmt::Error> for CommandError {
    fn from(_: fmt::Error) -> Self {
        Self::Stopped
    }
}

/// Why a script did not succeed. The commands before the one that is named were run, those after it were not.
///
/// [`Display`] says what is wrong and what to do, on one or several lines without a final line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptError {
    /// It could not be split, and nothing of it was run.
    Syntax(SyntaxError),
    /// There is no such command.
    Unknown {
        /// The word that should name one.
        name: String,
        /// Where it stands in the script, in columns from 1.
        column: usize,
        /// Names that may have been meant, most likely first.
        nearest: Vec<&'static str>,
    },
    /// A command was called with wrong arguments.
    Usage {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        reason: String,
        /// How it is used.
        usage: &'static str,
        /// An example.
        example: &'static str,
    },
    /// A command failed.
    Failed {
        /// Its name.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

impl core::error::Error for ScriptError {}

impl From<SyntaxError> for ScriptError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::Unknown { name, column, nearest } => {
                write!(f, "column {column}: there is no command `{}`", name.escape_debug())?;
                for (index, near) in nearest.iter().enumerate() {
                    write!(f, "{} `{near}`", if index == 0 { "; did you mean" } else { " or" })?;
                }
                f.write_str(if nearest.is_empty() { "; " } else { "? " })?;
                f.write_str("`help` lists all commands")
            }
            Self::Usage { name, reason, usage, example } => {
                write!(f, "{name}: {reason}\n  usage:   {usage}\n  example: {example}")
            }
            Self::Failed { name, reason } => write!(f, "{name}: {reason}"),
        }
    }
}
