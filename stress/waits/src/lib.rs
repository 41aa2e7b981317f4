//! Strands that wait for each other by [`spindle::sync`]. `Demo.Hello` with a number makes so many, who count under one
//! mutex; the answer is what they counted to. With zero the spindle fails while one has the mutex and others wait.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{sync::Arc, vec::Vec};

use spindle::{
    Error,
    demo::Hello,
    install,
    strand::{self, Builder},
    sync::{Channel, Mutex, Semaphore},
};

/// So often each of them counts.
const TURNS: u64 = 50;
/// So many wait when it fails.
const WAITERS: u64 = 6;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| {
        let done = if hello.number == 0 { fail() } else { count(hello.number) };
        done.unwrap_or_else(|error| u64::MAX - error as u64)
    })?;
    Ok(())
}

/// Each begins when it is let, counts under the mutex, gives way with it in its hand, and says when it is through.
fn count(strands: u64) -> Result<u64, Error> {
    let (total, gate, through) =
        (Arc::new(Mutex::new(0)), Arc::new(Semaphore::new(0)), Arc::new(Channel::new(1)));
    let mut counters = Vec::new();
    for number in 0..strands {
        let (total, gate, through) = (total.clone(), gate.clone(), through.clone());
        counters.push(Builder::new("counter").spawn(move || -> Result<(), Error> {
            gate.wait();
            for _ in 0..TURNS {
                let mut total = total.lock();
                let seen = *total;
                strand::yield_now()?;
                *total = seen + 1;
            }
            // There is room for one.
            through.send(number).map_err(|_| Error::Closed)
        })?);
    }
    (0..strands).for_each(|_| gate.signal());
    let mut numbers = 0;
    for _ in 0..strands {
        numbers += through.receive().map_err(|_| Error::Closed)?;
    }
    for counter in counters {
        counter.join()??;
    }
    let total = *total.lock();
    Ok(if numbers == strands * (strands - 1) / 2 { total } else { numbers })
}

/// One has the mutex and computes; others wait for it; and the one who was asked panics.
fn fail() -> Result<u64, Error> {
    let mutex = Arc::new(Mutex::new(()));
    let held = Arc::new(Semaphore::new(0));
    let (own, is_held) = (mutex.clone(), held.clone());
    Builder::new("holder").spawn(move || {
        let guard = own.lock();
        is_held.signal();
        while strand::is_terminated() == Ok(false) {
            core::hint::spin_loop();
        }
        drop(guard);
    })?;
    held.wait();
    for _ in 0..WAITERS {
        let mutex = mutex.clone();
        Builder::new("waiter").spawn(move || drop(mutex.lock()))?;
    }
    strand::sleep(2_000_000)?;
    panic!("with one lock held, and {WAITERS} who wait for it")
}
