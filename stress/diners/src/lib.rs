//! Uses `cthreads` in every way. `Demo.Hello` with a number says what to do; the answer is what came of it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use cthreads_interface::{Condition, Mutex, fork};
use spindle::{Error, demo::Hello, handler, strand};

/// So many diners, who eat so often.
const DINERS: usize = 5;
const MEALS: u64 = 20;
/// So many values go through the buffer.
const VALUES: u64 = 200;

/// Installs one handler; it works on a strand of whoever raises, and forks others.
pub fn start() -> Result<(), Error> {
    handler(|hello: &Hello| {
        let done = match hello.number {
            0 => dine(),
            1 => pass(),
            2 => misuse(),
            number => count(number),
        };
        done.unwrap_or_else(|error| u64::MAX - error as u64)
    })
    .install()?;
    Ok(())
}

/// Each takes the fork of the lower number first, so that nobody starves with one in the hand.
fn dine() -> Result<u64, Error> {
    let forks = (0..DINERS).map(|_| Mutex::new()).collect::<Result<Vec<_>, _>>()?;
    let eaten = Arc::new(AtomicU64::new(0));
    let mut diners = Vec::new();
    for seat in 0..DINERS {
        let (one, other) = (seat, (seat + 1) % DINERS);
        let (first, second) = (forks[one.min(other)], forks[one.max(other)]);
        let eaten = eaten.clone();
        diners.push(fork("diner", move || -> Result<(), Error> {
            for _ in 0..MEALS {
                first.lock()?;
                strand::yield_now()?;
                second.lock()?;
                second.unlock()?;
                first.unlock()?;

                eaten.fetch_add(1, SeqCst);
            }
            Ok(())
        })?);
    }
    for diner in diners {
        diner.join()??;
    }
    for fork in forks {
        fork.end()?;
    }
    Ok(eaten.load(SeqCst))
}

/// Values through a buffer of one place, by a mutex and two conditions.
fn pass() -> Result<u64, Error> {
    let (mutex, filled, emptied) = (Mutex::new()?, Condition::new()?, Condition::new()?);
    let place = Arc::new(AtomicU64::new(0));
    let to = place.clone();
    let filler = fork("filler", move || -> Result<(), Error> {
        for value in 1..=VALUES {
            mutex.lock()?;
            while to.load(SeqCst) != 0 {
                emptied.wait(mutex)?;
            }
            to.store(value, SeqCst);
            filled.signal()?;
            mutex.unlock()?;
        }
        Ok(())
    })?;
    let emptier = fork("emptier", move || -> Result<u64, Error> {
        let mut sum = 0;
        for _ in 0..VALUES {
            mutex.lock()?;
            while place.load(SeqCst) == 0 {
                filled.wait(mutex)?;
            }
            sum += place.swap(0, SeqCst);
            emptied.broadcast()?;
            mutex.unlock()?;
        }
        Ok(sum)
    })?;
    filler.join()??;
    let sum = emptier.join()??;
    mutex.end()?;
    filled.end()?;
    emptied.end()?;
    Ok(sum)
}

/// What must be refused is refused: the answer counts what was.
fn misuse() -> Result<u64, Error> {
    let mutex = Mutex::new()?;
    // This strand is none of its own.
    let mut refused = u64::from(mutex.lock().is_err());
    let own = fork("own", move || {
        let mut refused = u64::from(mutex.unlock() == Err(Error::Denied));
        refused += u64::from(mutex.lock().is_ok() && mutex.lock() == Err(Error::Denied));
        refused += u64::from(mutex.end() == Err(Error::Denied));
        refused + u64::from(mutex.unlock().is_ok() && mutex.unlock() == Err(Error::Denied))
    })?;
    refused += own.join()?;
    mutex.end()?;
    refused += u64::from(mutex.end() == Err(Error::BadArgument));
    Ok(refused)
}

/// So many strands that count under one mutex.
fn count(strands: u64) -> Result<u64, Error> {
    let mutex = Mutex::new()?;
    let total = Arc::new(AtomicU64::new(0));
    let mut counters = Vec::new();
    for _ in 0..strands {
        let total = total.clone();
        counters.push(fork("counter", move || -> Result<(), Error> {
            for _ in 0..50 {
                mutex.lock()?;
                let seen = total.load(SeqCst);
                strand::yield_now()?;
                total.store(seen + 1, SeqCst);
                mutex.unlock()?;
            }
            Ok(())
        })?);
    }
    for counter in counters {
        counter.join()??;
    }
    mutex.end()?;
    Ok(total.load(SeqCst))
}
