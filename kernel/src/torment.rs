//! The kernel, as crate `stress` torments it.

#[cfg(feature = "ktest")]
mod tests;

use alloc::{
    boxed::Box,
    string::{String, ToString},
};

use sched::Machine;
use stress::{Answer, Kernel, Level, kernel::Join};

use crate::{
    domains,
    events::{self, Raised},
    memory,
    strands::{self, Cpu, housekeeper},
};

/// This kernel.
pub struct Victim;

/// How long a torment waits before it looks again, in nanoseconds.
const PAUSE_NS: u64 = 50_000;

impl Kernel for Victim {
    fn cores(&self) -> u32 {
        Cpu::scheduler().core_count() as u32
    }

    fn this_core(&self) -> u32 {
        smp::core_id() as u32
    }

    fn spawn_on(&self, core: u32, body: Box<dyn FnOnce() + Send>) -> Result<Join, String> {
        let handle = strands::spawn_on(core as usize, "torment", body).map_err(|error| error.to_string())?;
        Ok(Box::new(move || handle.join()))
    }

    fn raise_hello(&self, number: u64, core: u32) -> Answer {
        match events::raise_hello(number, core) {
            Raised::Answered(answer) => Answer::Got(answer),
            Raised::Unanswered => Answer::Nobody,
            Raised::Failed(_) => Answer::Failed,
        }
    }

    fn heard_of(&self, core: u32) -> u64 {
        events::heard_of(core as usize)
    }

    fn load(&self, spindle: &str) -> Result<(), String> {
        domains::load(spindle).map(drop).map_err(|error| error.to_string())
    }

    fn unload(&self, spindle: &str) -> Result<(), String> {
        domains::unload(spindle).map_err(|error| error.to_string())
    }

    fn pause(&self) -> bool {
        sched::sleep_ns::<Cpu>(PAUSE_NS);
        false
    }

    fn level(&self) -> Level {
        housekeeper::settle();
        let stats = memory::stats();
        let (pool, free) = strands::participants();
        Level {
            free_frames: stats.frames.free,
            heap_bytes: stats.heap.in_use,
            participants: pool - free,
            pool,
        }
    }
}
