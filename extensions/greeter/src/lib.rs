//! Greets whoever raises `Demo.Hello`, and says how often on each core it was the first time.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String};
use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{Error, clock, demo::Hello, install, println, processor};

/// Bit *n* is set once core *n* was greeted.
static GREETED: AtomicU64 = AtomicU64::new(0);

/// The kernel calls this when the spindle is linked, before anybody else can call it.
pub fn start() -> Result<(), Error> {
    install(greet)?;
    println!("ready to greet {} cores", processor::cores()?)
}

/// The handler: runs on the strand and on the core of whoever raises, on many cores at once.
fn greet(hello: &Hello) -> u64 {
    let core = 1 << (hello.core % 64);
    if GREETED.fetch_or(core, Ordering::Relaxed) & core == 0 {
        // The raiser does not wait for our manners: a console that is gone is no reason to fail.
        let _ = println!("hello, core {}, {}", hello.core, since_boot());
    }
    hello.number + 1
}

/// The time in words, from the spindle's own heap.
fn since_boot() -> String {
    match clock::now() {
        Ok(nanoseconds) => format!("{} ms after boot", nanoseconds / 1_000_000),
        Err(error) => format!("at an unknown time: {error}"),
    }
}
