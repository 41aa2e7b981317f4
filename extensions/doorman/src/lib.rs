//! Handles `Demo.Hello` on conditions: some of it at once, in its place and in time, and some of it later.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, OnFull, Order, Place, Posting, demo::Hello, handler, println};

/// Installs both handlers: the kernel decides at each raise whom to call.
pub fn start() -> Result<(), Error> {
    // One in a thousand is told about when there is time: whoever raises does not wait for it.
    let later = Posting { place: Place::Here, capacity: 16, on_full: OnFull::Drop };
    handler(tell).when(|hello| hello.number % 1_000 == 0).posted(later).install()?;
    // On core 0 the last word is ours, and we are quick about it.
    handler(answer).key(|hello| &hello.core, 0).order(Order::Last).bounded_ns(500_000_000).install()?;
    Ok(())
}

/// Runs on a strand of the kernel's.
fn tell(hello: &Hello) -> u64 {
    let _ = println!("somebody on core {} has come to {}", hello.core, hello.number);
    hello.number
}

/// Runs on the strand of whoever raises, on core 0 only.
fn answer(hello: &Hello) -> u64 {
    hello.number + 1
}
