//! The application `queens` again, under another name: a second one that wants the same cores.
#![no_std]
#![forbid(unsafe_code)]

pub use queens::start;
