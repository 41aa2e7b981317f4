//! Strands that live in whichever thread package is there. `Demo.Hello` with a number makes so many, who yield, sleep
//! and compute; the answer is the sum of what they return, 1 by the first, 2 by the second. With [`ASK`] for the core
//! each asks the package for something first, and does not mind what comes of it; [`ASK_ONLY`] only asks.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use spindle::{
    Error, clock,
    demo::Hello,
    install, raise,
    strand::{self, Builder},
};
use tenants_interface::{Ask, Scheduler};

/// The core that stands for a question.
const ASK: u32 = 1_000;
/// The core that stands for a question of nobody's, whose answer is the answer.
const ASK_ONLY: u32 = 1_001;
/// So often each yields, sleeps and computes.
const TURNS: u64 = 20;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| {
        let done = match hello.core {
            ASK_ONLY => raise(&Ask { number: hello.number }),
            core => live(hello.number, core == ASK),
        };
        done.unwrap_or_else(|error| u64::MAX - error as u64)
    })?;
    Ok(())
}

fn live(count: u64, has_question: bool) -> Result<u64, Error> {
    let package = raise(&Scheduler { reserved: 0 });
    let mut strands = Vec::new();
    for number in 1..=count {
        let one = move || turns(number, has_question);
        // Where there is no package any more they live by themselves.
        let builder = Builder::new("tenant");
        let housed = package.and_then(|package| builder.package(package).spawn(one));
        strands.push(housed.or_else(|_| builder.spawn(one))?);
    }
    strands.into_iter().map(|strand| strand.join()?).sum()
}

fn turns(number: u64, has_question: bool) -> Result<u64, Error> {
    if has_question {
        let _ = raise(&Ask { number });
    }
    for turn in 0..TURNS {
        match (turn + number) % 3 {
            0 => strand::yield_now()?,
            1 => strand::sleep(1_000 * turn)?,
            _ => {
                let until = clock::now()? + 20_000;
                while clock::now()? < until {}
            }
        }
    }
    Ok(number)
}
