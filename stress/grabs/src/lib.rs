//! Registers a hundred packages, reserves more than there is, and names cores that are not there. Answers `Demo.Hello`
//! with how many were registered, plus a thousand for each attempt that did not come out as it should.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;

use spindle::{
    Error, Strand,
    demo::Hello,
    install,
    package::{Builder, Next, Reason, ThreadPackage, Why},
};

const MILLISECOND: u64 = 1_000_000;

struct Idler;

impl ThreadPackage for Idler {
    fn resume(&self, _core: u32) -> Next {
        Next::Idle
    }

    fn checkpoint(&self, _core: u32, _strand: Strand, _why: Why) {}

    fn block(&self, _core: u32, _strand: Strand, _reason: Reason) -> Option<Strand> {
        None
    }

    fn unblock(&self, _strand: Strand) {}
}

fn refused(builder: Builder<'_>, why: Error) -> u64 {
    u64::from(builder.register(Idler) != Err(why))
}

/// Tries all of it.
pub fn start() -> Result<(), Error> {
    let long: String = "ä".repeat(1_000);
    let plain = Builder::new(&long);
    let mut wrong = refused(plain.cores(0), Error::BadArgument);
    wrong += refused(plain.cores(1 << 63), Error::BadArgument);
    wrong += refused(plain.reserve(0, 10 * MILLISECOND), Error::BadArgument);
    wrong += refused(plain.reserve(11 * MILLISECOND, 10 * MILLISECOND), Error::BadArgument);
    wrong += refused(plain.reserve(1, 1), Error::BadArgument);
    wrong += refused(plain.reserve(u64::MAX, u64::MAX), Error::BadArgument);
    wrong += refused(plain.reserve(u64::MAX, 10 * MILLISECOND), Error::BadArgument);
    wrong += refused(plain.reserve(10 * MILLISECOND, 10 * MILLISECOND), Error::Limit);
    // Half of each core, and then no second half.
    let half = plain.reserve(5 * MILLISECOND, 10 * MILLISECOND);
    let mut count = u64::from(half.register(Idler).is_ok());
    wrong += refused(half.cores(1), Error::Limit);
    while count < 100 && plain.register(Idler).is_ok() {
        count += 1;
    }
    wrong += refused(plain, Error::Limit);
    install(move |_: &Hello| count + 1_000 * wrong)?;
    Ok(())
}
