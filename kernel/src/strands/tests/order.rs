//! Who runs where, and before whom.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::Processor;
use sched::{Builder, Priority, State};
use x86_64::instructions::interrupts::without_interrupts;

use super::{MILLISECOND, PATIENCE_NS, block_for_a_while, spin_ns, spin_until};
use crate::{
    ktest::{core_count, everywhere, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle},
};

#[ktest]
fn migrate() {
    let cores = core_count();
    let everyone = u64::MAX >> (64 - cores);
    let seen = Arc::new(AtomicU64::new(0));
    let wander = |_| {
        let seen = seen.clone();
        guarded(Builder::new("wanderer"), move || {
            let is_here = AtomicBool::new(false);
            let deadline = Cpu::now_ns() + PATIENCE_NS;
            while seen.load(Ordering::Relaxed) != everyone {
                assert!(Cpu::now_ns() < deadline, "some core never got work");
                spin_ns(MILLISECOND / 10);
                without_interrupts(|| {
                    assert!(!is_here.swap(true, Ordering::AcqRel), "one strand on two cores");
                    assert_eq!(sched::current::<Cpu>().core(), Cpu::core_id());
                    seen.fetch_or(1 << Cpu::core_id(), Ordering::Relaxed);
                    is_here.store(false, Ordering::Release);
                });
                sched::yield_now::<Cpu>();
            }
        })
    };
    let strands: Vec<_> = (0..2 * cores).map(wander).collect();
    strands.into_iter().for_each(Handle::join);
    assert_eq!(seen.load(Ordering::Relaxed), everyone);
}

#[ktest]
fn equals_share_a_core() {
    everywhere(|core| {
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let run = |own: usize| {
            let counts = counts.clone();
            guarded(on(core), move || {
                // Neither gives way: that both get on is the timer's doing.
                spin_until("the other gets on, too", || {
                    counts[own].fetch_add(1, Ordering::Relaxed);
                    counts.iter().all(|count| count.load(Ordering::Relaxed) > 1_000)
                });
            })
        };
        let strands = [run(0), run(1)];
        strands.into_iter().for_each(Handle::join);
    });
}

#[ktest]
fn the_urgent_comes_first() {
    for core in [0, core_count() - 1] {
        let has_run = Arc::new(AtomicBool::new(false));
        let flag = has_run.clone();
        let urgent = guarded(on(core).priority(Priority::HIGH), move || {
            block_for_a_while();
            flag.store(true, Ordering::Release);
        });
        let strand = urgent.strand().clone();
        wait_until("it waits", || strand.state() == State::Blocked);
        let busy = guarded(on(core), move || {
            // Called while this one has the core, which it gives to nobody of its own accord.
            sched::unblock(&strand);
            spin_until("the urgent one has run", || has_run.load(Ordering::Acquire));
        });
        busy.join();
        urgent.join();
    }
}

#[ktest]
fn the_less_urgent_wait() {
    let has_run = Arc::new(AtomicBool::new(false));
    let flag = has_run.clone();
    let busy = guarded(on(0).priority(Priority::HIGH), move || {
        let low = guarded(on(0).priority(Priority::LOW), move || flag.store(true, Ordering::Release));
        spin_ns(30 * MILLISECOND);
        assert!(!has_run.load(Ordering::Acquire), "the less urgent one ran before the urgent one");
        low.join();
        assert!(has_run.load(Ordering::Acquire));
    });
    busy.join();
}
