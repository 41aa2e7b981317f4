//! Answers `Demo.Hello`, and tells the kernel by `Demo.Heard`, so that storms can count: for each
//! answer that a raiser gets there must be one call that the kernel heard of.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error,
    demo::{Heard, Hello},
    install, raise,
};

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    match raise(&Heard { core: hello.core }) {
        Ok(_) => hello.number + 1,
        // An answer that no storm takes for a good one.
        Err(_) => 0,
    }
}
