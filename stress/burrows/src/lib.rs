//! Digs down to the very end of its stack in its handler of `Demo.Hello`, so slowly that interrupts
//! find it there: they must not need its stack.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::{black_box, spin_loop};

use spindle::{Error, demo::Hello, install};

/// How long it lingers at each depth, in turns of a loop: asking for the time would need stack.
const TURNS: u32 = 1_000;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| dig(hello.number))?;
    Ok(())
}

/// Does not end, though the compiler cannot know.
fn dig(depth: u64) -> u64 {
    for _ in 0..black_box(TURNS) {
        spin_loop();
    }
    let below = if black_box(true) { dig(black_box(depth + 1)) } else { 0 };
    below + black_box(1)
}
