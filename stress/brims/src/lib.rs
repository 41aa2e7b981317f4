//! Uses its stack up in its handler of `Demo.Hello` until fewer bytes are left than the number says,
//! and computes there for many milliseconds: interrupts that come meanwhile must do no harm. Where the
//! number is odd it does so with a frame of 2 KiB more that it has not touched yet.
#![no_std]
#![forbid(unsafe_code)]

use core::{
    hint::{black_box, spin_loop},
    mem::MaybeUninit,
};

use spindle::{Error, demo::Hello, install};

/// The size of a strand's stack, of which its upper end is a multiple.
const STACK_SIZE: u64 = 64 << 10;
/// Turns of the computation: many milliseconds on any machine.
const TURNS: u64 = 2_000_000;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(|hello: &Hello| dig(hello.number) + hello.number)?;
    Ok(())
}

/// As deep as told, which the compiler cannot know. Returns 1.
fn dig(left: u64) -> u64 {
    let ballast = black_box([1_u8; 32]);
    let here = ballast.as_ptr().addr() as u64 % STACK_SIZE;
    if here < left {
        return if left % 2 == 0 { linger() } else { linger_below() };
    }
    let below = dig(left);
    below * u64::from(black_box(ballast)[0])
}

fn linger() -> u64 {
    (0..TURNS).for_each(|_| spin_loop());
    1
}

#[inline(never)]
fn linger_below() -> u64 {
    let mut room = [const { MaybeUninit::<u8>::uninit() }; 2048];
    let answer = linger();
    black_box(&mut room);
    answer
}
