//! What cores a package has, and when: its share, its reservations, and where its strands go on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dispatcher::Processor;
use sched::{
    Builder, CoreSet, Priority,
    host::{HostMachine, Policy, poll, register, run, spawn, spawn_as, spawn_in},
    package::{Grant, GrantError, Next, Reason, RegisterError, Reservation, Silent, Why},
    sleep_ns, yield_now,
};

use crate::support::{Fifo, any, busy, resign, rounds, wait_until};

/// It calls every strand off as soon as it runs, for ever: the slice is its carrier's all the same, and has an end.
#[test]
fn whoever_is_impatient_leaves_others_their_turn() {
    struct Impatient(Fifo);
    impl Policy for Impatient {
        fn resume(&self, core: usize) -> Result<Next, Silent> {
            self.0.resume(core).map(|next| match next {
                Next::Run(strand) => Next::RunUntil(strand, 1),
                other => other,
            })
        }
        fn checkpoint(&self, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
            self.0.checkpoint(core, strand, why)
        }
        fn block(&self, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
            self.0.block(core, strand, reason)
        }
        fn unblock(&self, strand: u64) -> Result<(), Silent> {
            self.0.unblock(strand)
        }
    }
    run(1, || {
        let package = register("impatient", any(), Arc::new(Impatient(Fifo::default()))).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..2)
            .map(|_| {
                let is_over = is_over.clone();
                spawn_in(&package, move || {
                    while !is_over.load(Ordering::Relaxed) {
                        poll();
                    }
                })
            })
            .collect();
        // Were it not so, this strand would not come back.
        (0..5).for_each(|_| sleep_ns::<HostMachine>(1_000_000));
        is_over.store(true, Ordering::Relaxed);
        busy.into_iter().for_each(|strand| strand.join());
        resign(&package);
    });
}

/// One that is to be called off, and is in its package's own code, where it cannot be, goes on there for the rest of its
/// carrier's slice: it does not lose the core to an equal whenever that is found.
#[test]
fn whoever_is_late_in_its_own_code_keeps_its_turn() {
    struct Slow(Fifo);
    impl Policy for Slow {
        fn resume(&self, core: usize) -> Result<Next, Silent> {
            self.0.resume(core).map(|next| match next {
                Next::Run(strand) => Next::RunUntil(strand, 1),
                other => other,
            })
        }
        fn checkpoint(&self, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
            self.0.checkpoint(core, strand, why)
        }
        fn block(&self, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
            (0..200).for_each(|_| poll());
            self.0.block(core, strand, reason)
        }
        fn unblock(&self, strand: u64) -> Result<(), Silent> {
            self.0.unblock(strand)
        }
    }
    run(1, || {
        let package = register("slow", any(), Arc::new(Slow(Fifo::default()))).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let computes = is_over.clone();
        let other = spawn(move || {
            while !computes.load(Ordering::Relaxed) {
                poll();
            }
        });
        let ours = spawn_in(&package, || (0..5).for_each(|_| yield_now::<HostMachine>()));
        ours.join();
        let turns = other.strand().preemptions();
        is_over.store(true, Ordering::Relaxed);
        other.join();
        assert!(turns < 200, "it lost the core {turns} times in 1,200 looks");
        resign(&package);
    });
}

/// A strand of the package's loses its core to somebody more urgent, who keeps it: it goes on where a virtual processor
/// is idle, and does not wait for its own.
#[test]
fn whoever_loses_a_core_has_another() {
    run(2, || {
        let package = register("two", any(), Fifo::direct()).unwrap();
        let (place, is_over) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicBool::new(false)));
        let ours = spawn_in(&package, {
            let (place, is_over) = (place.clone(), is_over.clone());
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    place.store(HostMachine::core_id(), Ordering::Relaxed);
                    poll();
                }
            }
        });
        wait_until("it runs", || place.load(Ordering::Relaxed) != usize::MAX);
        for _ in 0..rounds(20) {
            let taken = place.load(Ordering::Relaxed);
            let urgent = Builder::new("urgent").priority(Priority::HIGH).affinity(CoreSet::only(taken));
            let seen = place.clone();
            let urgent = spawn_as(urgent, move || {
                while seen.load(Ordering::Relaxed) == taken {
                    poll();
                }
            });
            urgent.join();
        }
        is_over.store(true, Ordering::Relaxed);
        ours.join();
        resign(&package);
    });
}

