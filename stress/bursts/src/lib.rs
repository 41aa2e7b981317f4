//! Fails on a strand of its own, in the way that the number of `Demo.Hello` says, while others of its strands
//! compute, sleep and wait: all must go.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::black_box;

use spindle::{Error, demo::Hello, install, strand};

/// An hour, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    match burst(hello.number) {
        Ok(()) => hello.number + 1,
        Err(_) => u64::MAX,
    }
}

fn burst(way: u64) -> Result<(), Error> {
    strand::spawn(|| {
        loop {
            core::hint::spin_loop();
        }
    })?;
    let sleeper = strand::spawn(|| strand::sleep(HOUR).is_ok())?;
    strand::spawn(move || sleeper.join().is_ok())?;
    strand::spawn(move || match way {
        0 => panic!("a strand gives up"),
        1 => deep(0),
        _ => 7 / black_box(0),
    })?;
    Ok(())
}

fn deep(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    deep(depth + 1) + room[depth as usize % 64]
}
