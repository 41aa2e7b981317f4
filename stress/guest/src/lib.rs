//! Handles `Demo.Guarded` on its owner's terms, and says which it has met: there may be no filter, only
//! even numbers arrive, and when one makes it loop for ever, the owner's bound ends it.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::spin_loop;

use spindle::{Error, demo::Guarded, filter, install, println};

/// Asks for more than it may have, and then for what it may.
pub fn start() -> Result<(), Error> {
    match filter(|guarded: &mut Guarded| guarded.number).install() {
        Err(error) => println!("no filter, then: {error}")?,
        Ok(_) => return Err(Error::Failed),
    }
    install(answer)?;
    Ok(())
}

fn answer(guarded: &Guarded) -> u64 {
    assert!(guarded.number.is_multiple_of(2), "an odd number got through");
    while guarded.number == 1_000 {
        spin_loop();
    }
    guarded.number + 1
}
