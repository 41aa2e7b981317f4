//! Exports events of its own. `Server.Add` panics at an unlucky number; `Server.AskAll` raises `Demo.Hello`, so that
//! with a handler of that which raises it again the two call each other without end.
#![no_std]
#![forbid(unsafe_code)]

use server_interface::{Add, AddToAll, AskAll, IsOdd, Open, Page, UNLUCKY, code};
use spindle::{Error, demo::Hello, export, handler, raise};

/// Exports them all, and tries what must not be.
pub fn start() -> Result<(), Error> {
    let offset = 0;
    export(move |add: &Add| {
        assert!(add.a != UNLUCKY, "cannot add {}", add.a);
        add.a + add.b + offset
    })?;
    export(|add: &AddToAll| {
        let mut words = [add.number; 32];
        words.iter_mut().zip(add.words).for_each(|(sum, word)| *sum += word);
        Page { words }
    })?;
    export(|number: &IsOdd| number.number % 2 == 1)?;
    export(|ask: &AskAll| raise(&Hello { number: ask.number, core: 0 }).unwrap_or_else(code))?;
    handler(|open: &Open| open.number).export_open()?;
    // Each name has one event: neither this one's own nor the kernel's can be made again.
    if export(|add: &Add| add.a) == Err(Error::Exists)
        && export(|hello: &Hello| hello.number) == Err(Error::Exists)
    {
        Ok(())
    } else {
        Err(Error::Failed)
    }
}
