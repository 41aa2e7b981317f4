//! Raises its own event from its handler, as deep as it goes, and answers how deep it went: in the end
//! there must be an error for want of stack, and no overflow.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, demo::Hello, install, raise};

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    match raise(&Hello { number: hello.number + 1, core: hello.core }) {
        Ok(depth) => depth,
        Err(Error::OutOfStack) => hello.number,
        // An answer that no depth has.
        Err(_) => u64::MAX,
    }
}
