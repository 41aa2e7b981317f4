//! The thread package `gang`: members of a group run together or not at all, and nothing of them stays behind.
//!
//! What rowers note by the clock (see `stress/galley`) is for machines whose cores are all there at once: on a host with
//! fewer processors, what they miss is mostly the host's doing. So what counts here is whom the scheduler has running.

use alloc::{sync::Arc, vec::Vec};

use dispatcher::{Handler, RaiseError};
use sched::{Machine, State, package::ExitReason};
use spindle::{Error, demo::Hello};

use super::{hello, loaded, unload, wait_for_funerals};
use crate::{
    events::HELLO,
    ktest::{Level, core_count, ktest, wait_until},
    strands::{Cpu, Strand},
};

const ONCE: u64 = 0;
const MISUSE: u64 = 1;
const TURNS: u64 = 2;
const BLOCKS: u64 = 3;
const ENDS: u64 = 4;
const TOGETHER: u64 = 5;
const APART: u64 = 6;
const FOR_EVER: u64 = 9;
const HALVES: u64 = 10;
const BLOCKS_LONG: u64 = 11;
const INCOMPLETE: u64 = 12;
const LET_GO: u64 = 13;

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
        for _ in 0..3 {
            assert_eq!(asked(LET_GO, core_count()), Ok(core_count() as u64 - 1));
        }
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
    for pause_ns in [0, 1_000_000, 150_000_000, 500_000_000] {
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
    for pause_ns in [0, 3_000_000, 500_000_000] {
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

/// Who is seen when one of a crew looks around.
struct Seen {
    rowers: Vec<Arc<Strand>>,
    samples: u64,
    together: u64,
}

static SEEN: spin::Mutex<Seen> = spin::Mutex::new(Seen { rowers: Vec::new(), samples: 0, together: 0 });

/// One of so many rowers, who runs, looks around: do all run? What counts is what the scheduler has running, whether
/// or not the host lets the virtual core have its way just now.
fn look_around(count: usize) {
    // Who has the lock may have lost his core.
    let Some(mut seen) = SEEN.try_lock() else { return };
    if seen.rowers.len() != count {
        let mut all = Cpu::scheduler().strands();
        all.retain(|strand| strand.name() == "rower");
        seen.rowers = all;
    }
    if seen.rowers.len() == count {
        seen.samples += 1;
        seen.together += u64::from(seen.rowers.iter().all(|rower| rower.state() == State::Running));
    }
}

/// In how many thousandths of the looks that rowers took all ran.
fn togetherness(scenario: u64) -> u64 {
    *SEEN.lock() = Seen { rowers: Vec::new(), samples: 0, together: 0 };
    // No more than four: a host with two processors is late with eight cores, and the start of a group is all that is seen.
    assert!(asked(scenario, core_count().min(4)).is_ok(), "they row");
    let seen = core::mem::replace(&mut *SEEN.lock(), Seen { rowers: Vec::new(), samples: 0, together: 0 });
    log::info!("{} looks around", seen.samples);
    assert!(seen.samples > 0, "nobody has looked around");
    seen.together * 1_000 / seen.samples
}

/// The number from which on the core of a raise is a rower's who looks around: see `stress/galley`.
const EYE: u32 = 100;

#[ktest]
fn gangs_run_together_beside_others() {
    let before = Level::settled();
    // Before galley: the last handler's answer counts.
    let look = Handler::trusted(|hello: &Hello| {
        if let Some(count) = hello.core.checked_sub(EYE) {
            look_around(count as usize);
        }
        0
    });
    let look = HELLO.install(look).expect("there is room");
    drop((loaded("gang"), loaded("galley")));
    let (together, apart) = (togetherness(TOGETHER), togetherness(APART));
    log::info!("all at once, in thousandths: {together} as a gang, {apart} each for himself");
    assert_eq!(unload("galley"), Ok(()));
    assert_eq!(unload("gang"), Ok(()));
    HELLO.remove(look).expect("it is installed");
    assert_eq!(Level::settled(), before);
    if core_count() == 1 {
        return assert_eq!((together, apart), (1_000, 1_000), "who is alone is all");
    }
    // While one is being started others run already, and a crowded host draws that out.
    assert!(together > apart + 200, "{together} as a gang, {apart} each for himself");
}

#[ktest]
fn gangs_share_a_row() {
    with_galley(|| {
        let size = core_count() as u64 / 2 * 2;
        if size > 0 {
            assert_eq!(asked(HALVES, core_count()), Ok(size));
        }
    });
}

#[ktest]
fn gangs_that_wait_long_are_not_forgotten_in_virtual_time() {
    with_galley(|| assert_eq!(hello(BLOCKS_LONG), Ok(3), "longer than a package may forget a strand"));
}
