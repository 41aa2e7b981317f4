//! As `stays`, with a tenth of each core reserved, which its own code does not keep to.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, package::Builder};
use tenants_interface::{Queue, Stay, open_for};

static STAY: Stay = Stay::new();

/// Registers it.
pub fn start() -> Result<(), Error> {
    open_for(Builder::new("overdraws").reserve(10_000_000, 100_000_000), Queue::new(), |_, number| {
        STAY.answer(number)
    })?;
    Ok(())
}
