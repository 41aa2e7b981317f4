//! Parallel jobs over the package `forkjoin`: what each core executes of a job that one worker does alone, and of
//! the same job when each core has a worker.
//!
//! Each is a phase of which every core's instructions are recorded, between its marks, whoever runs there: the
//! workers, and what the kernel and the package do for them. Cores that halt execute nothing.

use alloc::{boxed::Box, format, string::String, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sched::sync::Barrier;

use super::{
    cases::Ready,
    parallel::{Interrupts, Phase, Phases},
    strands::Weaver,
};
use crate::kernel::Answer;

/// A job of the spindle `queens`.
struct Job {
    /// What it is called when one worker does it, and when each core has one.
    names: [&'static str; 2],
    number: u64,
    answer: u64,
}

const JOBS: [Job; 2] = [
    Job { names: ["13 queens alone", "13 queens"], number: 13, answer: 73_712 },
    Job { names: ["sort alone", "sort"], number: 200, answer: 200_000 },
];
/// So often a job is done by all.
const RUNS: usize = 5;
/// What stands before a job's number is the number of workers; nothing, for one on each core.
const ONE_WORKER: u64 = 1_000;
/// The package, and the application.
const SPINDLES: [&str; 2] = ["forkjoin", "queens"];

/// Runs each job by one worker and by one on each core; `tell` hears of each phase.
///
/// # Errors
///
/// Which spindle or strand could not be had, or which answer was wrong.
pub fn run<W: Weaver>(kernel: &'static W, tell: &mut dyn FnMut(&Phase)) -> Result<(), String> {
    SPINDLES.iter().try_for_each(|spindle| kernel.load(spindle))?;
    let mut phases = Phases { kernel, number: 0, tell };
    let done = JOBS.iter().try_for_each(|job| {
        // Memory that is needed for the first time is not what is measured.
        check(job, raise(kernel, job.number))?;
        phase(&mut phases, job, job.names[0], ONE_WORKER + job.number)?;
        // Who gets which task depends on how fast the cores are just then: so more than once.
        (0..RUNS).try_for_each(|_| phase(&mut phases, job, job.names[1], job.number))
    });
    SPINDLES.iter().rev().try_for_each(|spindle| kernel.unload(spindle))?;
    done
}

/// One core asks for the job, and all wait until it is done.
fn phase<W: Weaver>(
    phases: &mut Phases<'_, W>,
    job: &Job,
    name: &'static str,
    number: u64,
) -> Result<(), String> {
    let kernel = phases.kernel;
    let cores = kernel.cores();
    let end = Barrier::<W::Machine>::new(cores as usize);
    let is_asked = AtomicBool::new(false);
    let answer = Arc::new(AtomicU64::new(0));
    let there = answer.clone();
    let ready: Ready = Box::new(move |_| {
        if !is_asked.swap(true, Ordering::Relaxed) {
            there.store(raise(kernel, number), Ordering::Relaxed);
        }
        end.wait();
    });
    phases.run(name, cores, 1, Interrupts::LetIn, &Arc::new(ready))?;
    check(job, answer.load(Ordering::Relaxed))
}

/// The answer of a job; one that is wrong, if there is none.
fn raise<W: Weaver>(kernel: &W, number: u64) -> u64 {
    match kernel.raise_hello(number, kernel.this_core()) {
        Answer::Got(answer) => answer,
        Answer::Nobody | Answer::Failed => 0,
    }
}

fn check(job: &Job, answer: u64) -> Result<(), String> {
    if answer == job.answer {
        return Ok(());
    }
    Err(format!("{}: the answer is {answer}, and should be {}", job.names[1], job.answer))
}
