//! Strands that are terminated, in every state.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dispatcher::Processor;
use sched::{
    Builder, CoreSet, Mutex, State, Terminated, Woken, block,
    host::{HostMachine, HostStack, Joiner, poll, run, spawn, spawn_as, this},
    is_terminated, sleep_ns, terminate, try_block, try_block_until, try_sleep_ns, unblock, yield_now,
};

/// Longer than any test.
const LONG_NS: u64 = 3_600_000_000_000;

type Flag = Arc<AtomicBool>;

/// Waits until `holds`, letting others run.
fn wait_until(holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 60, "it never happened");
        yield_now::<HostMachine>();
        poll();
        std::thread::yield_now();
    }
}

fn wait_until_blocked<T>(joiner: &Joiner<T>) {
    wait_until(|| joiner.strand().state() == State::Blocked);
}

#[test]
fn one_that_has_not_begun_never_begins() {
    run(1, || {
        let has_begun = Flag::default();
        let (flag, kept) = (has_begun.clone(), Arc::new(()));
        let held = kept.clone();
        let entry = move || {
            let _held = &held;
            flag.store(true, Ordering::Relaxed);
        };
        // It waits for the core, which this strand keeps.
        let handle = Builder::new("late").spawn::<HostMachine>(HostStack::new(), entry).unwrap();
        assert_eq!(handle.strand().state(), State::Runnable);
        assert!(handle.terminate());
        assert!(!handle.terminate(), "the second time changes nothing");
        assert_eq!(Arc::strong_count(&kept), 2, "its entry is dropped in its own turn");
        handle.join();
        assert!(!has_begun.load(Ordering::Relaxed));
        assert_eq!(Arc::strong_count(&kept), 1, "its entry is dropped");
    });
}

#[test]
fn one_that_is_queued_goes_on_until_it_asks() {
    run(1, || {
        let rounds = Arc::new(AtomicUsize::new(0));
        let count = rounds.clone();
        let queued = spawn(move || {
            while !is_terminated::<HostMachine>() {
                count.fetch_add(1, Ordering::Relaxed);
                yield_now::<HostMachine>();
            }
            // It may clean up in peace.
            yield_now::<HostMachine>();
            sleep_ns::<HostMachine>(1000);
        });
        wait_until(|| rounds.load(Ordering::Relaxed) > 3);
        assert_eq!(queued.strand().state(), State::Runnable);
        terminate(queued.strand());
        let before = rounds.load(Ordering::Relaxed);
        queued.join();
        assert_eq!(rounds.load(Ordering::Relaxed), before, "it asked as soon as it ran");
    });
}

#[test]
fn one_that_runs_elsewhere_goes_on_until_it_asks() {
    run(2, || {
        let elsewhere = 1 - HostMachine::core_id();
        let may_ask = Flag::default();
        let (begun, told) = (Flag::default(), may_ask.clone());
        let has_begun = begun.clone();
        let busy = spawn_as(Builder::new("busy").affinity(CoreSet::only(elsewhere)), move || {
            begun.store(true, Ordering::Relaxed);
            while !told.load(Ordering::Relaxed) {
                std::thread::yield_now();
                poll();
            }
            let was_terminated = is_terminated::<HostMachine>();
            // Its waits are over before they begin.
            (was_terminated, try_block::<HostMachine>(), try_sleep_ns::<HostMachine>(LONG_NS))
        });
        wait_until(|| has_begun.load(Ordering::Relaxed));
        terminate(busy.strand());
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(busy.strand().state(), State::Running, "nobody stops it");
        may_ask.store(true, Ordering::Relaxed);
        assert_eq!(busy.join(), (true, Err(Terminated), Err(Terminated)));
    });
}

#[test]
fn one_that_is_blocked_is_woken() {
    for cores in [1, 2] {
        run(cores, || {
            let blocked = spawn(try_block::<HostMachine>);
            wait_until_blocked(&blocked);
            terminate(blocked.strand());
            assert_eq!(blocked.join(), Err(Terminated));
        });
    }
}

