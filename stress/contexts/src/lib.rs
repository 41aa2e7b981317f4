//! Tries what the number of `Demo.Hello` says, from where its core says, and answers with the number of
//! the error that came of it, or zero: the kernel compares that with its table of what may be done where.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{
    Binding, Error, OnFull, Place, Posting,
    demo::{Heard, Hello},
    filter, handler, raise, remove, remove_drained, strand,
};

/// What came of an attempt whose result is lost: of a guard, or of an asynchronous handler.
static SEEN: AtomicU64 = AtomicU64::new(NOTHING);
/// Nobody has tried since it was asked for.
const NOTHING: u64 = u64::MAX;

/// Installs a handler for each place from which something can be tried.
pub fn start() -> Result<(), Error> {
    handler(tried).key(place, 1_001).install()?;
    handler(tried).key(place, 1_002).bounded_ns(1_000_000_000).install()?;
    filter(|hello: &mut Hello| tried(hello)).key(place, 1_003).install()?;
    handler(|_: &Hello| SEEN.swap(NOTHING, Ordering::Relaxed))
        .key(place, 1_004)
        .when(|hello| {
            SEEN.store(tried(hello), Ordering::Relaxed);
            true
        })
        .install()?;
    handler(|hello: &Hello| {
        SEEN.store(tried(hello), Ordering::Relaxed);
        0
    })
    .key(place, 1_005)
    .posted(Posting { place: Place::Here, capacity: 1, on_full: OnFull::Refuse })
    .install()?;
    handler(|_: &Hello| SEEN.swap(NOTHING, Ordering::Relaxed)).key(place, 1_006).install()?;
    Ok(())
}

fn place(hello: &Hello) -> &u32 {
    &hello.core
}

fn tried(hello: &Hello) -> u64 {
    match attempt(hello.number) {
        Ok(()) => 0,
        Err(error) => error as u64,
    }
}

fn attempt(what: u64) -> Result<(), Error> {
    match what {
        0 => strand::sleep(1_000),
        1 => strand::yield_now(),
        2 => Vec::<u8>::new().try_reserve_exact(100).map_err(|_| Error::OutOfMemory),
        3 => raise(&Heard { core: u32::MAX }).map(drop),
        4 => remove(handler(|_: &Heard| 0).key(|heard| &heard.core, 0).install()?),
        5 => remove(Binding::<Hello>::INTRINSIC),
        6 => remove_drained(Binding::<Hello>::INTRINSIC),
        _ => panic!("tried too much"),
    }
}
