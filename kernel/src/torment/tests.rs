//! The dispatcher against the naive one, and a short storm of registrations, in the booted kernel.

use core::sync::atomic::{AtomicU64, Ordering};

use stress::{
    reference::{self, Answer, Coverage, KINDS, LENGTH},
    registrations,
};

use crate::{
    ktest::{core_count, everywhere, ktest},
    strands::Cpu,
    torment::Victim,
};

/// Programs on each core: without optimisation each takes ten times as long.
const PROGRAMS: u64 = if cfg!(debug_assertions) { 8 } else { 200 };

/// Runs the program of a seed on events of its own. The host replays it: `WHORL_SEED=SEED cargo test -p
/// dispatcher --test reference`.
fn run<R: Answer>(seed: u64, core: usize, coverage: &mut Coverage) {
    let program = reference::program::generate(seed, LENGTH);
    if let Err(difference) = reference::run::<R, Cpu>(&program, core as u32, core_count(), coverage) {
        panic!("seed {seed}: {difference}; it was {:?}", program[difference.at]);
    }
}

#[ktest]
fn random_programs_run_as_the_naive_dispatcher_runs_them() {
    /// Raises of each kind of plan, on all cores: what one core's programs miss, another's have.
    static RAISES: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; 6];
    everywhere(|core| {
        let mut coverage = Coverage::default();
        // Other programs on each core. Those of seeds that are no multiples of three have wide or
        // very narrow results, as on the host.
        let first = core as u64 * PROGRAMS;
        for seed in first..first + PROGRAMS {
            match seed % 3 {
                0 => run::<u64>(seed, core, &mut coverage),
                1 => run::<[u64; 3]>(seed, core, &mut coverage),
                _ => run::<u8>(seed, core, &mut coverage),
            }
        }
        for (total, count) in RAISES.iter().zip(coverage.raises) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    });
    let raises = RAISES.each_ref().map(|count| count.load(Ordering::Relaxed));
    // On one core there are few programs; the host tries the rest.
    assert!(core_count() == 1 || raises.iter().all(|count| *count > 0), "a kind was never tried: {raises:?}");
}

#[ktest]
fn registrations_everywhere_leave_nothing_behind() {
    const SEED: u64 = 7;
    let (report, result) = registrations::storm::<Cpu>(&Victim, 2, SEED, &mut |_, _| {});
    let raises = report.sum(|tally| &tally.raises);
    crate::println!("  {raises} raises");
    result.unwrap_or_else(|failure| panic!("seed {SEED}: {failure}"));
}
