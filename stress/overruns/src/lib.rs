//! Its handler of `Demo.Hello` has a time bound and does not keep it when the number is unlucky: in code of
//! its own, in calls of the kernel, in a raise, or in its guard. It must be cut within some ticks.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::spin_loop;

use spindle::{
    Error, clock,
    demo::{Heard, Hello},
    handler, raise, strand,
};

/// How long it says that it will run, in nanoseconds. A core that is virtual may itself be off for tens of
/// milliseconds, which nobody in it can see.
const BOUND_NS: u64 = 100_000_000;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    handler(answer).when(looks_long).bounded_ns(BOUND_NS).install()?;
    Ok(())
}

fn looks_long(hello: &Hello) -> bool {
    while hello.number == 17 {
        spin_loop();
    }
    true
}

fn answer(hello: &Hello) -> u64 {
    match hello.number {
        // Never calls anybody: only a tick can see it.
        13 => loop {
            spin_loop();
        },
        // Is in the kernel most of the time, where it is not cut; but each call is a point at which it is.
        14 => loop {
            let _ = clock::now();
        },
        15 => loop {
            let _ = raise(&Heard { core: hello.core });
        },
        // Would be late for certain, if it could.
        16 => match strand::sleep(10 * BOUND_NS) {
            Err(error) => error as u64,
            Ok(()) => 0,
        },
        number => number + 1,
    }
}
