//! What must hold whatever is done to the scheduler, looked at between the turns of the cores.
//!
//! Some of it holds at every moment at which no core is between two strands; the rest within so many rounds,
//! in each of which every core has had a turn: an interrupt that was sent has struck.

use std::sync::Arc;

use sched::{Machine, Priority, State, Strand};

use crate::machine::{Rest, Sim, World};

/// Rounds within which what must be mended is mended.
pub const PATIENCE: u32 = 4;
/// The longest round, in nanoseconds.
pub const LONGEST_ROUND_NS: u64 = 3_000_000;

/// What is remembered of a strand from round to round.
#[derive(Clone, Default)]
struct Past {
    exiled: u32,
    overslept: u32,
    /// For how long it has waited while an equal had its core, where, and how often it had had one before.
    waited_ns: u64,
    place: Option<(usize, Priority, u64)>,
}

/// And of a core.
#[derive(Clone, Default)]
struct CorePast {
    lazy: u32,
    inverted: u32,
}

/// The laws, and what has come close to breaking them.
pub struct Laws {
    strands: Vec<Past>,
    cores: Vec<CorePast>,
    /// How often something was looked at that can be broken.
    pub looks: u64,
}

impl Laws {
    pub fn new(strands: usize, cores: usize) -> Self {
        Self { strands: vec![Past::default(); strands], cores: vec![CorePast::default(); cores], looks: 0 }
    }

    /// `deadlines` say until when a strand waits, if it waits with one; `round_ns` is what has passed.
    pub fn check(
        &mut self,
        world: &World,
        strands: &[Arc<Strand<Sim>>],
        deadlines: &[Option<u64>],
        round_ns: u64,
    ) -> Result<(), String> {
        let scheduler = Sim::scheduler();
        let running: Vec<Option<&Arc<Strand<Sim>>>> = (0..self.cores.len())
            .map(|core| {
                strands.iter().find(|strand| strand.state() == State::Running && strand.core() == core)
            })
            .collect();
        for (core, wires) in world.cores.iter().enumerate() {
            let here = |state| {
                strands.iter().filter(|strand| strand.state() == state && strand.core() == core).count()
            };
            let part = scheduler.core(core).expect("it was added");
            let (queued, runs) = (here(State::Runnable), here(State::Running));
            if part.waiting() != queued {
                return Err(format!(
                    "{} are in the queue of core {core}, {queued} should be",
                    part.waiting()
                ));
            }
            let may_run = usize::from(wires.rest.get() == Rest::Computing);
            if runs != may_run {
                return Err(format!("{runs} strands run on core {core}, which is {:?}", wires.rest.get()));
            }
        }
        for (number, strand) in strands.iter().enumerate() {
            let past = &mut self.strands[number];
            let (core, affinity) = (strand.core(), strand.affinity());
            let is_out = !affinity.has(core);
            match strand.state() {
                State::Runnable if is_out => {
                    return Err(format!("strand {number} waits for core {core}, where it must not run"));
                }
                State::Running if is_out => {
                    past.exiled += 1;
                    if past.exiled > PATIENCE {
                        return Err(format!("strand {number} stays on core {core}, where it must not run"));
                    }
                }
                _ => past.exiled = 0,
            }
            let is_late = deadlines[number].is_some_and(|deadline| deadline <= world.now.get());
            past.overslept = if strand.state() == State::Blocked && is_late { past.overslept + 1 } else { 0 };
            if past.overslept > PATIENCE {
                return Err(format!("strand {number} sleeps past its deadline"));
            }
            let place =
                (strand.state() == State::Runnable).then(|| (core, strand.priority(), strand.switches()));
            if past.place != place {
                (past.place, past.waited_ns) = (place, 0);
            }
            let Some((core, priority, _)) = place else { continue };
            self.looks += 1;
            if running[core].is_some_and(|running| running.priority() == priority) {
                past.waited_ns += round_ns;
                let slice = priority.quantum_ns() + 3 * LONGEST_ROUND_NS;
                if past.waited_ns > strands.len() as u64 * slice {
                    return Err(format!("strand {number} starves among equals"));
                }
            }
        }
        for core in 0..self.cores.len() {
            let queued = || strands.iter().filter(|strand| strand.state() == State::Runnable);
            let best = queued().filter(|strand| strand.core() == core).map(|strand| strand.priority()).max();
            let is_inverted = match (running[core], best) {
                (Some(running), Some(best)) => best > running.priority(),
                (None, Some(_)) => true,
                _ => false,
            };
            let past = &mut self.cores[core];
            past.inverted = if is_inverted { past.inverted + 1 } else { 0 };
            if past.inverted > PATIENCE {
                return Err(format!("the most urgent strand that waits for core {core} does not get it"));
            }
            let is_idle = world.cores[core].rest.get() == Rest::Halted;
            let is_lazy = is_idle && queued().any(|strand| strand.affinity().has(core));
            past.lazy = if is_lazy { past.lazy + 1 } else { 0 };
            if past.lazy > PATIENCE {
                return Err(format!("core {core} halts while a strand waits that it may run"));
            }
        }
        self.check_most_urgent(strands, &running)
    }

    /// Whoever is more urgent than all others runs: elsewhere than where it waits, if need be.
    fn check_most_urgent(
        &self,
        strands: &[Arc<Strand<Sim>>],
        running: &[Option<&Arc<Strand<Sim>>>],
    ) -> Result<(), String> {
        let runnable =
            || strands.iter().filter(|strand| matches!(strand.state(), State::Runnable | State::Running));
        let Some(best) = runnable().max_by_key(|strand| strand.priority()) else { return Ok(()) };
        let is_alone = runnable().filter(|strand| strand.priority() == best.priority()).count() == 1;
        let waits = best.state() == State::Runnable && running[best.core()].is_none();
        let is_patient = self.cores[best.core()].inverted <= PATIENCE;
        if is_alone && waits && !is_patient { Err("the most urgent of all waits".into()) } else { Ok(()) }
    }
}
