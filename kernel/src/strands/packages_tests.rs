//! Thread packages that are spindles: they run strands of the kernel's, and go while these go on.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sched::{Builder, Machine, package::ExitReason};

use super::{Cpu, Handle, Package, spawn::STACK_SIZE};
use crate::{
    domains,
    ktest::{Level, core_count, ktest},
    memory::Stack,
};

fn package(name: &str) -> Arc<Package> {
    let all = Cpu::scheduler().packages().all();
    all.into_iter().find(|package| package.name() == name).expect("it is registered")
}

fn managed(package: &Arc<Package>, body: impl FnOnce() + Send + 'static) -> Handle {
    let stack = Stack::new(STACK_SIZE).expect("there is memory");
    Builder::new("managed").spawn_managed(package, stack, body).expect("there is room")
}

fn last_exit() -> Option<ExitReason> {
    Cpu::scheduler().packages().exits().last().map(|exit| exit.reason)
}

/// Strands of the package's that yield and sleep; each is on one core at a time.
fn busy(package: &Arc<Package>, count: usize, turns: usize) -> Vec<Handle> {
    let one = |number: usize| {
        let is_running = AtomicBool::new(false);
        managed(package, move || {
            for turn in 0..turns {
                assert!(!is_running.swap(true, Ordering::SeqCst), "on two cores at once");
                is_running.store(false, Ordering::SeqCst);
                if (number + turn).is_multiple_of(4) {
                    sched::sleep_ns::<Cpu>(1_000 * (turn as u64 % 50));
                } else {
                    sched::yield_now::<Cpu>();
                }
            }
        })
    };
    (0..count).map(one).collect()
}

#[ktest]
fn a_spindle_schedules_strands() {
    let before = Level::settled();
    domains::load("queues").expect("it is a good spindle");
    let package = package("queues");
    assert_eq!(package.seats().count(), core_count());
    busy(&package, 12, 100).into_iter().for_each(Handle::join);
    assert_eq!(package.strands(), 0);
    drop(package);
    domains::unload("queues").expect("it is loaded");
    assert_eq!(last_exit(), Some(ExitReason::DomainGone));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn strands_go_on_without_their_package() {
    // These are there till the end.
    let is_over = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicUsize::new(0));
    let before = Level::settled();
    domains::load("queues").expect("it is a good spindle");
    let package = package("queues");
    let computing = (0..core_count()).map(|_| {
        let (is_over, turns) = (is_over.clone(), turns.clone());
        managed(&package, move || {
            while !is_over.load(Ordering::Relaxed) {
                turns.fetch_add(1, Ordering::Relaxed);
                core::hint::spin_loop();
            }
        })
    });
    let computing: Vec<_> = computing.collect();
    let others = busy(&package, 6, 400);
    sched::sleep_ns::<Cpu>(20_000_000);
    drop(package);
    domains::unload("queues").expect("it is loaded");
    let seen = turns.load(Ordering::Relaxed);
    others.into_iter().for_each(Handle::join);
    while turns.load(Ordering::Relaxed) == seen {
        sched::sleep_ns::<Cpu>(1_000_000);
    }
    is_over.store(true, Ordering::Relaxed);
    computing.into_iter().for_each(Handle::join);
    assert_eq!(Level::settled(), before);
}
