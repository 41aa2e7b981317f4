//! Thread packages on a machine of threads: they run their strands, and whatever they answer harms nobody else.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sched::{
    CoreSet, Machine,
    host::{HostMachine, Policy, poll, register, run, spawn, spawn_in, stacks, this},
    package::{
        ExitReason, Grant, GrantError, HandOffError, Next, Package, Reason, RegisterError, Reservation,
        Silent, Why, hand_off, release,
    },
    sleep_ns, yield_now,
};

type Host = Package<HostMachine>;

/// So many, or fewer where each takes long.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 100 + 2 } else { count }
}

/// Waits until `holds`, letting others run.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never happened: {what}");
        sleep_ns::<HostMachine>(50_000);
        poll();
    }
}

/// First come, first served, on whatever core is there.
#[derive(Default)]
struct Fifo {
    ready: Mutex<VecDeque<u64>>,
    resumed: AtomicUsize,
    checkpoints: AtomicUsize,
    /// Does `block` say who is next, or leave that to `resume`?
    is_direct: bool,
}

impl Fifo {
    fn direct() -> Arc<Self> {
        Arc::new(Self { is_direct: true, ..Self::default() })
    }

    fn pop(&self) -> Option<u64> {
        self.ready.lock().unwrap().pop_front()
    }

