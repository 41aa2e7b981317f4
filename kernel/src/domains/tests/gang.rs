//! The thread package `gang`: members of a group run together or not at all, and nothing of them stays behind.
//!
//! How far together, by the clock, is seen where time is counted in instructions; see `stress/galley`, which notes it.

use dispatcher::RaiseError;
use sched::package::ExitReason;
use spindle::Error;

use super::{hello, loaded, unload, wait_for_funerals};
use crate::{
    ktest::{Level, core_count, ktest, wait_until},
    strands::Cpu,
};
use sched::Machine;

const ONCE: u64 = 0;
const MISUSE: u64 = 1;
const TURNS: u64 = 2;
const BLOCKS: u64 = 3;
const ENDS: u64 = 4;
const TOGETHER: u64 = 5;
const APART: u64 = 6;
const STEPS: u64 = 7;
const STEPS_APART: u64 = 8;
const FOR_EVER: u64 = 9;
const HALVES: u64 = 10;
const BLOCKS_LONG: u64 = 11;
const INCOMPLETE: u64 = 12;

/// With `gang` and `galley` loaded: raises for a scenario. Afterwards everything is as before.
#[track_caller]
fn with_galley(body: impl FnOnce()) {
    let before = Level::settled();
    drop((loaded("gang"), loaded("galley")));
    body();
    assert_eq!(unload("galley"), Ok(()));
    let all = Cpu::scheduler().packages().all();
    assert_eq!(all.iter().map(|package| package.strands()).sum::<usize>(), 0, "its strands have ended");
    assert!(all.iter().all(|package| !package.is_ejected()), "the package is as it was");
    drop(all);
    assert_eq!(unload("gang"), Ok(()));
    assert_eq!(Level::settled(), before);
}

fn last_exit() -> Option<ExitReason> {
    Cpu::scheduler().packages().exits().last().map(|exit| exit.reason)
}

/// A scenario for groups of that size.
fn asked(scenario: u64, size: usize) -> Result<u64, RaiseError> {
    hello(scenario + 16 * size as u64)
}

#[ktest]
fn gangs_of_every_size_come_and_go() {
    with_galley(|| {
        for size in 1..=core_count() {
            let sum = (size * (size + 1) / 2) as u64;
            assert_eq!(asked(ONCE, size), Ok(sum), "a group of {size}");
        }
        for _ in 0..3 {
            assert_eq!(asked(ENDS, core_count()), Ok(core_count() as u64 - 1));
        }
        assert_eq!(asked(INCOMPLETE, core_count()), Ok(core_count() as u64 - 1));
    });
}

#[ktest]
fn a_gang_larger_than_the_machine_is_refused() {
    with_galley(|| assert_eq!(hello(MISUSE), Ok(3)));
}

#[ktest]
fn a_gang_waits_for_the_one_that_blocks() {
    with_galley(|| {
        for _ in 0..2 {
            assert_eq!(hello(BLOCKS), Ok(3), "1: the others stood still, 2: they went on");
        }
    });
}

#[ktest]
fn two_gangs_take_turns() {
    with_galley(|| {
        let less = hello(TURNS).expect("they have rowed");
        // In thousandths of what both had; on a crowded host periods are lost by chance.
        assert!((250..=500).contains(&less), "{less}");
    });
}

#[ktest]
fn applications_of_gang_are_unloaded_in_the_middle() {
    let before = Level::settled();
    loaded("gang");
    for pause_ns in [0, 1_000_000, 40_000_000, 130_000_000] {
        loaded("galley");
        assert_eq!(hello(FOR_EVER), Ok(3 * core_count() as u64));
        sched::sleep_ns::<Cpu>(pause_ns);
        assert_eq!(unload("galley"), Ok(()), "after {pause_ns} ns");
        // Whoever comes next finds room, and the package at work.
        loaded("galley");
        assert_eq!(asked(ONCE, 1), Ok(1));
        assert_eq!(unload("galley"), Ok(()));
    }
    assert_eq!(unload("gang"), Ok(()));
    assert_eq!(last_exit(), Some(ExitReason::DomainGone));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn gang_is_unloaded_in_the_middle() {
    let before = Level::settled();
    for pause_ns in [0, 3_000_000, 120_000_000] {
        drop((loaded("gang"), loaded("galley")));
        assert_eq!(hello(FOR_EVER), Ok(3 * core_count() as u64));
        sched::sleep_ns::<Cpu>(pause_ns);
        assert_eq!(unload("gang"), Ok(()), "after {pause_ns} ns");
        assert_eq!(last_exit(), Some(ExitReason::DomainGone));
        // They go on as anybody's, and new ones are refused.
        assert_eq!(hello(ONCE), Ok(u64::MAX - Error::Unbound as u64));
        assert_eq!(unload("galley"), Ok(()));
        wait_for_funerals();
    }
    wait_until("no package is left", || Cpu::scheduler().packages().all().is_empty());
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn gangs_run_together_beside_others() {
    with_galley(|| {
        let (together, apart) = (hello(TOGETHER), hello(APART));
        let (together, apart) = (together.expect("they row"), apart.expect("they row"));
        log::info!("all at once, in thousandths of any: {together} as a gang, {apart} each for himself");
        if core_count() == 1 {
            return assert_eq!((together, apart), (1_000, 1_000), "who is alone is all");
        }
        // A host that takes virtual cores away tears anybody apart. It does so to both.
        assert!(together > apart, "{together} as a gang, {apart} each for himself");
    });
}

#[ktest]
fn gangs_are_exact_in_virtual_time() {
    with_galley(|| {
        let (together, apart) = (hello(TOGETHER), hello(APART));
        let (together, apart) = (together.expect("they row"), apart.expect("they row"));
        log::info!("all at once, in thousandths of any: {together} as a gang, {apart} each for himself");
        if core_count() > 1 {
            assert!(together > 900, "{together} thousandths");
            assert!(apart < 600, "{apart} thousandths: so it shows nothing");
        }
        let less = hello(TURNS).expect("they have rowed");
        assert!((450..=500).contains(&less), "two take turns, and one has {less} thousandths");
        if core_count() > 1 {
            let halves = hello(HALVES).expect("they have rowed");
            assert!(halves > 900, "two that fit into one row have it together: {halves} thousandths");
        }
    });
}

#[ktest]
fn gangs_that_wait_long_are_not_forgotten_in_virtual_time() {
    with_galley(|| assert_eq!(hello(BLOCKS_LONG), Ok(3), "longer than a package may forget a strand"));
}

#[ktest]
fn gangs_pass_barriers_in_virtual_time() {
    with_galley(|| {
        let (gang, apart) = (hello(STEPS), hello(STEPS_APART));
        let (gang, apart) = (gang.expect("they step"), apart.expect("they step"));
        log::info!("steps for each millisecond of CPU time: {gang} as a gang, {apart} each for himself");
        if core_count() > 1 {
            assert!(gang > apart, "{gang} as a gang, {apart} each for himself");
        }
    });
}
