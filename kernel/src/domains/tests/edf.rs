//! Earliest deadline first: `deadlines` asks `edf` for tasks, while strands compute on all cores.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::Processor;
use spindle::demo::Hello;

use super::{loaded, unload};
use crate::{
    events::HELLO,
    ktest::{Level, core_count, guarded, ktest, on},
    strands::{Cpu, Handle},
};

/// What `deadlines` can do: see there.
const RUN: u32 = 0;
const LIAR: u32 = 1;
const BRIEF: u32 = 2;
const BOUND: u32 = 3;
const MISUSE: u32 = 4;
const ODD: u32 = 5;

fn ask(what: u32, seed: u64) -> u64 {
    HELLO.raise(&Hello { number: seed, core: what }).expect("deadlines answers")
}

/// With strands that compute, two on each core, asks for something; and the share of a core, in thousandths, that
/// those of each core had meanwhile, at least.
fn under_load(body: impl FnOnce()) -> u64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let compute = |number: usize| {
        let is_over = is_over.clone();
        guarded(on(number % core_count()), move || while !is_over.load(Ordering::Relaxed) {})
    };
    let crowd: Vec<Handle> = (0..2 * core_count()).map(compute).collect();
    let run = |core: usize| {
        crowd.iter().skip(core).step_by(core_count()).map(|strand| strand.strand().run_ns()).sum::<u64>()
    };
    let before: Vec<u64> = (0..core_count()).map(run).collect();
    let begun = Cpu::now_ns();
    body();
    let passed = Cpu::now_ns() - begun;
    let had = before.iter().enumerate().map(|(core, before)| (run(core) - before) * 1_000 / passed);
    let least = had.min().expect("there is a core");
    is_over.store(true, Ordering::Relaxed);
    crowd.into_iter().for_each(Handle::join);
    least
}

/// With `edf` and `deadlines` loaded; all is as it was after that.
fn with_both(body: impl FnOnce()) {
    let before = Level::settled();
    loaded("edf");
    loaded("deadlines");
    body();
    assert_eq!(unload("deadlines"), Ok(()));
    assert_eq!(unload("edf"), Ok(()));
    assert_eq!(Level::settled(), before);
}

/// Tasks, misses and jobs.
fn counts(answer: u64) -> (u64, u64, u64) {
    assert_ne!(answer, u64::MAX, "something else went wrong");
    (answer >> 48, answer >> 24 & 0xff_ffff, answer & 0xff_ffff)
}

/// 800 thousandths are reserved; the rest is for those who compute, but for what the kernel takes.
#[track_caller]
fn assert_rest(share: u64) {
    assert!(share >= 190, "{share} thousandths were left");
}

#[ktest]
fn admitted_tasks_meet_their_deadlines_in_virtual_time() {
    with_both(|| {
        for seed in 0..6 {
            let share = under_load(|| {
                let (tasks, misses, jobs) = counts(ask(RUN, seed));
                crate::println!("seed {seed}: {tasks} tasks, {jobs} jobs, {misses} misses");
                assert!(tasks >= 3 && jobs >= 60, "seed {seed}: {tasks} tasks, {jobs} jobs");
                assert_eq!(misses, 0, "seed {seed}: of {jobs} jobs of {tasks} tasks");
            });
            assert_rest(share);
        }
    });
}

#[ktest]
fn a_task_that_lies_makes_no_other_late_in_virtual_time() {
    with_both(|| {
        for seed in 10..13 {
            let share = under_load(|| {
                let (tasks, misses, jobs) = counts(ask(LIAR, seed));
                crate::println!("seed {seed}: {tasks} tasks, {jobs} jobs, {misses} misses beside a liar");
                assert!(tasks >= 2 && jobs >= 50, "seed {seed}: {tasks} tasks, {jobs} jobs");
                assert_eq!(misses, 0, "seed {seed}: of {jobs} jobs of {tasks} tasks");
            });
            assert_rest(share);
        }
    });
}

#[ktest]
fn what_is_beyond_the_bound_is_refused() {
    with_both(|| {
        for seed in 0..3 {
            assert_eq!(ask(BOUND, seed), 0, "seed {seed}");
        }
        assert_eq!(ask(MISUSE, 0), 7);
    });
}

/// What time there is belongs to the host here: so no deadline is looked at.
#[ktest]
fn tasks_come_and_go_on_all_cores() {
    with_both(|| {
        for seed in 0..3 {
            under_load(|| {
                let (tasks, _, jobs) = counts(ask(BRIEF, seed));
                assert!(tasks as usize == 2 * core_count() && jobs >= tasks, "seed {seed}: {tasks}, {jobs}");
            });
        }
        assert_eq!(ask(ODD, 0), 3);
    });
}
