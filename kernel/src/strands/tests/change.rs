//! Strands whose priority and affinity change while they live, in every state.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dispatcher::Processor;
use sched::{AffinityError, Builder, CoreSet, Priority, State};

use super::{block_for_a_while, spin_until};
use crate::{
    ktest::{Random, core_count, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle},
};

#[ktest]
fn a_queued_strand_moves_to_its_new_equals() {
    let last = core_count() - 1;
    let order = Arc::new(AtomicUsize::new(0));
    // Keeps the core while the others are queued behind it.
    let busy = guarded(on(last).priority(Priority::HIGH), move || {
        let enter = |number: usize| {
            let order = order.clone();
            guarded(on(last), move || {
                let _ = order
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |order| Some(order * 10 + number));
            })
        };
        let [first, second, third] = [enter(1), enter(2), enter(3)];
        sched::set_priority(third.strand(), Priority::new(20));
        sched::set_priority(first.strand(), Priority::LOW);
        assert_eq!(first.strand().priority(), Priority::LOW);
        [first, second, third].into_iter().for_each(Handle::join);
        assert_eq!(order.load(Ordering::Relaxed), 321);
    });
    busy.join();
}

#[ktest]
fn what_is_lent_counts_until_it_is_taken_back() {
    let strand = guarded(Builder::new("borrower"), block_for_a_while);
    wait_until("it waits", || strand.strand().state() == State::Blocked);
    let priority = || (strand.strand().priority(), strand.strand().base_priority());
    sched::lend(strand.strand(), Priority::HIGH);
    sched::lend(strand.strand(), Priority::new(20));
    assert_eq!(priority(), (Priority::HIGH, Priority::NORMAL));
    sched::set_priority(strand.strand(), Priority::LOW);
    assert_eq!(priority(), (Priority::HIGH, Priority::LOW));
    sched::take_back(strand.strand(), Priority::HIGH);
    assert_eq!(priority(), (Priority::new(20), Priority::LOW));
    sched::take_back(strand.strand(), Priority::new(20));
    assert_eq!(priority(), (Priority::LOW, Priority::LOW));
    sched::unblock(strand.strand());
    strand.join();
}

#[ktest]
fn a_running_strand_that_is_lowered_gives_way() {
    let last = core_count() - 1;
    let has_run = Arc::new(AtomicBool::new(false));
    let flag = has_run.clone();
    let busy = guarded(on(last).priority(Priority::HIGH), move || {
        let this = sched::current::<Cpu>();
        let other =
            guarded(on(last).priority(Priority::new(20)), move || flag.store(true, Ordering::Release));
        assert!(!has_run.load(Ordering::Acquire));
        sched::set_priority(&this, Priority::NORMAL);
        // It gave way before the call returned, or within an interrupt.
        spin_until("the other has run", || has_run.load(Ordering::Acquire));
        other.join();
    });
    busy.join();
}

#[ktest]
fn a_running_strand_is_sent_elsewhere() {
    let cores = core_count();
    let strand = guarded(on(0), move || {
        let this = sched::current::<Cpu>();
        for core in (0..cores).rev() {
            sched::set_affinity(&this, CoreSet::only(core)).expect("the core is there");
            spin_until("it is there", || Cpu::core_id() == core);
        }
        assert_eq!(sched::set_affinity(&this, CoreSet(0)), Err(AffinityError::NoSuchCore));
        assert_eq!(this.affinity(), CoreSet::only(0));
    });
    strand.join();
}

/// One that computes and never asks is sent round by another.
#[ktest]
fn a_busy_strand_is_sent_elsewhere_by_others() {
    let cores = core_count();
    let is_over = Arc::new(AtomicBool::new(false));
    let here = Arc::new(AtomicUsize::new(usize::MAX));
    let (over, place) = (is_over.clone(), here.clone());
    let busy = guarded(Builder::new("busy"), move || {
        while !over.load(Ordering::Relaxed) {
            place.store(Cpu::core_id(), Ordering::Relaxed);
        }
    });
    let mut random = Random::new(7);
    for _ in 0..20 {
        let core = random.below(cores);
        sched::set_affinity(busy.strand(), CoreSet::only(core)).expect("the core is there");
        wait_until("it is there", || here.load(Ordering::Relaxed) == core);
    }
    is_over.store(true, Ordering::Relaxed);
    busy.join();
}

#[ktest]
fn an_idle_core_takes_who_may_come() {
    let cores = core_count();
    if cores == 1 {
        return;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    // All of them must stay on one core, and then need not any more.
    let running = Arc::new(AtomicUsize::new(0));
    let strands: Vec<_> = (0..cores)
        .map(|_| {
            let (over, running) = (is_over.clone(), running.clone());
            guarded(on(cores - 1), move || {
                running.fetch_add(1, Ordering::Relaxed);
                // Neither gives way nor waits until all run at once.
                spin_until("all run", || over.load(Ordering::Relaxed));
            })
        })
        .collect();
    let free = || {
        strands.iter().for_each(|strand| {
            sched::set_affinity(strand.strand(), CoreSet::ALL).expect("there are cores");
        });
    };
    free();
    wait_until("all have a core", || {
        let has_core = |strand: &&Handle| strand.strand().steals() > 0;
        running.load(Ordering::Relaxed) == cores && strands.iter().filter(has_core).count() > 0
    });
    is_over.store(true, Ordering::Relaxed);
    strands.into_iter().for_each(Handle::join);
}
