//! Cores that do the same at once: do they share anything but what nobody writes?
//!
//! Each round of a case on so many cores is a *phase*. Its cores wait for each other, mask their
//! interrupts (which have stores of their own), and run between two marks. A recorder outside of the
//! machine, if there is one, counts each core's instructions there and notes which lines it reads and
//! writes; without a recorder the marks do nothing and the time remains.
//!
//! The last phase is a control: its cores count in one common word. A recorder that does not find that
//! line finds nothing.

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::{
    hint::{black_box, spin_loop},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::{
    cases::{Case, Ready, repeat},
    sample::Samples,
    stage::{Instrument, Mark},
};
use crate::kernel::Join;

/// The case that shares on purpose.
pub const CONTROL: &str = "control";

/// The word that the control shares. Its name is what a recorder should show.
static CONTROL_WORD: AtomicU64 = AtomicU64::new(0);

/// One case on so many cores at once.
#[derive(Debug)]
pub struct Phase {
    /// Its number: how many [`Mark::Phase`] were set up to its beginning.
    pub number: u32,
    /// How many times each core did it.
    pub times: u64,
    /// A sample for each core.
    pub samples: Samples,
}

/// May interrupts come while cores do the same at once?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupts {
    /// No: they have stores of their own.
    Masked,
    /// Yes: what is done waits for others.
    LetIn,
}

/// Numbers the phases, runs them one after the other and tells of each.
pub(super) struct Phases<'a, K: 'static> {
    pub(super) kernel: &'static K,
    pub(super) number: u32,
    pub(super) tell: &'a mut dyn FnMut(&Phase),
}

impl<K: Instrument> Phases<'_, K> {
    /// `ready` on the first `cores` cores at once, `times` times on each.
    pub(super) fn run(
        &mut self,
        case: &'static str,
        cores: u32,
        times: u64,
        interrupts: Interrupts,
        ready: &Arc<Ready>,
    ) -> Result<(), String> {
        self.number += 1;
        self.kernel.mark(Mark::Phase);
        let thousandths = at_once(self.kernel, cores, times, interrupts, ready)?;
        (self.tell)(&Phase { number: self.number, times, samples: Samples { case, cores, thousandths } });
        Ok(())
    }

    /// The phase that shares on purpose.
    pub(super) fn control(&mut self, times: u64) -> Result<(), String> {
        let control: Ready =
            Box::new(|times| repeat(times, |_| CONTROL_WORD.fetch_add(1, Ordering::Relaxed)));
        self.run(CONTROL, self.kernel.cores(), times, Interrupts::Masked, &Arc::new(control))
    }
}

/// Runs every parallel case `times` times on 1, 2, 4, ... and all cores; `tell` hears of each phase.
///
/// # Errors
///
/// What could not be installed, or which strand could not be made.
pub fn run<K: Instrument>(
    kernel: &'static K,
    times: u64,
    tell: &mut dyn FnMut(&Phase),
) -> Result<(), String> {
    let mut phases = Phases { kernel, number: 0, tell };
    for case in Case::<K>::parallel() {
        let name = case.name;
        let ready = case.make(kernel).map_err(|error| format!("{name}: {error}"))?;
        let ready = Arc::new(ready);
        for cores in numbers_of_cores(kernel.cores()) {
            phases.run(name, cores, times, Interrupts::Masked, &ready)?;
        }
        drop(ready);
        kernel.settle();
    }
    phases.control(times)
}

/// 1, 2, 4, ... and all.
pub(super) fn numbers_of_cores(all: u32) -> impl Iterator<Item = u32> {
    (0..).map(|power| 1 << power).take_while(move |cores| *cores < all).chain([all])
}

/// What each core is given, on a line of its own: only the core itself writes there.
#[repr(align(128))]
#[derive(Default)]
struct Ticks(AtomicU64);

/// Runs `ready` on the first `cores` cores at once; thousandths of a tick for one time, for each core.
fn at_once<K: Instrument>(
    kernel: &'static K,
    cores: u32,
    times: u64,
    interrupts: Interrupts,
    ready: &Arc<Ready>,
) -> Result<Vec<u64>, String> {
    let arrived = Arc::new(AtomicU32::new(0));
    let results: Arc<Vec<Ticks>> = Arc::new((0..cores).map(|_| Ticks::default()).collect());
    let mut joins: Vec<Join> = Vec::new();
    let mut outcome = Ok(());
    for core in 0..cores {
        let (met, results, ready) = (arrived.clone(), results.clone(), ready.clone());
        let body = Box::new(move || {
            meet(&met, cores);
            let ready: &Ready = black_box(&ready);
            let mut ticks = 0;
            let mut record = || {
                let begun = kernel.ticks();
                kernel.mark(Mark::Begin);
                ready(times);
                kernel.mark(Mark::End);
                ticks = kernel.ticks().wrapping_sub(begun);
            };
            match interrupts {
                Interrupts::Masked => kernel.undisturbed(&mut record),
                Interrupts::LetIn => record(),
            }
            results[core as usize].0.store(ticks * 1000 / times.max(1), Ordering::Relaxed);
        });
        match kernel.spawn_on(core, body) {
            Ok(join) => joins.push(join),
            Err(why) => {
                outcome = Err(format!("core {core}: {why}"));
                // Those that wait for it must not wait for ever.
                arrived.store(cores, Ordering::Relaxed);
                break;
            }
        }
    }
    joins.into_iter().for_each(|join| join());
    outcome.map(|()| results.iter().map(|result| result.0.load(Ordering::Relaxed)).collect())
}

/// Returns when `cores` have come here.
fn meet(arrived: &AtomicU32, cores: u32) {
    // Relaxed: nothing is passed on by it; all meet only to begin together.
    arrived.fetch_add(1, Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < cores {
        spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::numbers_of_cores;
    use alloc::vec::Vec;

    #[test]
    fn cores_double_up_to_all() {
        assert_eq!(numbers_of_cores(1).collect::<Vec<_>>(), [1]);
        assert_eq!(numbers_of_cores(6).collect::<Vec<_>>(), [1, 2, 4, 6]);
        assert_eq!(numbers_of_cores(8).collect::<Vec<_>>(), [1, 2, 4, 8]);
    }
}
