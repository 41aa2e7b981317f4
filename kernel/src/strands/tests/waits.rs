//! Strands wait, sleep, and are woken.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dispatcher::Processor;
use sched::Builder;

use super::{MILLISECOND, block_for_a_while};
use crate::{
    ktest::{Random, core_count, everywhere, guarded, ktest, on},
    strands::{Cpu, Handle, Mutex, Strand},
};

#[ktest]
fn a_wake_up_before_the_wait_is_kept() {
    let this = sched::current::<Cpu>();
    for _ in 0..100 {
        sched::unblock(&this);
        sched::unblock(&this);
        sched::block::<Cpu>();
    }
    // Two calls leave one token, and it was taken: now only time ends the wait.
    let deadline = Cpu::now_ns() + 2 * MILLISECOND;
    while Cpu::now_ns() < deadline {
        sched::block_until::<Cpu>(deadline);
    }
}

/// One that waits for its turn and passes it on.
fn play(turn: &AtomicUsize, own: usize, rounds: usize, other: &Mutex<Option<Arc<Strand>>>) {
    for round in 0..rounds {
        while turn.load(Ordering::Acquire) != 2 * round + own {
            // Both ways of waiting.
            if round % 2 == 0 { sched::block::<Cpu>() } else { block_for_a_while() }
        }
        turn.fetch_add(1, Ordering::Release);
        if let Some(other) = &*other.lock() {
            sched::unblock(other);
        }
    }
}

#[ktest]
fn ping_pong() {
    let last = core_count() - 1;
    for (here, there) in [(0, last), (last, 0), (0, 0), (last, last / 2)] {
        let turn = Arc::new(AtomicUsize::new(0));
        let players: Arc<[Mutex<Option<Arc<Strand>>>; 2]> = Arc::new([Mutex::new(None), Mutex::new(None)]);
        let start = |own: usize, core: usize| {
            let (turn, players) = (turn.clone(), players.clone());
            guarded(on(core), move || {
                *players[own].lock() = Some(sched::current::<Cpu>());
                // Neither begins before both can be called.
                let is_there = || players[1 - own].lock().is_some();
                while !is_there() {
                    sched::sleep_ns::<Cpu>(MILLISECOND / 10);
                }
                play(&turn, own, 300, &players[1 - own]);
                // Whoever ends drops its reference to the other: they would keep each other for ever.
                *players[1 - own].lock() = None;
            })
        };
        let strands = [start(0, here), start(1, there)];
        strands.into_iter().for_each(Handle::join);
        assert_eq!(turn.load(Ordering::Relaxed), 600);
    }
}

#[derive(Default)]
struct Sleeper {
    called: AtomicU64,
    is_over: AtomicBool,
}

#[ktest]
fn wake_storm() {
    let (cores, calls) = (core_count(), 400);
    let beds: Vec<Arc<Sleeper>> = (0..4 * cores).map(|_| Arc::default()).collect();
    let sleep = |bed: &Arc<Sleeper>| {
        let bed = bed.clone();
        guarded(Builder::new("sleeper"), move || {
            // A call that is lost leaves it asleep for good; one that is made twice wakes it too often.
            let mut wakes = 0;
            while !bed.is_over.load(Ordering::Acquire) {
                block_for_a_while();
                wakes += 1;
                assert!(wakes <= bed.called.load(Ordering::Acquire) + 1, "more wake-ups than calls");
            }
        })
    };
    let sleepers: Vec<Handle> = beds.iter().map(sleep).collect();
    let called: Arc<Vec<(Arc<Sleeper>, Arc<Strand>)>> = Arc::new(
        beds.iter().zip(&sleepers).map(|(bed, handle)| (bed.clone(), handle.strand().clone())).collect(),
    );
    let callers = called.clone();
    everywhere(move |core| {
        let mut random = Random::new(core);
        for _ in 0..calls {
            let (bed, strand) = &callers[random.below(callers.len())];
            bed.called.fetch_add(1, Ordering::Release);
            sched::unblock(strand);
            if random.below(16) == 0 {
                sched::yield_now::<Cpu>();
            }
        }
    });
    for (bed, strand) in &*called {
        bed.is_over.store(true, Ordering::Release);
        sched::unblock(strand);
    }
    sleepers.into_iter().for_each(Handle::join);
    let sum: u64 = beds.iter().map(|bed| bed.called.load(Ordering::Relaxed)).sum();
    assert_eq!(sum, (calls * cores) as u64);
}

#[ktest]
fn sleeps_end_in_order() {
    let cores = core_count();
    let is_in_order = (0..10).any(|seed| {
        let core = seed % cores;
        let order = Arc::new(Mutex::new(Vec::new()));
        let base = Cpu::now_ns() + 30 * MILLISECOND;
        let has_missed_it = Arc::new(AtomicBool::new(false));
        let mut random = Random::new(seed);
        // Differing deadlines, in disorder.
        let delays: Vec<u64> = (0..20).map(|index| index + 20 * (random.next() % 50)).collect();
        let sleep = |delay: &u64| {
            let (order, delay, has_missed_it) = (order.clone(), *delay, has_missed_it.clone());
            guarded(on(core), move || {
                let deadline = base + delay * (MILLISECOND / 50);
                if Cpu::now_ns() >= base {
                    has_missed_it.store(true, Ordering::Relaxed);
                }
                while Cpu::now_ns() < deadline {
                    sched::block_until::<Cpu>(deadline);
                }
                order.lock().push(delay);
            })
        };
        let strands: Vec<_> = delays.iter().map(sleep).collect();
        strands.into_iter().for_each(Handle::join);
        let order = core::mem::take(&mut *order.lock());
        assert_eq!(order.len(), delays.len());
        // On a crowded machine one may come too late to sleep, or lose the core just after it woke; but not
        // each time.
        !has_missed_it.load(Ordering::Relaxed) && order.is_sorted()
    });
    assert!(is_in_order, "sleepers never woke in the order of their deadlines");
}

#[ktest]
fn mutex_excludes() {
    let rounds = 60;
    let sum = Arc::new(Mutex::new(0_usize));
    let all = sum.clone();
    everywhere(move |core| {
        let add = |seed: usize| {
            let sum = all.clone();
            guarded(Builder::new("adder"), move || {
                let mut random = Random::new(seed);
                for _ in 0..rounds {
                    let mut sum = sum.lock();
                    let before = *sum;
                    // Others get a chance to break in.
                    match random.below(8) {
                        0 => sched::sleep_ns::<Cpu>(MILLISECOND / 50),
                        1..4 => sched::yield_now::<Cpu>(),
                        _ => {}
                    }
                    *sum = before + 1;
                }
            })
        };
        let strands = [add(2 * core), add(2 * core + 1)];
        strands.into_iter().for_each(Handle::join);
    });
    assert_eq!(*sum.lock(), 2 * rounds * core_count());
}
