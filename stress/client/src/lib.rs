//! Answers `Demo.Hello` with what the spindle `server` says: by the number it is chosen what that is asked. What
//! goes wrong is answered as a number too.
#![no_std]
#![forbid(unsafe_code)]

use server_interface::{Add, AddToAll, AskAll, IsOdd, Open, code};
use spindle::{Error, demo::Hello, handler, install, post, raise};

/// Installs its handlers.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    handler(|open: &Open| open.number * 2).key(|open| &open.number, 21).install()?;
    // Those to which nobody is invited.
    match install(|add: &Add| add.a) {
        Err(Error::Denied) => Ok(()),
        _ => Err(Error::Failed),
    }
}

fn answer(hello: &Hello) -> u64 {
    let answer = match hello.number {
        1_000 => all_words(),
        1_001 => raise(&IsOdd { number: 7 }).map(u64::from),
        1_002 => raise(&IsOdd { number: 8 }).map(u64::from),
        1_003 => raise(&AskAll { number: 1_003 }),
        1_004 => raise(&Open { number: 20 }),
        1_005 => raise(&Open { number: 21 }),
        1_006 => install(|open: &Open| open.number * 3).map(|_| 0),
        1_007 => post(&Add { a: 1, b: 2 }).map(|()| 0),
        number => raise(&Add { a: number, b: 1 }),
    };
    answer.unwrap_or_else(code)
}

/// How many of the words come back right.
fn all_words() -> Result<u64, Error> {
    let words = core::array::from_fn(|at| at as u64 * 3);
    let page = raise(&AddToAll { words, number: 5 })?;
    let right = page
        .words
        .iter()
        .enumerate()
        .filter(|(at, word)| **word == if *at < 31 { *at as u64 * 3 } else { 0 } + 5);
    Ok(right.count() as u64)
}