#[test]
fn waits_say_how_they_ended() {
    run(1, || {
        let start = HostMachine::now_ns();
        let wait = |until| spawn(move || try_block_until::<HostMachine>(until));
        let (timed, called, ended) = (wait(start + 1_000_000), wait(LONG_NS), wait(LONG_NS));
        wait_until_blocked(&called);
        wait_until_blocked(&ended);
        unblock(called.strand());
        terminate(ended.strand());
        assert_eq!(called.join(), Ok(Woken::Called));
        assert_eq!(ended.join(), Err(Terminated));
        assert_eq!(timed.join(), Ok(Woken::TimedOut));
        assert!(HostMachine::now_ns() >= start + 1_000_000);
        // A moment that has passed is not waited for.
        assert_eq!(try_block_until::<HostMachine>(start), Ok(Woken::TimedOut));
    });
}

#[test]
fn one_that_sleeps_is_woken() {
    run(2, || {
        let sleeper = spawn(|| try_sleep_ns::<HostMachine>(LONG_NS));
        wait_until_blocked(&sleeper);
        // A call by somebody else is not the end of its sleep.
        unblock(sleeper.strand());
        wait_until_blocked(&sleeper);
        terminate(sleeper.strand());
        assert_eq!(sleeper.join(), Err(Terminated));
        assert_eq!(try_sleep_ns::<HostMachine>(1000), Ok(()), "only that one is meant");
    });
}

#[test]
fn one_that_joins_is_woken_and_others_can_still_join() {
    run(2, || {
        let sleeper =
            Builder::new("sleeper").spawn::<HostMachine>(HostStack::new(), block::<HostMachine>).unwrap();
        let handle = Arc::new(sleeper);
        let shared = handle.clone();
        let joiner = spawn(move || shared.try_join());
        wait_until_blocked(&joiner);
        terminate(joiner.strand());
        assert_eq!(joiner.join(), Err(Terminated));
        let shared = handle.clone();
        let joiner = spawn(move || shared.try_join());
        wait_until_blocked(&joiner);
        unblock(handle.strand());
        assert_eq!(joiner.join(), Ok(()));
        assert_eq!(handle.try_join(), Ok(()), "and late");
    });
}

#[test]
fn one_that_waits_for_a_lock_gets_it_first() {
    static LOCK: Mutex<usize, HostMachine> = Mutex::new(0);
    run(2, || {
        let guard = LOCK.lock();
        let waiter = spawn(|| {
            *LOCK.lock() += 1;
            try_block::<HostMachine>()
        });
        wait_until_blocked(&waiter);
        terminate(waiter.strand());
        sleep_ns::<HostMachine>(1_000_000);
        wait_until_blocked(&waiter);
        assert_eq!(*guard, 0);
        drop(guard);
        assert_eq!(waiter.join(), Err(Terminated));
        assert_eq!(*LOCK.lock(), 1);
    });
}

#[test]
fn one_that_has_ended_stays_so() {
    run(1, || {
        let ended = spawn(|| 7);
        let strand = ended.strand().clone();
        assert_eq!(ended.join(), 7);
        assert_eq!(strand.state(), State::Ended);
        assert!(terminate(&strand));
        yield_now::<HostMachine>();
        assert_eq!(strand.state(), State::Ended);
    });
}

#[test]
fn one_may_terminate_itself() {
    run(1, || {
        let itself = spawn(|| {
            terminate(&this());
            (is_terminated::<HostMachine>(), try_block::<HostMachine>())
        });
        assert_eq!(itself.join(), (true, Err(Terminated)));
    });
}

/// Terminated at any moment around a wait, a strand does not sleep on.
#[test]
fn no_termination_is_lost() {
    run(2, || {
        let rounds = if cfg!(miri) { 5 } else { 200 };
        let elsewhere = CoreSet::only(1 - HostMachine::core_id());
        for round in 0..rounds {
            let builder = Builder::new("victim").affinity(elsewhere);
            let entry = || {
                while try_block::<HostMachine>().is_ok() {}
                while try_sleep_ns::<HostMachine>(LONG_NS).is_ok() {}
            };
            let victim = builder.spawn::<HostMachine>(HostStack::new(), entry).unwrap();
            (0..round % 20).for_each(|_| std::thread::yield_now());
            terminate(victim.strand());
            victim.join();
        }
    });
}
