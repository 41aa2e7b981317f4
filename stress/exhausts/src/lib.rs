//! Uses its stack up to where the core has none to answer it on, and goes on asking.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use core::hint::black_box;

use spindle::{Error, demo::Hello, install, println};

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| deeper(hello.number))?;
    Ok(())
}

/// Calls the core at every depth, which says no at last. Numbers from a thousand on only write, so they
/// meet the guard page; the others allocate, too, which they cannot do without: they panic down there.
fn deeper(depth: u64) -> u64 {
    if black_box(false) {
        return depth;
    }
    let _ = black_box(println!("at {depth}"));
    if depth < 1000 {
        let _ = black_box(Box::new(depth));
    }
    // Not a tail call, so that each level keeps its frame.
    black_box(deeper(black_box(depth + 1))) + 1
}
