//! Divides by zero in its handler of `Demo.Hello` when the number is [`UNLUCKY`], and answers all others:
//! a mistake that nobody wrote as a panic must end like one.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, demo::Hello, install};

/// The number that it cannot bear.
pub const UNLUCKY: u64 = 13;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| hello.number / hello.number.abs_diff(UNLUCKY))?;
    Ok(())
}
