//! Gives up in its start procedure when it has installed a handler and taken memory: neither may
//! remain.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use spindle::{Error, demo::Hello, install};

/// Installs a handler, and gives up.
pub fn start() -> Result<(), Error> {
    let kept: Vec<u64> = (0..1_000).collect();
    install(move |hello: &Hello| kept[hello.number as usize % kept.len()])?;
    Err(Error::Limit)
}
