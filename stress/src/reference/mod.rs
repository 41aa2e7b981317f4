//! The dispatcher against a naive one.
//!
//! A random [`program`] is run by the dispatcher and by a naive reference side by side, on any
//! [`Processor`](dispatcher::Processor): on a host by the thousand, in the booted kernel on every core at once. After each
//! operation both must agree: on results and errors, on who was called in which order and what
//! arguments he saw, on the order that the event shows to people, and on what a watcher counts.
//!
//! A failure names the first operation at which they differ, so the shortest program that fails is
//! known at once; [`shrink()`] then leaves out what does not matter.

mod coverage;
mod model;
pub mod program;
mod runner;
mod shrink;
mod trace;
mod transaction;

use alloc::string::String;
use core::fmt;

pub use coverage::{Coverage, KINDS, REFUSALS};
pub use runner::run;
pub use shrink::shrink;
pub use trace::{Answer, LANES};

/// So many operations has a program, unless a test wants another number.
pub const LENGTH: usize = 60;

/// Where the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The operation, from 0: all after it are of no account.
    pub at: usize,
    /// What each of them says.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "operation {}: {}", self.at, self.what)
    }
}

impl core::error::Error for Difference {}
