//! Loops for ever in its handler of `Demo.Hello` for one number, without a time bound and without a call,
//! and panics for another: those that loop must be found and cut wherever they are.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::spin_loop;

use spindle::{Error, demo::Hello, install};

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    match hello.number {
        13 => panic!("13 is an unlucky number"),
        666 => loop {
            spin_loop();
        },
        number => number + 1,
    }
}
