//! Strands begin, end, are joined, and give back what they had.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dispatcher::Processor;
use sched::{Builder, State};
use x86_64::{VirtAddr, instructions::interrupts::without_interrupts};

use crate::{
    cores::words,
    ktest::{core_count, everywhere, guarded, ktest, on, wait_until},
    memory,
    strands::{Cpu, Handle, housekeeper, spawn, stacks},
};

#[ktest]
fn strands_run_where_they_should_and_end() {
    let sum = Arc::new(AtomicUsize::new(0));
    let total = sum.clone();
    everywhere(move |core| {
        // Each core starts a strand on every core.
        let start = |target: usize| {
            let sum = total.clone();
            guarded(on(target), move || {
                assert_eq!(Cpu::core_id(), target);
                assert_eq!(sched::current::<Cpu>().core(), target);
                sum.fetch_add(core * 100 + target, Ordering::Relaxed);
            })
        };
        let strands: Vec<_> = (0..core_count()).map(start).collect();
        strands.into_iter().for_each(Handle::join);
    });
    let cores = core_count();
    assert_eq!(sum.load(Ordering::Relaxed), 101 * cores * (cores * (cores - 1) / 2));
}

#[ktest]
fn nobody_runs_on_a_core_that_is_not_there() {
    let nowhere = Builder::new("nowhere").affinity(sched::CoreSet(0));
    assert!(spawn(nowhere, || ()).is_err());
}

#[ktest]
fn stacks_return() {
    let in_use = || memory::stats().stacks - stacks::kept();
    let before = in_use();
    for _ in 0..10 {
        let may_end = Arc::new(AtomicBool::new(false));
        let wait = |_| {
            let may_end = may_end.clone();
            guarded(Builder::new("short"), move || {
                wait_until("it may end", || may_end.load(Ordering::Acquire));
            })
        };
        let strands: Vec<_> = (0..32).map(wait).collect();
        assert_eq!(in_use(), before + 32);
        may_end.store(true, Ordering::Release);
        strands.into_iter().for_each(Handle::join);
    }
    housekeeper::settle();
    assert_eq!((memory::stats().stacks, stacks::kept()), (before, 0));
}

#[ktest]
fn an_ended_strand_can_be_joined_late() {
    let handle = guarded(Builder::new("early"), || ());
    let strand = handle.strand().clone();
    wait_until("it ends", || strand.state() == State::Ended);
    housekeeper::settle();
    handle.join();
}

#[ktest]
fn every_stack_has_a_guard() {
    everywhere(|_| {
        let here = 0_u8;
        let here = (&raw const here).addr();
        let bottom = without_interrupts(|| here - words::stack_left()) & !0xfff;
        let guard = |address: usize| memory::guard_of(VirtAddr::new(address as u64));
        let found = (0..2).find_map(|page| guard(bottom + page * 4096 - 1)).expect("below a strand's stack");
        assert!(
            (found.bottom.as_u64()..found.top.as_u64()).contains(&(here as u64)),
            "another stack's guard"
        );
        assert!(guard(here).is_none());
    });
}
