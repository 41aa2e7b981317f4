//! Sleeps in its handler of `Demo.Hello` for as many milliseconds as the number says: unloading must
//! wait for it, and end its sleep early.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, demo::Hello, install, strand};

/// The answer if the sleep ended early, because the domain is being retired.
pub const WOKEN: u64 = u64::MAX;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    match strand::sleep(hello.number * 1_000_000) {
        Ok(()) => hello.number + 1,
        Err(Error::Closed) => WOKEN,
        // An answer that is none of the others.
        Err(_) => 0,
    }
}
