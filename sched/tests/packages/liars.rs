//! Packages that answer wrongly, or not at all, and one that is excused.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use sched::{
    Machine,
    host::{HostMachine, Policy, poll, register, run, spawn, spawn_in, this},
    package::{ExitReason, Grant, Next, Reason, Silent, Why, current, hand_off, release},
    sleep_ns, yield_now,
};

use crate::support::{Fifo, Host, any, busy, exits, resign, rounds, wait_until};

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

/// A package that never runs a strand again that has had its turn. One that is taken from it during that goes on.
#[test]
fn whoever_is_taken_from_its_package_while_it_runs_goes_on() {
    struct Once(Fifo);
    impl Policy for Once {
        fn resume(&self, core: usize) -> Result<Next, Silent> {
            self.0.resume(core)
        }
        fn checkpoint(&self, _core: usize, _strand: u64, _why: Why) -> Result<(), Silent> {
            Ok(())
        }
        fn block(&self, _core: usize, _strand: u64, _reason: Reason) -> Result<u64, Silent> {
            Ok(0)
        }
        fn unblock(&self, strand: u64) -> Result<(), Silent> {
            self.0.unblock(strand)
        }
    }
    run(2, || {
        let package = register("once", any(), Arc::new(Once(Fifo::default()))).unwrap();
        let number = package.number();
        let is_its = move || current::<HostMachine>(None, number).is_ok();
        let gives_up: [fn(u32); 3] = [
            |number| hand_off::<HostMachine>(None, number, 0).unwrap(),
            |_| yield_now::<HostMachine>(),
            |_| sleep_ns::<HostMachine>(100_000),
        ];
        for (way, give_up) in gives_up.into_iter().enumerate() {
            let strand = spawn_in(&package, move || {
                assert!(is_its());
                release::<HostMachine>(&this());
                assert!(is_its(), "as long as it runs");
                give_up(number);
                assert!(!is_its());
                give_up_freely();
                way
            });
            assert_eq!(strand.join(), way);
        }
        assert!(!package.is_ejected(), "it has done nothing wrong");
    });
}

fn give_up_freely() {
    yield_now::<HostMachine>();
    sleep_ns::<HostMachine>(1_000);
}
