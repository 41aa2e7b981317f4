//! The strands of each core's dispatcher, which deliver what was posted for that core: asynchronous
//! handlers and raises. See [`dispatcher::post`] for what they do, and [`sched::workers`] for how many
//! there are.
//!
//! Each stays on its core and has normal priority: a post never takes the core from its raiser, and what
//! was posted shares the core evenly with all else of normal priority that is there. An idle core
//! begins at once, and a sleeping one is kicked; on a busy one a delivery waits for the end of a slice
//! ([`quantum_ns`](sched::Priority::quantum_ns)) for each strand that waits before it. Work that cannot wait for that is
//! not posted.

use core::fmt;

use dispatcher::epoch::MOST_CORES;
use sched::{
    Machine, Workers,
    workers::{FEWEST_WORKERS, PREFIX},
};

use super::{Cpu, spawn::STACK_SIZE};
use crate::memory::Stack;

static WORKERS: [Workers<Cpu>; MOST_CORES] = [const { Workers::new() }; MOST_CORES];

/// How often to look whether the workers have come to rest, in nanoseconds.
const LOOK_NS: u64 = 50_000;

/// There are not as many workers as there must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoWorkers {
    /// The core that lacks them.
    pub core: usize,
}

impl fmt::Display for NoWorkers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no memory for the workers of core {}: give the machine more", self.core)
    }
}

impl core::error::Error for NoWorkers {}

/// Starts the workers of every core. Once, on a strand, when all cores run strands.
///
/// # Errors
///
/// If there is no memory for their stacks.
pub fn start() -> Result<(), NoWorkers> {
    let mut cores = cores();
    let lacking = cores.find(|core| WORKERS[*core].start(*core, make_stack) < FEWEST_WORKERS);
    lacking.map_or(Ok(()), |core| Err(NoWorkers { core }))
}

/// Something was put on core `core`'s agenda while a worker of it slept. From anywhere; does not wait.
pub fn summon(core: usize) {
    WORKERS[core].summon();
}

/// The workers of core `core`.
#[cfg_attr(not(feature = "ktest"), expect(dead_code, reason = "for the console and for tests"))]
pub fn of(core: usize) -> &'static Workers<Cpu> {
    &WORKERS[core]
}

/// Waits until nothing is being delivered, and those workers who were too many are gone to the last byte.
/// On a strand that is no worker.
pub fn settle() {
    let is_at_rest = |core: usize| WORKERS[core].count() == 0 || WORKERS[core].is_at_rest();
    let alive = || {
        let strands = Cpu::scheduler().strands();
        strands.iter().filter(|strand| strand.name().starts_with(PREFIX)).count()
    };
    while !cores().all(is_at_rest) || alive() > cores().map(|core| WORKERS[core].count()).sum() {
        sched::sleep_ns::<Cpu>(LOOK_NS);
    }
}

fn cores() -> impl Iterator<Item = usize> {
    Cpu::scheduler().cores().map(sched::Core::id)
}

fn make_stack() -> Option<Stack> {
    Stack::new(STACK_SIZE).ok()
}
