//! What the tests of packages have in common: an honest package, and strands for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sched::{
    CoreSet, Machine,
    host::{HostMachine, Policy, poll, spawn_in},
    package::{ExitReason, Grant, Next, Package, Reason, Silent, Why},
    sleep_ns, yield_now,
};

pub type Host = Package<HostMachine>;

/// So many, or fewer where each takes long.
pub const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 100 + 2 } else { count }
}

/// Waits until `holds`, letting others run.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never happened: {what}");
        sleep_ns::<HostMachine>(50_000);
        poll();
    }
}

/// First come, first served, on whatever core is there.
#[derive(Default)]
pub struct Fifo {
    ready: Mutex<VecDeque<u64>>,
    pub resumed: AtomicUsize,
    pub checkpoints: AtomicUsize,
    /// Does `block` say who is next, or leave that to `resume`?
    is_direct: bool,
}

impl Fifo {
    pub fn direct() -> Arc<Self> {
        Arc::new(Self { is_direct: true, ..Self::default() })
    }

    pub fn pop(&self) -> Option<u64> {
        self.ready.lock().unwrap().pop_front()
    }

    pub fn push(&self, strand: u64) {
        self.ready.lock().unwrap().push_back(strand);
    }
}

impl Policy for Fifo {
    fn resume(&self, _core: usize) -> Result<Next, Silent> {
        self.resumed.fetch_add(1, Ordering::Relaxed);
        Ok(self.pop().map_or(Next::Idle, Next::Run))
    }

    fn checkpoint(&self, _core: usize, strand: u64, _why: Why) -> Result<(), Silent> {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.push(strand);
        Ok(())
    }

    fn block(&self, _core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
        if reason == Reason::Yielded {
            self.push(strand);
        }
        Ok(if self.is_direct { self.pop().unwrap_or(0) } else { 0 })
    }

    fn unblock(&self, strand: u64) -> Result<(), Silent> {
        self.push(strand);
        Ok(())
    }
}

pub fn any() -> Grant {
    Grant::on(CoreSet::ALL)
}

pub fn exits() -> Vec<(u32, ExitReason)> {
    let exits = HostMachine::scheduler().packages().exits();
    exits.into_iter().map(|exit| (exit.number, exit.reason)).collect()
}

/// Ejects it by its own wish, and waits until nothing of it is left.
pub fn resign(package: &Arc<Host>) {
    package.eject(ExitReason::Resigned, 0, 0);
    wait_until("the package is gone", || package.is_gone());
}

/// Strands that compute, yield and sleep, each so many times; says whether any was on two cores at once.
pub fn busy(package: &Arc<Host>, strands: usize, turns: usize) {
    let make = |number: usize| {
        let is_running = Arc::new(AtomicBool::new(false));
        spawn_in(package, move || {
            for turn in 0..turns {
                assert!(!is_running.swap(true, Ordering::SeqCst), "on two cores at once");
                poll();
                is_running.store(false, Ordering::SeqCst);
                match (number + turn) % 4 {
                    0 => sleep_ns::<HostMachine>(1_000 * (turn as u64 % 7)),
                    1 => poll(),
                    _ => yield_now::<HostMachine>(),
                }
            }
            turns
        })
    };
    let joiners: Vec<_> = (0..strands).map(make).collect();
    assert_eq!(joiners.into_iter().map(|joiner| joiner.join()).sum::<usize>(), strands * turns);
}