#[test]
fn reservations_are_summed_up_before_they_are_granted() {
    run(2, || {
        let half = Reservation { budget_ns: 5_000_000, period_ns: 10_000_000 };
        let grant = |cores, budget_ns| Grant::on(cores).reserving(Reservation { budget_ns, ..half });
        let first = register("first", grant(CoreSet::only(0), 5_000_000), Fifo::direct()).unwrap();
        let refused = register("second", grant(CoreSet::ALL, 5_000_000), Fifo::direct()).err();
        let left = GrantError::Exhausted { core: 0, left: 400 };
        assert_eq!(refused, Some(RegisterError::Grant(left)));
        let second = register("second", grant(CoreSet::ALL, 4_000_000), Fifo::direct()).unwrap();
        busy(&second, 3, rounds(20));
        busy(&first, 3, rounds(20));
        resign(&first);
        let third = register("third", grant(CoreSet::only(0), 5_000_000), Fifo::direct()).unwrap();
        resign(&second);
        resign(&third);
        let bad = grant(CoreSet::ALL, 11_000_000);
        let refused = register("greedy", bad, Fifo::direct()).err();
        assert_eq!(refused, Some(RegisterError::Grant(GrantError::BadReservation)));
        let nowhere = register("nowhere", Grant::on(CoreSet::only(7)), Fifo::direct()).err();
        assert_eq!(nowhere, Some(RegisterError::Grant(GrantError::NoSuchCore)));
    });
}

/// On one core, three strands of a package's and one beside it, all without end: the package has its turn as often as
/// the one beside it, not three times as often.
#[test]
fn a_package_counts_as_one_strand_on_a_core() {
    run(1, || {
        let policy = Arc::new(Fifo::default());
        let package = register("many", any(), policy.clone()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let compute = || {
            let is_over = is_over.clone();
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    poll();
                }
            }
        };
        let ours: Vec<_> = (0..3).map(|_| spawn_in(&package, compute())).collect();
        let other = spawn(compute());
        let turns = || other.strand().preemptions();
        wait_until("both have had turns", || turns() >= 20);
        let (turns, checkpoints) = (turns(), policy.checkpoints.load(Ordering::Relaxed) as u64);
        is_over.store(true, Ordering::Relaxed);
        ours.into_iter().for_each(|joiner| joiner.join());
        other.join();
        // This strand, which looks on, comes in between now and then.
        assert!(turns.abs_diff(checkpoints) <= turns / 2, "{checkpoints} turns beside {turns}");
        resign(&package);
    });
}

/// A package that has nobody to run is asked when something has changed, and now and then, and not over and over.
#[test]
fn a_package_without_work_is_left_alone() {
    struct Idler(AtomicUsize);
    impl Policy for Idler {
        fn resume(&self, _core: usize) -> Result<Next, Silent> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Next::Idle)
        }
        fn checkpoint(&self, _core: usize, _strand: u64, _why: Why) -> Result<(), Silent> {
            Ok(())
        }
        fn block(&self, _core: usize, _strand: u64, _reason: Reason) -> Result<u64, Silent> {
            Ok(0)
        }
        fn unblock(&self, _strand: u64) -> Result<(), Silent> {
            Ok(())
        }
    }
    run(2, || {
        let idler = Arc::new(Idler(AtomicUsize::new(0)));
        let package = register("idler", any(), idler.clone()).unwrap();
        let ours: Vec<_> = (0..3).map(|_| spawn_in(&package, || 1)).collect();
        sleep_ns::<HostMachine>(300_000_000);
        let asked = idler.0.load(Ordering::Relaxed);
        assert!(asked <= 20, "asked {asked} times");
        resign(&package);
        assert_eq!(ours.into_iter().map(|joiner| joiner.join()).sum::<usize>(), 3);
    });
}
