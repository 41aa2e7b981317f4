//! Computes in its handler of `Demo.Hello` for as many milliseconds as the number says, and never gives
//! way: others on its core must have their turns, and unloading must wait for it.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, clock, demo::Hello, install};

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    let Ok(begun) = clock::now() else { return 0 };
    while clock::now().is_ok_and(|now| now < begun + hello.number * 1_000_000) {}
    hello.number + 1
}
