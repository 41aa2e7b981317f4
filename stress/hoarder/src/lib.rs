//! Keeps as many KiB as the number says, and answers how many it got. Asked for [`UNLUCKY`] it does not
//! ask whether it may: an allocation that cannot fail and is past the domain's quota ends the domain.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{vec, vec::Vec};

use spindle::{Error, demo::Hello, install};

/// The number for which it takes more than it may.
pub const UNLUCKY: u64 = 13;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| if hello.number == UNLUCKY { grab() } else { ask(hello.number) })?;
    Ok(())
}

/// Takes what it can get, by asking, and gives it back.
fn ask(kibibytes: u64) -> u64 {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    for got in 0..kibibytes {
        let mut block = Vec::new();
        if hoard.try_reserve(1).is_err() || block.try_reserve_exact(1024).is_err() {
            return got;
        }
        hoard.push(block);
    }
    kibibytes
}

/// Takes without asking.
fn grab() -> u64 {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1_u8; 64 << 10]);
    }
}
