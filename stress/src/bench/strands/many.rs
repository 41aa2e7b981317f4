//! A great many strands that live at the same time.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use sched::{Builder, Handle, State, block, unblock, yield_now};

use super::Weaver;

/// What is said if nothing is.
pub const COUNT: u32 = 100_000;
/// The stack of each, in bytes: enough for a strand of the kernel's own and an interrupt upon it.
pub const STACK_BYTES: usize = 16 * 1024;

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How many strands there were.
    pub count: u32,
    /// How many of them have run to their end.
    pub ended: u32,
    /// Bytes of memory for each while it was parked, its stack and page tables included.
    pub bytes: usize,
    /// Ticks for each to be made and to park, and to be woken, to end and to be joined.
    pub ticks_to_park: u64,
    /// See above.
    pub ticks_to_end: u64,
    /// How many stacks were mapped anew for as many strands again, one after the other.
    pub fresh_stacks: usize,
}

/// For tools: one line of JSON.
impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, ended, bytes, ticks_to_park, ticks_to_end, fresh_stacks } = self;
        write!(
            out,
            r#"{{"many":{count},"ended":{ended},"bytes":{bytes},"ticks_to_park":{ticks_to_park},"ticks_to_end":{ticks_to_end},"fresh_stacks":{fresh_stacks}}}"#
        )
    }
}

/// Makes `count` strands that park, wakes all, and joins them.
///
/// # Errors
///
/// Why there were not so many.
pub fn run<W: Weaver>(kernel: &'static W, count: u32) -> Result<Outcome, String> {
    let before = kernel.bytes_in_use();
    let mut strands: Vec<Handle<W::Machine>> = Vec::new();
    strands
        .try_reserve_exact(count as usize)
        .map_err(|_| String::from("no memory for so many: ask for fewer"))?;
    let ended = Arc::new(AtomicU32::new(0));
    let begun = kernel.ticks();
    let mut outcome = Ok(());
    for _ in 0..count {
        let ended = ended.clone();
        let entry = move || {
            block::<W::Machine>();
            // Relaxed: whoever looks has joined.
            ended.fetch_add(1, Ordering::Relaxed);
        };
        match kernel.weave(Builder::new("one of many"), Some(STACK_BYTES), entry) {
            Ok(strand) => strands.push(strand),
            Err(why) => {
                outcome = Err(alloc::format!("strand {}: {why}", strands.len()));
                break;
            }
        }
    }
    for strand in &strands {
        while strand.strand().state() != State::Blocked {
            yield_now::<W::Machine>();
        }
    }
    let parked = kernel.ticks();
    let bytes = kernel.bytes_in_use().saturating_sub(before) / (count as usize).max(1);
    let waking = kernel.ticks();
    strands.iter().for_each(|strand| unblock(strand.strand()));
    strands.into_iter().for_each(Handle::join);
    let over = kernel.ticks();
    kernel.settle();
    outcome?;
    Ok(Outcome {
        count,
        ended: ended.load(Ordering::Relaxed),
        bytes,
        ticks_to_park: parked.wrapping_sub(begun) / u64::from(count.max(1)),
        ticks_to_end: over.wrapping_sub(waking) / u64::from(count.max(1)),
        fresh_stacks: reused(kernel)?,
    })
}

/// Makes and joins strands one after the other; how many stacks that took.
fn reused<W: Weaver>(kernel: &'static W) -> Result<usize, String> {
    let before = kernel.stacks();
    for _ in 0..1000 {
        let core = kernel.this_core() as usize;
        kernel.weave(Builder::new("one of many").on_core(core), Some(STACK_BYTES), || ())?.join();
    }
    Ok(kernel.stacks().saturating_sub(before))
}
