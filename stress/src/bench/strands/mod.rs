//! What strands cost: made and joined, woken, switched to, by one core and by many at once.
//!
//! - [`cases`]: the loops; to add one is a line in its list.
//! - [`many`]: a great many strands that live at the same time.

pub mod cases;
pub mod many;

use alloc::{string::String, sync::Arc};
use core::sync::atomic::{AtomicBool, Ordering};

use sched::{Builder, Handle, Machine};

use super::{
    costs::sample,
    parallel::{Interrupts, Phase, Phases, numbers_of_cores},
    sample::Samples,
    stage::Instrument,
};

pub use cases::Case;

/// A kernel whose strands can be measured from within.
pub trait Weaver: Instrument {
    /// The machine under its scheduler.
    type Machine: Machine;

    /// Makes a strand as the kernel makes its own, with a stack of `stack_bytes` or of the usual size.
    ///
    /// # Errors
    ///
    /// Why there is no such strand.
    fn weave(
        &self,
        builder: Builder,
        stack_bytes: Option<usize>,
        entry: impl FnOnce() + Send + 'static,
    ) -> Result<Handle<Self::Machine>, String>;

    /// Bytes of memory that are in use, caches not counted. Nobody measures meanwhile.
    fn bytes_in_use(&self) -> usize;

    /// Stacks that are mapped now, those in caches included.
    fn stacks(&self) -> usize;

    /// Interrupts that cores have sent to each other to be looked at, all together.
    fn kicks(&self) -> u64;
}

/// The running strand's core alone.
fn here<W: Weaver>(kernel: &W, name: &'static str) -> Builder {
    Builder::new(name).on_core(kernel.this_core() as usize)
}

/// Samples of each case: each is long.
const SAMPLES: usize = 15;

/// The ping-pong of two strands that the thread package `cthreads` schedules, by its conditions: the name, and
/// the spindles that do it.
const VOLLEY: (&str, [&str; 2]) = ("ping-pong, cthreads", ["cthreads", "volley"]);

/// How many round trips make one sample: so many that making the two strands counts little.
const VOLLEYS: u64 = 10_000;

/// Measures every case on the calling strand's core; `tell` hears of each as it is done.
///
/// # Errors
///
/// What could not be loaded, or did not do what it should.
pub fn run<W: Weaver>(kernel: &'static W, tell: &mut dyn FnMut(&Samples)) -> Result<(), String> {
    for case in Case::<W>::all() {
        kernel.mark(crate::bench::Mark::Phase);
        let ready = case.make(kernel);
        tell(&sample(kernel, case.name, case.batch, &|times| ready(times), false, SAMPLES));
        drop(ready);
        kernel.settle();
    }
    let (case, spindles) = VOLLEY;
    spindles.iter().try_for_each(|spindle| kernel.load(spindle))?;
    kernel.mark(crate::bench::Mark::Phase);
    let has_missed = AtomicBool::new(false);
    let play = |times| {
        // Relaxed: one strand's own.
        if kernel.raise_hello_with(times) != Some(2 * times) {
            has_missed.store(true, Ordering::Relaxed);
        }
    };
    let samples = sample(kernel, case, VOLLEYS, &play, false, SAMPLES / 3);
    spindles.iter().rev().try_for_each(|spindle| kernel.unload(spindle))?;
    if has_missed.into_inner() {
        return Err("the spindle `volley` has not played as often as it should".into());
    }
    tell(&samples);
    Ok(())
}

/// Runs the cases that many cores run at once, `times` times on each, and the wake-up of a core that
/// halts; `tell` hears of each phase. Says how many wake-ups of the last there were, and for how many
/// interrupts between cores.
///
/// # Errors
///
/// Which strand could not be made.
pub fn run_apart<W: Weaver>(
    kernel: &'static W,
    times: u64,
    tell: &mut dyn FnMut(&Phase),
) -> Result<(u64, u64), String> {
    let mut phases = Phases { kernel, number: 0, tell };
    for case in Case::<W>::parallel() {
        let ready = Arc::new(case.make(kernel));
        for cores in numbers_of_cores(kernel.cores()) {
            phases.run(case.name, cores, times, Interrupts::LetIn, &ready)?;
        }
        drop(ready);
        kernel.settle();
    }
    let mut kicks = 0;
    if kernel.cores() > 1 {
        let case = Case::wake_up();
        let ready = Arc::new(case.make(kernel));
        let before = kernel.kicks();
        phases.run(case.name, 2, times, Interrupts::LetIn, &ready)?;
        kicks = kernel.kicks() - before;
        kernel.settle();
    }
    phases.control(times)?;
    Ok((2 * times, kicks))
}
