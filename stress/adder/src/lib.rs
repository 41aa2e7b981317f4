//! Answers `Demo.Hello` and does nothing else: what a call into a spindle costs by itself.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, demo::Hello, install};

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| hello.number.wrapping_add(1))?;
    Ok(())
}
