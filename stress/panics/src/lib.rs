//! Panics in its handler of `Demo.Hello` when the number is [`UNLUCKY`], and answers all others: a
//! raiser must get an error then, and the domain must go.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, demo::Hello, install};

/// The number that it cannot bear.
pub const UNLUCKY: u64 = 13;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    assert!(hello.number != UNLUCKY, "{UNLUCKY} is an unlucky number, said core {}", hello.core);
    hello.number + 1
}
