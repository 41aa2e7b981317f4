//! Strands on a machine of threads: made, joined, blocked, woken, stolen, and their stacks returned.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dispatcher::{Event, Handler, Processor, host::is_preemptible};
use sched::{
    Builder, CoreSet, Machine, Mutex, Priority, SpawnError, State, Strand, block, block_until, hand_off,
    host::{HostMachine, HostStack, poll, run, spawn, spawn_as, stacks, this, timer},
    on_timer, sleep_ns, unblock, yield_now,
};

type Shared<T> = Arc<StdMutex<T>>;

/// So many, or fewer where each takes long.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 200 + 2 } else { count }
}

/// Waits until `holds`, letting others run.
fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never happened");
        yield_now::<HostMachine>();
        poll();
        std::thread::yield_now();
    }
}

#[test]
fn a_strand_runs_and_is_joined() {
    assert_eq!(run(1, || spawn(|| 42).join()), 42);
    assert_eq!(
        run(2, || (0..10).map(|number| spawn(move || number)).map(|joiner| joiner.join()).sum::<i32>()),
        45
    );
}

#[test]
fn a_strand_for_no_core_is_refused() {
    run(1, || {
        let builder = Builder::new("nowhere").affinity(CoreSet::only(5));
        let refused = builder.spawn::<HostMachine>(HostStack::new(), || ());
        assert_eq!(refused.err(), Some(SpawnError::NoSuchCore));
    });
}

#[test]
fn a_strand_stays_where_it_may() {
    run(3, || {
        let here = spawn_as(Builder::new("pinned").affinity(CoreSet::only(2)), || {
            for _ in 0..rounds(500) {
                assert_eq!(HostMachine::core_id(), 2);
                yield_now::<HostMachine>();
                sleep_ns::<HostMachine>(1000);
            }
        });
        here.join();
    });
}

#[test]
fn reaping_returns_every_stack() {
    run(2, || {
        let before = stacks();
        for _ in 0..rounds(20) {
            // Kept until they were counted: a strand can be over, and reaped, before its maker goes on.
            let may_end = Arc::new(AtomicBool::new(false));
            let wait = |_| {
                let may_end = may_end.clone();
                spawn(move || {
                    while !may_end.load(Ordering::Acquire) {
                        yield_now::<HostMachine>();
                    }
                })
            };
            let strands: Vec<_> = (0..5).map(wait).collect();
            assert!(stacks() > before);
            may_end.store(true, Ordering::Release);
            strands.into_iter().for_each(|strand| strand.join());
            assert_eq!(stacks(), before);
        }
        let left = HostMachine::scheduler().strands();
        let names: Vec<_> = left.iter().map(|strand| strand.name()).collect();
        assert_eq!(names, ["housekeeper", "main"]);
    });
}

/// A word that is passed between two strands; each waits until it has the parity that it wants.
fn ping_pong(cores: usize, pin: bool) {
    run(cores, move || {
        let word = Arc::new(AtomicUsize::new(0));
        let partners: Shared<Vec<Arc<Strand<HostMachine>>>> = Arc::default();
        let count = rounds(2000);
        let players: Vec<_> = (0..2)
            .map(|player| {
                let (word, partners) = (word.clone(), partners.clone());
                let affinity = if pin { CoreSet::only(player % cores) } else { CoreSet::ALL };
                spawn_as(Builder::new("player").affinity(affinity), move || {
                    while partners.lock().unwrap().len() < 2 {
                        block::<HostMachine>();
                    }
                    let partner = partners.lock().unwrap()[1 - player].clone();
                    for _ in 0..count {
                        while word.load(Ordering::Relaxed) % 2 != player {
                            block::<HostMachine>();
                        }
                        word.fetch_add(1, Ordering::Relaxed);
                        unblock(&partner);
                    }
                })
            })
            .collect();
        partners.lock().unwrap().extend(players.iter().map(|player| player.strand().clone()));
        players.iter().for_each(|player| unblock(player.strand()));
        players.into_iter().for_each(|player| player.join());
        assert_eq!(word.load(Ordering::Relaxed), 2 * count);
    });
}

#[test]
fn ping_pong_on_one_core() {
    ping_pong(1, false);
}

