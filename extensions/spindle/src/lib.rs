//! # The spindle's kit: what the author of a spindle depends on
//!
//! A *spindle* is a crate of safe code that Whorl loads into its own address space while it runs.
//! It is `#![no_std]`, `#![forbid(unsafe_code)]`, and has one procedure that the kernel calls when it
//! has linked it:
//!
//! ```
//! use spindle::{Error, demo::Hello, install, println};
//!
//! pub fn start() -> Result<(), Error> {
//!     install(greet)?;
//!     println!("at your service")
//! }
//!
//! fn greet(hello: &Hello) -> u64 {
//!     hello.number + 1
//! }
//! ```
//!
//! The parts, in the order in which an author needs them:
//!
//! - The interfaces of the kernel: [`console`], [`clock`], [`strand`], [`processor`], and
//!   [`demo`] with an event to play with. Each procedure is called like any function and returns a
//!   [`Result`], since its implementation may be gone tomorrow.
//! - Events: [`install`] a handler, [`remove`] it, [`raise`] an event. A [`handler()`] can be made to wait
//!   for certain arguments, given a place among the others, and a time that it keeps; a [`filter`] changes
//!   the arguments for those after it. [`remove_drained`] waits until nobody runs it any more. A handler can
//!   be asynchronous ([`Handler::posted`]), and so can a raise ([`post`]).
//! - Events of its own: [`export`] makes one, by which other spindles use this one.
//! - Strands of its own: [`strand::spawn`] makes one that runs a closure, and [`strand::JoinHandle::join`] waits
//!   for what that returns.
//! - [`sync`]: mutexes, conditions, semaphores, channels and barriers for strands.
//! - [`package`]: thread packages, schedulers that are spindles.
//! - [`Error`]: what can come back from another domain.
//! - For the kernel and for those who declare interfaces: [`mod@plain`] (what may cross a border),
//!   [`mod@interface`] (imports, slots and signatures), [`installation`] (how a handler crosses), [`rt`]
//!   (the object's header, heap and panics).
//!
//! # What a spindle may count on
//!
//! Its code runs on strands of whoever raises or calls, on any core, many at once: hence handlers are
//! `Fn + Send + Sync`. A handler may block, allocate, raise, install and remove; one with a time bound
//! must not block, and a guard's predicate may do none of these: calls that it may not make return
//! [`Error::Context`]. It finds at least
//! 16 KiB of stack, and leaves the last 8 KiB to the kernel, for calls and interrupts. Its memory is its
//! own: when it panics, the kernel takes it back whole, the raiser goes on with an error, and no line of
//! the spindle runs again.
#![no_std]

mod closure;
pub mod console;
mod error;
pub mod event;
mod handler;
pub mod installation;
pub mod interface;
pub mod interfaces;
pub mod package;
pub mod plain;
pub mod rt;
pub mod strand;
pub mod sync;

pub use crate::{
    error::{Error, Status},
    event::{Event, post, raise},
    handler::{
        Binding, Field, Handler, OnFull, Order, Place, Posting, export, filter, handler, install, remove,
        remove_drained,
    },
    interfaces::{clock, demo, processor},
    strand::Strand,
};

/// For macros: what their users call `core` may be something else.
#[doc(hidden)]
pub use core as core_;
