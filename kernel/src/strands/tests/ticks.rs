//! Cores take no timer interrupts that nobody needs.

use core::sync::atomic::{AtomicBool, Ordering};

use sched::Priority;

use super::{MILLISECOND, spin_ns, spin_until};
use crate::{
    cores,
    ktest::{Level, core_count, guarded, ktest, on},
    strands::Handle,
};

fn ticks(core: usize) -> u64 {
    cores::area(core).expect("it is online").local.ticks.load(Ordering::SeqCst)
}

/// What the last try has found.
static QUIET: AtomicBool = AtomicBool::new(false);

/// A core whose strand runs alone is left alone: for a while, in one of several tries, since what was set
/// before may still strike, and others have work to do now and then.
#[ktest]
fn a_strand_that_runs_alone_is_not_interrupted() {
    let last = core_count() - 1;
    let is_quiet = (0..10).any(|_| {
        Level::settled();
        let strand = guarded(on(last), move || {
            spin_ns(15 * MILLISECOND);
            let before = ticks(last);
            spin_ns(40 * MILLISECOND);
            QUIET.store(ticks(last) == before, Ordering::SeqCst);
        });
        strand.join();
        QUIET.load(Ordering::SeqCst)
    });
    assert!(is_quiet, "a core with one strand ticks");
}

/// Those who are less urgent wait without a tick.
#[ktest]
fn nor_while_the_less_urgent_wait() {
    let last = core_count() - 1;
    let is_quiet = (0..10).any(|_| {
        Level::settled();
        let strand = guarded(on(last).priority(Priority::HIGH), move || {
            let low = guarded(on(last).priority(Priority::LOW), || ());
            spin_ns(15 * MILLISECOND);
            let before = ticks(last);
            spin_ns(40 * MILLISECOND);
            QUIET.store(ticks(last) == before, Ordering::SeqCst);
            low.join();
        });
        strand.join();
        QUIET.load(Ordering::SeqCst)
    });
    assert!(is_quiet, "a core ticks for those who cannot have it");
}

#[ktest]
fn equals_are_interrupted() {
    let last = core_count() - 1;
    let before = ticks(last);
    let spin = || guarded(on(last), move || spin_until("it ticks", || ticks(last) > before + 3));
    [spin(), spin()].into_iter().for_each(Handle::join);
}
