//! Two strands of `cthreads` that play a ball to each other, as often as they are told to: for measuring.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cthreads_interface::{Condition, Mutex, fork};
use spindle::{Error, demo::Hello, handler};

/// Installs one handler: so many round trips, each a signal and a wait of both.
pub fn start() -> Result<(), Error> {
    handler(|hello: &Hello| play(hello.number).unwrap_or_else(|error| u64::MAX - error as u64)).install()?;
    Ok(())
}

fn play(times: u64) -> Result<u64, Error> {
    let (mutex, ball, wall) = (Mutex::new()?, Condition::new()?, Condition::new()?);
    // How often the ball has been played: even, it is the player's turn.
    let count = Arc::new(AtomicU64::new(0));
    let strand = |parity: u64, own: Condition, other: Condition| {
        let count = count.clone();
        move || -> Result<(), Error> {
            mutex.lock()?;
            for turn in 0..times {
                while count.load(Relaxed) != 2 * turn + parity {
                    own.wait(mutex)?;
                }
                count.store(2 * turn + parity + 1, Relaxed);
                other.signal()?;
            }
            mutex.unlock()
        }
    };
    let player = fork("player", strand(0, ball, wall))?;
    let partner = fork("partner", strand(1, wall, ball))?;
    player.join()??;
    partner.join()??;
    mutex.end()?;
    ball.end()?;
    wall.end()?;
    Ok(count.load(Relaxed))
}