#[test]
fn ping_pong_across_cores() {
    ping_pong(2, true);
    ping_pong(3, false);
}

#[test]
fn a_call_before_the_wait_is_kept_and_counts_once() {
    run(1, || {
        unblock(&this());
        unblock(&this());
        block::<HostMachine>();
        let start = HostMachine::now_ns();
        block_until::<HostMachine>(start + 2_000_000);
        assert!(HostMachine::now_ns() >= start + 2_000_000, "the second block waits");
    });
}

/// Two that hand one core to each other while a third waits for it: it has no turn in between.
#[test]
fn a_core_is_handed_off_past_those_who_wait() {
    run(1, || {
        let order: Shared<Vec<u8>> = Arc::default();
        let count = 20;
        let main = this();
        let (log, partner_main) = (order.clone(), main.clone());
        let partner = spawn(move || {
            block::<HostMachine>();
            for _ in 0..count {
                log.lock().unwrap().push(1);
                hand_off::<HostMachine>(&partner_main);
            }
        });
        wait_until(|| partner.strand().state() == State::Blocked);
        let log = order.clone();
        let third = spawn(move || log.lock().unwrap().push(3));
        let begun = HostMachine::now_ns();
        for _ in 0..count {
            order.lock().unwrap().push(0);
            hand_off::<HostMachine>(partner.strand());
        }
        let is_in_time = HostMachine::now_ns() < begun + Priority::NORMAL.quantum_ns() / 2;
        let seen = order.lock().unwrap().clone();
        unblock(partner.strand());
        partner.join();
        third.join();
        let turns: Vec<u8> = seen.iter().copied().filter(|turn| *turn != 3).collect();
        assert_eq!(turns, [0, 1].repeat(count));
        assert!(!is_in_time || !seen.contains(&3), "{seen:?}");
    });
}

