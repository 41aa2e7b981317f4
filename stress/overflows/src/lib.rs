//! Overflows its stack in its handler of `Demo.Hello` when the number is [`UNLUCKY`], and answers all
//! others: the guard page must catch it, a raiser must get an error, and the domain must go.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::black_box;

use spindle::{Error, demo::Hello, install};

/// The number that it cannot bear.
pub const UNLUCKY: u64 = 13;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| if hello.number == UNLUCKY { dig(0) } else { hello.number + 1 })?;
    Ok(())
}

/// Does not end, though the compiler cannot know.
fn dig(depth: u64) -> u64 {
    let ballast = black_box([depth; 16]);
    let below = if black_box(true) { dig(depth + 1) } else { 0 };
    below + ballast[(depth % 16) as usize]
}
