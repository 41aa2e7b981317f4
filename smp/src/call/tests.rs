//! The protocol of cross-calls under loom (every interleaving within bounds) and under plain threads (many of them).

#[cfg(loom)]
use loom::{
    sync::atomic::{AtomicUsize, Ordering},
    sync::{Arc, Notify as Line},
    thread,
};
#[cfg(not(loom))]
use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::board::{Board, Request};
use crate::CoreSet;

/// A machine of `N` threads: the board, each core's interrupt line, and how many cores have made all their calls.
struct Machine<const N: usize> {
    board: Board<N>,
    lines: [Line; N],
    finished: AtomicUsize,
}

impl<const N: usize> Machine<N> {
    fn new() -> Self {
        let lines = core::array::from_fn(|_| Line::new());
        Self { board: Board::new(), lines, finished: AtomicUsize::new(0) }
    }

    /// What core `me` does: a call to each set of `plan`, then answering interrupts until every core is through.
    fn run(&self, me: usize, plan: impl Iterator<Item = CoreSet>) {
        for targets in plan {
            let ran = AtomicUsize::new(0);
            let request = Request { function: count, argument: &raw const ran as usize };
            let interrupt = |core: usize| self.lines[core].notify();
            let sleep = || self.lines[me].wait();
            // SAFETY: this thread alone acts as core `me`.
            unsafe { self.board.call(me, targets, request, interrupt, thread::yield_now, sleep) };
            // Relaxed is enough only because the call promises that what the targets did is visible.
            assert_eq!(ran.load(Ordering::Relaxed), targets.len());
        }
        if self.finished.fetch_add(1, Ordering::AcqRel) + 1 == N {
            self.lines.iter().for_each(Line::notify);
        }
        while self.finished.load(Ordering::Acquire) < N {
            // As on a machine: no interrupt, no service. A lost interrupt hangs the test.
            self.lines[me].wait();
            self.board.serve(me, |core| self.lines[core].notify());
        }
    }
}

/// An interrupt line: remembers one interrupt, and halts without one.
#[cfg(not(loom))]
struct Line(std::sync::Mutex<bool>, std::sync::Condvar);

#[cfg(not(loom))]
impl Line {
    fn new() -> Self {
        Self(std::sync::Mutex::new(false), std::sync::Condvar::new())
    }

    fn notify(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let raised = self.0.lock().unwrap();
        *self.1.wait_while(raised, |raised| !*raised).unwrap() = false;
    }
}

fn count(counter: usize) {
    let counter = counter as *const AtomicUsize;
    // SAFETY: the initiator keeps the counter on its stack until its call returns, which waits for us.
    let counter = unsafe { &*counter };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Checks all interleavings with at most `preemptions` switches away from a core that could go on.
#[cfg(loom)]
fn check<const N: usize>(
    preemptions: usize,
    plan: impl Fn(usize) -> Vec<CoreSet> + Copy + Send + Sync + 'static,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    // Whoever waits yields again and again.
    model.max_branches = 20_000;
    model.check(move || {
        let machine = Arc::new(Machine::<N>::new());
        let others = (1..N).map(|me| {
            let machine = machine.clone();
            thread::spawn(move || machine.run(me, plan(me).into_iter()))
        });
        let others: Vec<_> = others.collect();
        machine.run(0, plan(0).into_iter());
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// Each waits for the next, so that whoever does not serve while it waits stops all three.
#[cfg(loom)]
#[test]
fn loom_three_cores_call_in_a_circle() {
    check::<3>(1, |me| vec![CoreSet::only((me + 1) % 3)]);
}

/// Two requests meet on one core, which calls one of the two itself.
#[cfg(loom)]
#[test]
fn loom_three_cores_meet_on_one() {
    check::<3>(1, |me| vec![CoreSet::only(usize::from(me == 0))]);
}

#[cfg(loom)]
#[test]
fn loom_two_cores_use_their_slots_again() {
    check::<2>(3, |me| vec![CoreSet::only(1 - me); 2]);
}

#[cfg(loom)]
#[test]
fn loom_two_cores_call_both() {
    check::<2>(3, |_| vec![CoreSet::first(2)]);
}

#[cfg(not(loom))]
#[test]
fn a_storm_of_calls_ends() {
    const CALLS: u64 = if cfg!(miri) { 20 } else { 2_000 };
    let machine = Arc::new(Machine::<8>::new());
    let cores: Vec<_> = (0..8)
        .map(|me| {
            let machine = machine.clone();
            thread::spawn(move || {
                let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(me as u64 + 1);
                let plan = (0..CALLS).map(move |_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    CoreSet::from_bits(random >> 56)
                });
                machine.run(me, plan);
            })
        })
        .collect();
    for core in cores {
        core.join().unwrap();
    }
}

#[cfg(not(loom))]
#[test]
#[should_panic(expected = "inside another")]
fn a_call_inside_a_call_is_refused() {
    static BOARD: Board<2> = Board::new();
    /// Runs on core 0, as part of core 0's own call: a breach that the board must notice.
    fn call_again(_: usize) {
        call(|_| ());
    }
    fn call(function: fn(usize)) {
        let both = CoreSet::first(2);
        // SAFETY: this thread alone acts as core 0, though from inside its own call the second time.
        unsafe { BOARD.call(0, both, Request { function, argument: 0 }, |_| (), || (), || ()) };
    }
    call(call_again);
}
