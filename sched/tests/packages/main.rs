//! Thread packages on a machine of threads: they run their strands, and whatever they answer harms nobody else.

mod liars;
mod support;
mod turns;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sched::{
    Machine,
    host::{HostMachine, poll, register, run, spawn_in, stacks, this},
    package::{ExitReason, HandOffError, hand_off},
    sleep_ns, yield_now,
};
use support::{Fifo, any, busy, exits, resign, rounds, wait_until};

#[test]
fn a_package_runs_its_strands() {
    for cores in [1, 2, 4] {
        for policy in [Arc::new(Fifo::default()), Fifo::direct()] {
            run(cores, move || {
                let package = register("fifo", any(), policy.clone()).unwrap();
                assert_eq!(package.seats().count(), cores);
                busy(&package, 10, rounds(200));
                assert_eq!(package.strands(), 0);
                assert!(policy.resumed.load(Ordering::Relaxed) > 0);
                resign(&package);
                assert_eq!(exits(), [(package.number(), ExitReason::Resigned)]);
            });
        }
    }
}

#[test]
fn strands_of_a_package_that_ends_go_on() {
    for cores in [1, 3] {
        run(cores, move || {
            for _ in 0..rounds(30) {
                let package = register("brief", any(), Fifo::direct()).unwrap();
                let body = || {
                    for turn in 0..rounds(50) {
                        poll();
                        if turn % 3 == 0 { sleep_ns::<HostMachine>(500) } else { yield_now::<HostMachine>() }
                    }
                };
                let joiners: Vec<_> = (0..6).map(|_| spawn_in(&package, body)).collect();
                sleep_ns::<HostMachine>(200_000);
                resign(&package);
                joiners.into_iter().for_each(|joiner| joiner.join());
                assert_eq!(package.strands(), 0);
            }
            assert!(HostMachine::scheduler().packages().all().is_empty());
        });
    }
}

/// Two strands that hand their core to each other.
#[test]
fn a_strand_hands_its_core_to_another() {
    run(1, || {
        let fifo = Fifo::direct();
        let package = register("pair", any(), fifo.clone()).unwrap();
        let number = package.number();
        let (turn, count) = (Arc::new(AtomicUsize::new(0)), rounds(1_000));
        let body = |own: usize| {
            let (turn, fifo) = (turn.clone(), fifo.clone());
            move || {
                for _ in 0..count {
                    while turn.load(Ordering::SeqCst) % 2 != own {
                        fifo.push(this().handle().unwrap());
                        hand_off::<HostMachine>(None, number, fifo.pop().unwrap_or(0)).unwrap_or(());
                    }
                    turn.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let pair = [spawn_in(&package, body(0)), spawn_in(&package, body(1))];
        pair.into_iter().for_each(|joiner| joiner.join());
        assert_eq!(turn.load(Ordering::SeqCst), 2 * count);
        assert_eq!(
            hand_off::<HostMachine>(None, number, 0),
            Err(HandOffError::NotCarried),
            "by one of no package"
        );
        resign(&package);
    });
}

#[test]
fn stacks_of_packages_come_back() {
    run(2, || {
        let before = stacks();
        let package = register("brief", any(), Fifo::direct()).unwrap();
        busy(&package, 4, 10);
        resign(&package);
        drop(package);
        wait_until("the stacks are freed", || stacks() == before);
    });
}
