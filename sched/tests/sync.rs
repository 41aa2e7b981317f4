//! The blocking primitives on the scheduler, on a machine of threads: races with deadlines, with wakings from
//! other cores and with termination, and lending in the order of priorities.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dispatcher::Processor;
use sched::{
    Barrier, Builder, Channel, Condition, CoreSet, Machine, Mutex, Priority, Semaphore, State, WaitError,
    host::{HostMachine, poll, run, spawn, spawn_as, this},
    sleep_ns, yield_now,
};

/// So many, or fewer where each takes long.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 200 + 2 } else { count }
}

fn soon(nanoseconds: u64) -> u64 {
    HostMachine::now_ns() + nanoseconds
}

/// Waits until `holds`, letting others run.
fn wait_until(holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 60, "it never happened");
        sleep_ns::<HostMachine>(50_000);
    }
}

/// Two strands signal and wait in turn.
fn ping_pong(cores: usize) {
    run(cores, move || {
        let pair = Arc::new([const { Semaphore::<HostMachine>::new(0) }; 2]);
        let count = rounds(3000);
        let players: Vec<_> = (0..2)
            .map(|player| {
                let pair = pair.clone();
                spawn_as(Builder::new("player").affinity(CoreSet::only(player % cores)), move || {
                    for _ in 0..count {
                        pair[1 - player].signal();
                        pair[player].wait();
                    }
                })
            })
            .collect();
        players.into_iter().for_each(|player| player.join());
        assert!(!pair[0].try_wait() && !pair[1].try_wait());
    });
}

#[test]
fn ping_pong_on_one_core() {
    ping_pong(1);
}

#[test]
fn ping_pong_across_cores() {
    ping_pong(2);
}

#[test]
fn deadlines_race_with_signals() {
    run(3, || {
        let semaphore = Arc::new(Semaphore::<HostMachine>::new(0));
        let (had, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let waiters: Vec<_> = (1..=3)
            .map(|step| {
                let (semaphore, had, is_over) = (semaphore.clone(), had.clone(), is_over.clone());
                spawn(move || {
                    let mut wait_ns = 0;
                    while !is_over.load(Ordering::Acquire) {
                        wait_ns = (wait_ns + 997 * step) % 60_000;
                        match semaphore.wait_until(soon(wait_ns)) {
                            Ok(()) => _ = had.fetch_add(1, Ordering::Relaxed),
                            Err(error) => assert_eq!(error, WaitError::TimedOut),
                        }
                        poll();
                    }
                })
            })
            .collect();
        let count = rounds(5000);
        for round in 0..count {
            semaphore.signal();
            if round % 4 == 0 {
                yield_now::<HostMachine>();
            }
            poll();
        }
        is_over.store(true, Ordering::Release);
        waiters.into_iter().for_each(|waiter| waiter.join());
        let left = core::iter::from_fn(|| semaphore.try_wait().then_some(())).count();
        assert_eq!(had.load(Ordering::Relaxed) + left, count);
    });
}

/// Strands that shall end while what they wait for is on its way: it is had once, by somebody.
#[test]
fn terminations_race_with_values() {
    run(3, || {
        for round in 0..rounds(600) {
            let channel = Arc::new(Channel::<usize, HostMachine>::new(1));
            let receiver = {
                let channel = channel.clone();
                spawn(move || channel.receive_interruptible())
            };
            if round % 2 == 0 {
                yield_now::<HostMachine>();
            }
            let strand = receiver.strand().clone();
            let killer = spawn(move || sched::terminate(&strand));
            channel.send(round).unwrap();
            killer.join();
            // One that was terminated before it began has no result.
            let has_ended = || receiver.strand().state() == State::Ended;
            wait_until(has_ended);
            let left = usize::from(channel.try_receive() == Ok(round));
            let taken = usize::from(receiver_result(receiver) == Some(Ok(round)));
            assert_eq!(left + taken, 1);
        }
    });
}

/// What it returned, if it began.
fn receiver_result<T: Send + 'static>(joiner: sched::host::Joiner<T>) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| joiner.join())).ok()
}

#[test]
fn a_bounded_buffer_of_a_mutex_and_conditions() {
    run(3, || {
        let shared = Arc::new((
            Mutex::<Vec<usize>, HostMachine>::new(Vec::new()),
            Condition::<HostMachine>::new(),
            Condition::<HostMachine>::new(),
        ));
        let total = rounds(1500);
        let producer = {
            let shared = shared.clone();
            spawn(move || {
                for number in 0..total {
                    let (mutex, room, some) = (&shared.0, &shared.1, &shared.2);
                    let mut buffer = mutex.lock();
                    while buffer.len() == 2 {
                        // A deadline now and then, so that both ends of a wait are tried.
                        _ = room.wait_until(&mut buffer, soon(20_000));
                    }
                    buffer.push(number);
                    some.notify_one();
                }
            })
        };
        let mut taken = Vec::new();
        while taken.len() < total {
            let mut buffer = shared.0.lock();
            while buffer.is_empty() {
                shared.2.wait(&mut buffer);
            }
            taken.append(&mut buffer);
            shared.1.notify_all();
        }
        producer.join();
        assert!(taken.into_iter().eq(0..total));
    });
}

#[test]
fn a_barrier_keeps_rounds_apart() {
    run(3, || {
        let shared = Arc::new((Barrier::<HostMachine>::new(4), AtomicUsize::new(0)));
        let count = rounds(500);
        let strands: Vec<_> = (0..4)
            .map(|_| {
                let shared = shared.clone();
                spawn(move || {
                    for round in 1..=count {
                        shared.1.fetch_add(1, Ordering::Relaxed);
                        shared.0.wait();
                        let arrived = shared.1.load(Ordering::Relaxed);
                        assert!((4 * round..4 * (round + 1)).contains(&arrived));
                    }
                })
            })
            .collect();
        strands.into_iter().for_each(|strand| strand.join());
    });
}

/// On one core: the owner has the priority of whoever waits, until the lock is handed on.
#[test]
fn the_owner_is_lent_the_priority_of_who_waits() {
    run(1, || {
        let mutex = Arc::new(Mutex::<(), HostMachine>::new(()));
        let base = this().priority();
        let guard = mutex.lock();
        let wait = |number: u8| {
            let mutex = mutex.clone();
            let builder = Builder::new("waiter").priority(Priority::new(number));
            let waiter = spawn_as(builder, move || {
                let deadline = HostMachine::now_ns() + 3_600_000_000_000;
                drop(mutex.lock_until(deadline));
            });
            wait_until(|| waiter.strand().state() == State::Blocked);
            waiter
        };
        let urgent = wait(25);
        assert_eq!(this().priority(), Priority::new(25));
        let more_urgent = wait(28);
        assert_eq!(this().priority(), Priority::new(28));
        let strand = more_urgent.strand().clone();
        sched::terminate(&strand);
        more_urgent.join();
        assert_eq!(this().priority(), Priority::new(25));
        assert_eq!(this().base_priority(), base);
        drop(guard);
        assert_eq!(this().priority(), base);
        urgent.join();
        assert!(
            HostMachine::scheduler()
                .strands()
                .iter()
                .all(|strand| strand.priority() == strand.base_priority())
        );
    });
}