/// Where it cannot be handed off, it is as if one called and blocked.
#[test]
fn what_cannot_be_handed_off_is_called() {
    run(2, || {
        let word = Arc::new(AtomicUsize::new(0));
        let main = this();
        let (there, seen) = (1 - HostMachine::core_id(), word.clone());
        let partner = spawn_as(Builder::new("there").affinity(CoreSet::only(there)), move || {
            for round in 0..rounds(200) {
                while seen.load(Ordering::Relaxed) != 2 * round + 1 {
                    block::<HostMachine>();
                }
                seen.fetch_add(1, Ordering::Relaxed);
                unblock(&main);
            }
        });
        for round in 0..rounds(200) {
            word.fetch_add(1, Ordering::Relaxed);
            hand_off::<HostMachine>(partner.strand());
            while word.load(Ordering::Relaxed) != 2 * round + 2 {
                block::<HostMachine>();
            }
        }
        partner.join();
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    run(1, || {
        let order: Shared<Vec<u64>> = Arc::default();
        // Miri's clock jumps to what is waited for, but its strands are slow to begin.
        let unit = if cfg!(miri) { 10_000_000_000 } else { 40_000_000 };
        let start = HostMachine::now_ns();
        let sleepers: Vec<_> = [3_u64, 1, 2]
            .map(|turn| {
                let order = order.clone();
                spawn(move || {
                    let deadline = start + turn * unit;
                    while HostMachine::now_ns() < deadline {
                        block_until::<HostMachine>(deadline);
                    }
                    order.lock().unwrap().push(turn);
                })
            })
            .into_iter()
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join());
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn the_urgent_come_first_and_equals_in_turn() {
    run(1, || {
        let order: Shared<Vec<u8>> = Arc::default();
        let strands: Vec<_> = [
            (Priority::LOW, 5),
            (Priority::NORMAL, 3),
            (Priority::HIGH, 1),
            (Priority::NORMAL, 4),
            (Priority::HIGH, 2),
        ]
        .map(|(priority, number)| {
            let order = order.clone();
            spawn_as(Builder::new("racer").priority(priority), move || order.lock().unwrap().push(number))
        })
        .into_iter()
        .collect();
        strands.into_iter().for_each(|strand| strand.join());
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn an_urgent_strand_takes_the_core_at_the_next_interrupt() {
    run(1, || {
        let has_run = Arc::new(AtomicBool::new(false));
        let seen = has_run.clone();
        let urgent = spawn_as(Builder::new("urgent").priority(Priority::HIGH), move || {
            seen.store(true, Ordering::Relaxed)
        });
        assert!(!has_run.load(Ordering::Relaxed));
        // The kick was for this core itself: it is due, and the next interrupt says so.
        HostMachine::kick(0);
        poll();
        assert!(has_run.load(Ordering::Relaxed));
        urgent.join();
    });
}

#[test]
fn equals_share_a_core_by_time() {
    run(1, || {
        let has_run = Arc::new(AtomicBool::new(false));
        let seen = has_run.clone();
        let other = spawn(move || seen.store(true, Ordering::Relaxed));
        let start = Instant::now();
        while !has_run.load(Ordering::Relaxed) {
            assert!(start.elapsed() < Duration::from_secs(60), "the slice does not end");
            poll();
        }
        other.join();
    });
}

#[test]
fn a_tick_that_cannot_preempt_does_not_strike_again_at_once() {
    run(1, || {
        let other = spawn(|| ());
        while HostMachine::now_ns() < Priority::NORMAL.quantum_ns() * 3 {
            std::thread::yield_now();
        }
        <HostMachine as dispatcher::Processor>::unpreempted(|| {
            assert!(!is_preemptible());
            let now = HostMachine::now_ns();
            on_timer::<HostMachine>();
            assert!(timer().is_some_and(|deadline| deadline > now), "the timer strikes for ever");
        });
        other.join();
    });
}

/// Strands that come while all other cores halt: each finds a core.
#[test]
fn strands_that_come_together_spread_over_idle_cores() {
    const CORES: usize = 4;
    run(CORES, || {
        // They halt, sooner or later.
        std::thread::sleep(Duration::from_millis(50));
        let running = Arc::new(AtomicUsize::new(0));
        let strands: Vec<_> = (1..CORES)
            .map(|_| {
                let running = running.clone();
                // It neither waits nor gives way until all of them run, at the same time.
                spawn(move || {
                    running.fetch_add(1, Ordering::Relaxed);
                    let start = Instant::now();
                    while running.load(Ordering::Relaxed) < CORES - 1 {
                        assert!(start.elapsed() < Duration::from_secs(30), "a core halts while strands wait");
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        strands.into_iter().for_each(|strand| strand.join());
    });
}

#[test]
fn an_idle_core_steals() {
    run(2, || {
        let core = HostMachine::core_id();
        let has_moved = Arc::new(AtomicBool::new(false));
        // Both cores are busy, and this one has one more; when the other falls idle, it takes it.
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let busy = spawn_as(Builder::new("busy").affinity(CoreSet::only(1 - core)), move || {
            while !over.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        wait_until(|| HostMachine::scheduler().core(1 - core).is_some_and(|core| core.waiting() == 0));
        let moved = has_moved.clone();
        let extra = spawn(move || moved.store(true, Ordering::Relaxed));
        is_over.store(true, Ordering::Relaxed);
        let start = Instant::now();
        // This strand keeps its core: it neither polls nor gives way.
        while !has_moved.load(Ordering::Relaxed) {
            assert!(start.elapsed() < Duration::from_secs(30), "nobody stole it");
            std::thread::yield_now();
        }
        busy.join();
        extra.join();
    });
}

#[test]
fn the_mutex_excludes() {
    static COUNT: Mutex<usize, HostMachine> = Mutex::new(0);
    run(3, || {
        let count = rounds(300);
        let strands: Vec<_> = (0..4)
            .map(|_| {
                spawn(move || {
                    for _ in 0..count {
                        let mut guard = COUNT.lock();
                        let before = *guard;
                        yield_now::<HostMachine>();
                        *guard = before + 1;
                    }
                })
            })
            .collect();
        strands.into_iter().for_each(|strand| strand.join());
        assert_eq!(*COUNT.lock(), 4 * count);
    });
}

#[test]
fn the_mutex_is_handed_over_in_the_order_of_asking() {
    static ORDER: Mutex<Vec<usize>, HostMachine> = Mutex::new(Vec::new());
    run(1, || {
        let guard = ORDER.lock();
        let strands: Vec<_> = (0..5)
            .map(|number| {
                let strand = spawn(move || ORDER.lock().push(number));
                yield_now::<HostMachine>();
                strand
            })
            .collect();
        drop(guard);
        // Its turn comes after theirs, though it runs and they do not yet.
        ORDER.lock().push(5);
        strands.into_iter().for_each(|strand| strand.join());
        assert_eq!(*ORDER.lock(), [0, 1, 2, 3, 4, 5]);
    });
}

/// Whether a type can be shared among threads, asked of the compiler.
struct Shareable<T>(std::marker::PhantomData<T>);

trait Otherwise {
    const ANSWER: bool = false;
}

impl<T> Otherwise for Shareable<T> {}

impl<T: Sync> Shareable<T> {
    const ANSWER: bool = true;
}

#[test]
fn a_guard_is_shared_only_if_the_value_can_be() {
    const { assert!(Shareable::<sched::MutexGuard<'static, u32, HostMachine>>::ANSWER) };
    const { assert!(!Shareable::<sched::MutexGuard<'static, Cell<u32>, HostMachine>>::ANSWER) };
}

/// Strands that wake each other at random, by a seeded generator: none is forgotten.
#[test]
fn wake_storm() {
    for seed in 1..=3_u64 {
        println!("seed {seed}");
        run(3, move || {
            const STRANDS: usize = 8;
            let all: Shared<Vec<Arc<Strand<HostMachine>>>> = Arc::default();
            let gifts: Arc<[AtomicUsize; STRANDS]> = Arc::new([const { AtomicUsize::new(0) }; STRANDS]);
            let count = rounds(400);
            let strands: Vec<_> = (0..STRANDS)
                .map(|number| {
                    let (all, gifts) = (all.clone(), gifts.clone());
                    spawn(move || {
                        while all.lock().unwrap().len() < STRANDS {
                            block::<HostMachine>();
                        }
                        let others = all.lock().unwrap().clone();
                        let mut dice = seed * 1000 + number as u64;
                        for round in 1..=count {
                            // Each gives every other one gift in each round, in an order by chance, and
                            // waits for all of its own.
                            let first = {
                                dice = dice
                                    .wrapping_mul(6_364_136_223_846_793_005)
                                    .wrapping_add(1_442_695_040_888_963_407);
                                (dice >> 33) as usize % STRANDS
                            };
                            for step in 0..STRANDS {
                                let other = (first + step) % STRANDS;
                                if other != number {
                                    gifts[other].fetch_add(1, Ordering::Relaxed);
                                    unblock(&others[other]);
                                }
                            }
                            if first == 0 {
                                poll();
                            }
                            while gifts[number].load(Ordering::Relaxed) < round * (STRANDS - 1) {
                                block::<HostMachine>();
                            }
                        }
                    })
                })
                .collect();
            all.lock().unwrap().extend(strands.iter().map(|strand| strand.strand().clone()));
            strands.iter().for_each(|strand| unblock(strand.strand()));
            strands.into_iter().for_each(|strand| strand.join());
        });
    }
}

/// Handlers that block and are preempted on real queues, while the housekeeper destroys.
#[test]
fn handlers_sleep_and_move_and_everything_goes() {
    static EVENT: Event<usize, usize, HostMachine> = Event::new("Test.Sleep", Some(|_| 0)).open();
    run(3, || {
        let (alive, count) = (Arc::new(()), rounds(200));
        let raisers: Vec<_> = (0..4)
            .map(|_| {
                spawn(move || {
                    for round in 0..count {
                        assert!(EVENT.raise(&round).is_ok());
                        poll();
                    }
                })
            })
            .collect();
        for round in 0..count {
            let here = alive.clone();
            let handler = Handler::trusted(move |number: &usize| {
                match number % 4 {
                    0 => sleep_ns::<HostMachine>(10_000),
                    1 => yield_now::<HostMachine>(),
                    _ => poll(),
                }
                Arc::strong_count(&here)
            });
            let id = EVENT.install(handler).unwrap();
            if round % 3 == 0 {
                sleep_ns::<HostMachine>(20_000);
            }
            EVENT.remove(id).unwrap();
            poll();
        }
        raisers.into_iter().for_each(|raiser| raiser.join());
        wait_until(|| Arc::strong_count(&alive) == 1);
        let (all, free) = sched::host::events().epochs().participants();
        assert_eq!(all - free, 3, "one participant for each core");
    });
}
