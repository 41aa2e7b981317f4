//! Strands of spindles: made and joined, on all cores at once; left behind, and failing.

use alloc::{sync::Arc, vec::Vec};

use dispatcher::Processor;
use sched::Machine;
use spindle::{Error, demo::Hello};

use super::{Domain, all, hello, loaded, unload, wait_for_funerals};
use crate::{
    events::HELLO,
    ktest::{Level, core_count, everywhere, ktest, wait_until},
    strands::{Cpu, Strand},
};

/// The strands of a domain, but for such as are just ending.
fn strands_of(domain: &Domain) -> Vec<Arc<Strand>> {
    let is_of = |strand: &Arc<Strand>| strand.domain().is_some_and(|own| own.id() == domain.id());
    Cpu::scheduler().strands().into_iter().filter(is_of).collect()
}

/// Is nobody listed but those who have asked for their names in a handler?
fn are_unlisted() -> bool {
    let mut count = 0;
    Cpu::scheduler().directory().for_each(|strand| count += usize::from(strand.domain().is_some()));
    count == 0
}

#[ktest]
fn spindles_fork_and_join() {
    let before = Level::settled();
    let domain = loaded("forks");
    for count in [0, 1, 2, 10, 100] {
        assert_eq!(hello(count), Ok((0..count).sum()));
    }
    assert_eq!(domain.strands(), 0, "who was joined has ended");
    // From a strand of the kernel's, and from one of its own.
    for attempt in [1_001, 1_003, 1_004, 1_005, 1_006, 1_007, 1_008, 1_009, 1_010] {
        assert_eq!(hello(attempt), Ok(1), "attempt {attempt}");
        assert_eq!(hello(attempt + 100), Ok(1), "attempt {attempt} by a strand of its own");
    }
    assert_eq!(domain.strands(), 0);
    drop(domain);
    assert_eq!(unload("forks"), Ok(()));
    assert!(are_unlisted());
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn all_cores_fork_at_once() {
    let before = Level::settled();
    let domain = loaded("forks");
    everywhere(|_| {
        for count in [1, 20, 60, 20] {
            assert_eq!(hello(count), Ok((0..count).sum()));
        }
        assert_eq!(hello(1_101), Ok(1));
    });
    assert_eq!(domain.strands(), 0);
    drop(domain);
    assert_eq!(unload("forks"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn no_more_than_the_quota() {
    // The first time the directory may grow.
    let mut before = None;
    for attempt in [1_002, 1_102] {
        let domain = loaded("forks");
        assert_eq!(hello(attempt), Ok(1), "attempt {attempt}");
        assert_eq!(domain.strands(), 0);
        drop(domain);
        assert_eq!(unload("forks"), Ok(()));
        let after = Level::settled();
        assert!(before.is_none_or(|before| after == before), "{before:?} before, {after:?} after");
        before = Some(after);
    }
}

#[ktest]
fn nobody_touches_strands_of_others() {
    const BAD: u64 = 1_000 + Error::BadArgument as u64;
    let before = Level::settled();
    let victim = loaded("leaves");
    assert_eq!(hello(1), Ok(0));
    loaded("forks");
    wait_until("they are listed", || strands_of(&victim).len() == 5);
    for strand in strands_of(&victim) {
        let name = strand.handle().expect("it has not ended");
        // The last handler's answer counts: the one of the other spindle, which is not asked for much.
        let tell = |core| HELLO.raise(&Hello { number: name, core });
        assert_eq!((tell(1_001), tell(1_002), tell(1_003)), (Ok(BAD), Ok(BAD), Ok(BAD)));
    }
    assert_eq!(victim.strands(), 5);
    drop(victim);
    assert_eq!(unload("leaves"), Ok(()));
    assert_eq!(unload("forks"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn what_is_left_behind_ends() {
    let before = Level::settled();
    // At once, so that some have not begun, and once they all wait.
    for is_late in [false, true] {
        let domain = loaded("leaves");
        assert_eq!(hello(4), Ok(0));
        assert_eq!(domain.strands(), 20);
        if is_late {
            wait_until("they all wait", || {
                strands_of(&domain).iter().filter(|strand| strand.state() == sched::State::Blocked).count()
                    == 16
            });
            assert_eq!(hello(0), Ok(0), "none has ended");
        }
        let begun = Cpu::now_ns();
        assert_eq!(unload("leaves"), Ok(()));
        let took = Cpu::now_ns() - begun;
        assert!(!domain.has_failed.load(core::sync::atomic::Ordering::Relaxed), "they ended by themselves");
        drop(domain);
        log::info!("20 strands were ended in {} us", took / 1_000);
        assert!(are_unlisted());
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn strands_terminated_by_hand_end_too() {
    let before = Level::settled();
    // At once, so that some have not begun, and once they all wait.
    for is_late in [false, true] {
        let domain = loaded("leaves");
        assert_eq!(hello(4), Ok(0));
        if is_late {
            wait_until("they all wait", || {
                strands_of(&domain).iter().filter(|strand| strand.state() == sched::State::Blocked).count()
                    == 16
            });
        }
        for strand in strands_of(&domain) {
            sched::terminate(&strand);
        }
        wait_until("they have ended", || domain.strands() == 0);
        drop(domain);
        assert_eq!(unload("leaves"), Ok(()));
    }
    assert!(are_unlisted());
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn one_that_loops_for_ever_is_cut_at_unload() {
    let before = Level::settled();
    let domain = loaded("loops");
    assert!(hello(1).is_ok_and(|begun| begun <= 3));
    wait_until("they have begun", || hello(0) == Ok(3));
    assert_eq!(domain.strands(), 3);
    assert_eq!(unload("loops"), Ok(()));
    assert_eq!(domain.strands(), 0);
    assert!(domain.has_failed.load(core::sync::atomic::Ordering::Relaxed), "it had to be cut");
    drop(domain);
    assert!(all().is_empty());
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn one_that_fails_takes_all_with_it() {
    let before = Level::settled();
    for way in [0, 1, 2] {
        for _ in 0..2 {
            let domain = loaded("bursts");
            // It may fail before its maker has answered.
            let _ = hello(way);
            wait_until("it has failed", || !domain.is_open());
            drop(domain);
            wait_for_funerals();
        }
    }
    assert!(are_unlisted());
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn all_cores_fork_while_it_is_unloaded() {
    let before = Level::settled();
    for _ in 0..5 {
        loaded("forks");
        everywhere(|core| {
            if core == core_count() - 1 {
                sched::sleep_ns::<Cpu>(2_000_000);
                assert_eq!(unload("forks"), Ok(()));
                return;
            }
            // It ends well, or is told that it is over, or that one of its strands was before it began, or finds nobody.
            for _ in 0..20 {
                let answer = hello(30);
                let is_right = match answer {
                    Ok(answer) => {
                        let over = [Error::Closed, Error::Terminated].map(|error| 1_000 + error as u64);
                        answer == 435 || over.contains(&answer)
                    }
                    Err(error) => error == dispatcher::RaiseError::NoHandler,
                };
                assert!(is_right, "{answer:?}");
            }
        });
    }
    assert!(are_unlisted());
    assert_eq!(Level::settled(), before);
}
