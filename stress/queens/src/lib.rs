//! Parallel jobs over `forkjoin` whose answers are known. `Demo.Hello` with a number says which: the last three
//! digits are the job, what stands before them is the number of workers, or nothing for one on each core.
//!
//! - 1 to 16: in how many ways so many queens stand on a board of that size and none attacks another;
//! - 100 and more: so many thousand values are sorted; answers how many came out in order.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod sort;

use alloc::sync::Arc;
use core::ops::Range;

use forkjoin_interface::{Pool, Worker};
use spindle::{Error, demo::Hello, handler};

/// Installs one handler, which makes a pool for each job.
pub fn start() -> Result<(), Error> {
    handler(|hello: &Hello| {
        let done = work((hello.number / 1_000) as usize, hello.number % 1_000);
        done.unwrap_or_else(|error| u64::MAX - error as u64)
    })
    .install()?;
    Ok(())
}

fn work(workers: usize, job: u64) -> Result<u64, Error> {
    let pool = if workers == 0 { Pool::new()? } else { Pool::with_workers(workers)? };
    let answer = match job {
        1..=16 => pool.run(move |worker| queens(worker, job as u32)),
        100.. => pool.run(move |worker| sort::sort(worker, job as usize * 1_000)),
        _ => Err(Error::BadArgument),
    };
    pool.end()?;
    answer
}

/// A task for each few of the places that the first two queens can have.
fn queens(worker: &Worker, n: u32) -> Result<u64, Error> {
    let part =
        move |_: &Worker, places: Range<usize>| Ok(places.map(|place| beginning_with(n, place as u32)).sum());
    worker.reduce(0..(n * n) as usize, 2, &Arc::new(part), |one: u64, other| one + other)
}

/// The solutions with the first two queens at that place.
fn beginning_with(n: u32, place: u32) -> u64 {
    let board = Board { all: (1 << n) - 1, columns: 0, rising: 0, falling: 0 };
    let Some(board) = board.with(1 << (place / n)) else { return 0 };
    if n == 1 {
        return 1;
    }
    board.with(1 << (place % n)).map_or(0, Board::solutions)
}

/// Some rows of a board, a queen in each: which columns of the next row they attack, and how.
#[derive(Clone, Copy)]
struct Board {
    all: u32,
    columns: u32,
    rising: u32,
    falling: u32,
}

impl Board {
    /// With a queen in that column of the next row, unless it is attacked.
    fn with(self, queen: u32) -> Option<Self> {
        let Self { all, columns, rising, falling } = self;
        if (columns | rising | falling) & queen != 0 {
            return None;
        }
        Some(Self {
            all,
            columns: columns | queen,
            rising: (rising | queen) << 1,
            falling: (falling | queen) >> 1,
        })
    }

    /// In how many ways the other rows can be filled.
    fn solutions(self) -> u64 {
        if self.columns == self.all {
            return 1;
        }
        let mut free = self.all & !(self.columns | self.rising | self.falling);
        let mut count = 0;
        while free != 0 {
            let queen = free & free.wrapping_neg();
            free ^= queen;
            count += self.with(queen).map_or(0, Self::solutions);
        }
        count
    }
}