    fn push(&self, strand: u64) {
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

fn any() -> Grant {
    Grant::on(CoreSet::ALL)
}

fn exits() -> Vec<(u32, ExitReason)> {
    let exits = HostMachine::scheduler().packages().exits();
    exits.into_iter().map(|exit| (exit.number, exit.reason)).collect()
}

/// Ejects it by its own wish, and waits until nothing of it is left.
fn resign(package: &Arc<Host>) {
    package.eject(ExitReason::Resigned, 0, 0);
    wait_until("the package is gone", || package.is_gone());
}

/// Strands that compute, yield and sleep, each so many times; says whether any was on two cores at once.
fn busy(package: &Arc<Host>, strands: usize, turns: usize) {
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

/// What a package answers that is not honest.
struct Liar {
    honest: Fifo,
    lie: Box<dyn Fn(u64) -> Next + Send + Sync>,
}

impl Policy for Liar {
    fn resume(&self, core: usize) -> Result<Next, Silent> {
        match self.honest.resume(core)? {
            Next::Run(strand) => Ok((self.lie)(strand)),
            next => Ok(next),
        }
    }

    fn checkpoint(&self, core: usize, strand: u64, why: Why) -> Result<(), Silent> {
        self.honest.checkpoint(core, strand, why)
    }

    fn block(&self, core: usize, strand: u64, reason: Reason) -> Result<u64, Silent> {
        self.honest.block(core, strand, reason)
    }

    fn unblock(&self, strand: u64) -> Result<(), Silent> {
        self.honest.unblock(strand)
    }
}

/// A package that lies is ejected for that reason, its strands end all the same, and so do everybody else's.
fn liar(cores: usize, reason: ExitReason, lie: impl Fn(u64) -> Next + Send + Sync + 'static) {
    let liar = Arc::new(Liar { honest: Fifo::default(), lie: Box::new(lie) });
    let honest = register("honest", any(), Fifo::direct()).unwrap();
    let package = register("liar", any(), liar).unwrap();
    let others = spawn({
        let honest = honest.clone();
        move || busy(&honest, 4, rounds(100))
    });
    busy(&package, 5, rounds(20));
    others.join();
    wait_until("the liar is gone", || package.is_gone());
    assert_eq!(exits().last(), Some(&(package.number(), reason)), "on {cores} cores");
    assert!(!honest.is_ejected());
    resign(&honest);
}

#[test]
fn whoever_answers_with_a_strand_that_is_not_there_is_ejected() {
    run(2, || liar(2, ExitReason::NoSuchStrand, |strand| Next::Run(strand ^ 1 << 63)));
}

#[test]
fn whoever_answers_with_a_foreign_strand_is_ejected() {
    run(2, || {
        let handle = HostMachine::scheduler().directory().enter(&this()).unwrap();
        liar(2, ExitReason::ForeignStrand, move |_| Next::Run(handle));
    });
}

#[test]
fn whoever_answers_with_a_strand_that_ended_is_ejected() {
    run(2, || {
        let package = register("first", any(), Fifo::direct()).unwrap();
        let strand = spawn_in(&package, || this().handle().unwrap());
        let ended = strand.join();
        resign(&package);
        wait_until("it is off the list", || HostMachine::scheduler().directory().get(ended).is_none());
        liar(2, ExitReason::NoSuchStrand, move |_| Next::Run(ended));
    });
}

#[test]
fn whoever_answers_with_a_strand_that_runs_elsewhere_is_ejected() {
    run(3, || {
        let fifo = Arc::new(Fifo::default());
        let seen = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        // The first strand is answered with again and again.
        let lie = {
            let seen = seen.clone();
            move |strand: u64| {
                let _ = seen.compare_exchange(0, strand as usize, Ordering::SeqCst, Ordering::SeqCst);
                Next::Run(seen.load(Ordering::SeqCst) as u64)
            }
        };
        drop(fifo);
        let package = register("liar", any(), Arc::new(Liar { honest: Fifo::default(), lie: Box::new(lie) }));
        let package = package.unwrap();
        let over = is_over.clone();
        let first = spawn_in(&package, move || {
            while !over.load(Ordering::SeqCst) {
                poll();
                std::thread::yield_now();
            }
        });
        wait_until("it runs", || seen.load(Ordering::SeqCst) != 0);
        let second = spawn_in(&package, || 7);
        assert_eq!(second.join(), 7, "it goes on without the package");
        is_over.store(true, Ordering::SeqCst);
        first.join();
        wait_until("it is gone", || package.is_gone());
        assert_eq!(exits(), [(package.number(), ExitReason::RunsElsewhere)]);
    });
}

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

#[test]
fn whoever_does_not_answer_is_ejected() {
    struct Mute;
    impl Policy for Mute {
        fn resume(&self, _core: usize) -> Result<Next, Silent> {
            Err(Silent::Failed)
        }
        fn checkpoint(&self, _core: usize, _strand: u64, _why: Why) -> Result<(), Silent> {
            Err(Silent::Failed)
        }
        fn block(&self, _core: usize, _strand: u64, _reason: Reason) -> Result<u64, Silent> {
            Err(Silent::Failed)
        }
        fn unblock(&self, _strand: u64) -> Result<(), Silent> {
            Err(Silent::Failed)
        }
    }
    run(2, || {
        let package = register("mute", any(), Arc::new(Mute)).unwrap();
        busy(&package, 3, rounds(20));
        wait_until("it is gone", || package.is_gone());
        assert_eq!(exits(), [(package.number(), ExitReason::Silent)]);
    });
}

#[test]
fn whoever_forgets_its_strands_is_ejected() {
    struct Idler;
    impl Policy for Idler {
        fn resume(&self, _core: usize) -> Result<Next, Silent> {
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
        let grant = Grant { patience_ns: 20_000_000, ..any() };
        let package = register("idler", grant, Arc::new(Idler)).unwrap();
        busy(&package, 3, rounds(20));
        wait_until("it is gone", || package.is_gone());
        assert_eq!(exits(), [(package.number(), ExitReason::Starved)]);
    });
}

/// Leaves its strands waiting, and says so.
struct Keeper {
    package: OnceLock<Arc<Host>>,
    kept: AtomicUsize,
}

impl Policy for Keeper {
    fn resume(&self, _core: usize) -> Result<Next, Silent> {
        Ok(Next::Idle)
    }
    fn checkpoint(&self, _core: usize, _strand: u64, _why: Why) -> Result<(), Silent> {
        Ok(())
    }
    fn block(&self, _core: usize, _strand: u64, _reason: Reason) -> Result<u64, Silent> {
        Ok(0)
    }
    fn unblock(&self, strand: u64) -> Result<(), Silent> {
        let package = self.package.get().expect("strands come after it");
        assert!(package.keep(strand), "it is the package's own");
        assert!(!package.keep(strand ^ 1 << 63), "nobody has that name");
        self.kept.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn whoever_keeps_its_strands_is_not_ejected() {
    run(2, || {
        let keeper = Arc::new(Keeper { package: OnceLock::new(), kept: AtomicUsize::new(0) });
        let grant = Grant { patience_ns: 20_000_000, ..any() };
        let package = register("keeper", grant, keeper.clone()).unwrap();
        assert!(keeper.package.set(package.clone()).is_ok());
        let own = this();
        assert!(!package.keep(HostMachine::scheduler().directory().enter(&own).unwrap()), "a foreign one");
        let strands = [spawn_in(&package, || 1), spawn_in(&package, || 2)];
        wait_until("it has heard of both", || keeper.kept.load(Ordering::Relaxed) == 2);
        sleep_ns::<HostMachine>(200_000_000);
        // Its carriers look when they are resumed.
        package.wake();
        sleep_ns::<HostMachine>(50_000_000);
        package.wake();
        sleep_ns::<HostMachine>(50_000_000);
        assert!(!package.is_ejected());
        resign(&package);
        assert_eq!(strands.map(|strand| strand.join()), [1, 2], "they go on without it");
    });
}

/// A strand is taken from its package without a word, and ends: the package may name it once.
#[test]
fn a_package_is_excused_for_a_strand_that_was_taken_from_it() {
    struct Late {
        known: AtomicU64,
        is_late: AtomicBool,
        answers: AtomicUsize,
    }
    impl Policy for Late {
        fn resume(&self, _core: usize) -> Result<Next, Silent> {
            if !self.is_late.load(Ordering::SeqCst) {
                return Ok(Next::Idle);
            }
            // Once, or else as often as it is asked.
            match self.answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
                Ok(_) => Ok(Next::Run(self.known.load(Ordering::SeqCst))),
                Err(_) => Ok(Next::Idle),
            }
        }
        fn checkpoint(&self, _core: usize, _strand: u64, _why: Why) -> Result<(), Silent> {
            Ok(())
        }
        fn block(&self, _core: usize, _strand: u64, _reason: Reason) -> Result<u64, Silent> {
            Ok(0)
        }
        fn unblock(&self, strand: u64) -> Result<(), Silent> {
            self.known.store(strand, Ordering::SeqCst);
            Ok(())
        }
    }
    run(2, || {
        let late = Arc::new(Late {
            known: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
            answers: AtomicUsize::new(1),
        });
        let package = register("late", any(), late.clone()).unwrap();
        let strand = spawn_in(&package, || 5);
        wait_until("it has heard", || late.known.load(Ordering::SeqCst) != 0);
        let handle = late.known.load(Ordering::SeqCst);
        let directory = HostMachine::scheduler().directory();
        // It may be noted only after it was told.
        release::<HostMachine>(&directory.get(handle).unwrap());
        assert_eq!(strand.join(), 5, "it goes on without the package");
        wait_until("it is off the list", || directory.get(handle).is_none());
        assert!(!package.keep(handle), "it is the package's no more");
        late.is_late.store(true, Ordering::SeqCst);
        wait_until("it has answered", || {
            package.wake();
            late.answers.load(Ordering::SeqCst) == 0
        });
        sleep_ns::<HostMachine>(5_000_000);
        assert!(!package.is_ejected(), "it could not know");
        late.answers.store(1, Ordering::SeqCst);
        wait_until("it is gone", || {
            package.wake();
            package.is_gone()
        });
        assert_eq!(exits().last(), Some(&(package.number(), ExitReason::NoSuchStrand)), "but now it could");
    });
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
fn reservations_are_summed_up_before_they_are_granted() {
    run(2, || {
        let half = Reservation { budget_ns: 5_000_000, period_ns: 10_000_000 };
        let grant = |cores, budget_ns| any_on(cores).reserving(Reservation { budget_ns, ..half });
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
        let nowhere = register("nowhere", any_on(CoreSet::only(7)), Fifo::direct()).err();
        assert_eq!(nowhere, Some(RegisterError::Grant(GrantError::NoSuchCore)));
    });
}

fn any_on(cores: CoreSet) -> Grant {
    Grant::on(cores)
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
