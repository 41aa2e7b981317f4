//! Leaves strands behind that compute, sleep, wait for a wake-up and wait for each other: unloading must end them
//! all. Answers `Demo.Hello` with how many have seen that they should end.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{Error, demo::Hello, install, strand};

/// An hour, in nanoseconds: longer than any test waits.
const HOUR: u64 = 3_600_000_000_000;

static SEEN: AtomicU64 = AtomicU64::new(0);

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

/// Makes so many strands of each kind, for core 0.
fn answer(hello: &Hello) -> u64 {
    let count = if hello.core == 0 { hello.number } else { 0 };
    for _ in 0..count {
        if leave().is_err() {
            return u64::MAX;
        }
    }
    SEEN.load(Ordering::Relaxed)
}

fn leave() -> Result<(), Error> {
    strand::spawn(|| {
        while strand::is_terminated() == Ok(false) {
            let _ = strand::yield_now();
        }
        SEEN.fetch_add(1, Ordering::Relaxed);
    })?;
    strand::spawn(|| ends(strand::sleep(HOUR)))?;
    strand::spawn(|| {
        let mut result = Ok(());
        while result.is_ok() {
            result = strand::block();
        }
        ends(result);
    })?;
    let sleeper = strand::spawn(|| ends(strand::sleep(HOUR)))?;
    strand::spawn(move || ends(sleeper.join()))?;
    Ok(())
}

fn ends<T>(result: Result<T, Error>) {
    if result.is_err() {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
}
