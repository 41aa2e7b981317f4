//! An honest thread package whose own procedure keeps the strand that asks, and its core, until it is asked for nothing.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{Error, package::Builder};
use tenants_interface::{Queue, Stay, open_for};

static STAY: Stay = Stay::new();

/// Registers it.
pub fn start() -> Result<(), Error> {
    open_for(Builder::new("stays"), Queue::new(), |_, number| STAY.answer(number))?;
    Ok(())
}
