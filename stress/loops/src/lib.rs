//! Leaves strands behind that never end: one computes, one waits for an hour again and again and does not look
//! at what comes of it, one raises an event for which its own handler computes for ever. Unloading must not wait
//! for them.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{Error, demo::Hello, install, raise, strand};

/// The number whose answer takes for ever.
pub const FOR_EVER: u64 = 13;
/// An hour, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

/// How many have begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

/// Makes the strands for number 1; says how many run for number 0.
fn answer(hello: &Hello) -> u64 {
    if hello.number == FOR_EVER {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        compute();
    }
    if hello.number == 1 && leave().is_err() {
        return u64::MAX;
    }
    BEGUN.load(Ordering::Relaxed)
}

fn leave() -> Result<(), Error> {
    strand::spawn(|| {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        compute()
    })?;
    strand::spawn(|| {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        loop {
            let _ = strand::sleep(HOUR);
        }
    })?;
    strand::spawn(|| raise(&Hello { number: FOR_EVER, core: 0 }).is_ok())?;
    Ok(())
}

fn compute() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
