//! Tests of strands and of the housekeeper in the booted kernel.

use alloc::{sync::Arc, vec::Vec};
use core::{
    hint,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use dispatcher::{Event, Handler, Processor};
use sched::{Builder, Machine, Priority, State};
use x86_64::{VirtAddr, instructions::interrupts::without_interrupts};

use super::{Cpu, Handle, Mutex, Strand, housekeeper, spawn, stacks};
use crate::{
    cores::words,
    ktest::{Random, core_count, everywhere, guarded, ktest, on, wait_until},
    memory,
};

const MILLISECOND: u64 = 1_000_000;
/// What must come does so within this time, however crowded the machine is.
const PATIENCE_NS: u64 = 20_000 * MILLISECOND;

/// Keeps the core until `holds`.
#[track_caller]
fn spin_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Cpu::now_ns() + PATIENCE_NS;
    while !holds() {
        assert!(Cpu::now_ns() < deadline, "waited in vain until {what}");
        hint::spin_loop();
    }
}

/// Keeps the core for so long.
fn spin_ns(nanoseconds: u64) {
    let deadline = Cpu::now_ns() + nanoseconds;
    while Cpu::now_ns() < deadline {
        hint::spin_loop();
    }
}

/// Waits for a wake-up; that none comes is a failure.
#[track_caller]
fn block_for_a_while() {
    let deadline = Cpu::now_ns() + PATIENCE_NS;
    sched::block_until::<Cpu>(deadline);
    assert!(Cpu::now_ns() < deadline, "a wake-up was lost");
}

#[ktest]
fn strands_run_where_they_should_and_end() {
    let sum = Arc::new(AtomicUsize::new(0));
    let total = sum.clone();
    everywhere(move |core| {
        // Each core starts a strand on every core.
        let start = |target: usize| {
            let sum = total.clone();
            guarded(on(target), move || {
                assert_eq!(Cpu::core_id(), target);
                assert_eq!(sched::current::<Cpu>().core(), target);
                sum.fetch_add(core * 100 + target, Ordering::Relaxed);
            })
        };
        let strands: Vec<_> = (0..core_count()).map(start).collect();
        strands.into_iter().for_each(Handle::join);
    });
    let cores = core_count();
    assert_eq!(sum.load(Ordering::Relaxed), 101 * cores * (cores * (cores - 1) / 2));
}

#[ktest]
fn nobody_runs_on_a_core_that_is_not_there() {
    let nowhere = Builder::new("nowhere").affinity(sched::CoreSet(0));
    assert!(spawn(nowhere, || ()).is_err());
}

#[ktest]
fn stacks_return() {
    let in_use = || memory::stats().stacks - stacks::kept();
    let before = in_use();
    for _ in 0..10 {
        let may_end = Arc::new(AtomicBool::new(false));
        let wait = |_| {
            let may_end = may_end.clone();
            guarded(Builder::new("short"), move || {
                wait_until("it may end", || may_end.load(Ordering::Acquire));
            })
        };
        let strands: Vec<_> = (0..32).map(wait).collect();
        assert_eq!(in_use(), before + 32);
        may_end.store(true, Ordering::Release);
        strands.into_iter().for_each(Handle::join);
    }
    housekeeper::settle();
    assert_eq!((memory::stats().stacks, stacks::kept()), (before, 0));
}

#[ktest]
fn a_stack_is_used_again() {
    everywhere(|core| {
        let come_and_go = || spawn(on(core), || ()).expect("there is memory").join();
        come_and_go();
        // Of its own core's only, since every core does this.
        let bottom = || {
            let place = Arc::new(AtomicUsize::new(0));
            let found = place.clone();
            let look = move || {
                let here = 0_u8;
                found.store((&raw const here).addr() & !0xffff, Ordering::Relaxed);
            };
            spawn(on(core), look).expect("there is memory").join();
            place.load(Ordering::Relaxed)
        };
        let first = bottom();
        assert!((0..50).all(|_| bottom() == first), "a stack that was just left was not taken");
    });
}

#[ktest]
fn what_is_not_kept_is_reaped() {
    let parked: Vec<_> = (0..100)
        .map(|_| super::spawn_sized(on(0), 7 * 4096, sched::block::<Cpu>).expect("there is memory"))
        .collect();
    wait_until("all wait", || parked.iter().all(|handle| handle.strand().state() == State::Blocked));
    let in_use = memory::stats().stacks;
    parked.iter().for_each(|handle| sched::unblock(handle.strand()));
    parked.into_iter().for_each(Handle::join);
    let (left, kept) = (memory::stats().stacks, stacks::kept());
    assert!(kept > 0 && left + 50 < in_use, "{left} stacks of {in_use} are left, {kept} of them kept");
    housekeeper::settle();
    assert_eq!(stacks::kept(), 0);
}

#[ktest]
fn an_ended_strand_can_be_joined_late() {
    let handle = guarded(Builder::new("early"), || ());
    let strand = handle.strand().clone();
    wait_until("it ends", || strand.state() == State::Ended);
    housekeeper::settle();
    handle.join();
}

#[ktest]
fn every_stack_has_a_guard() {
    everywhere(|_| {
        let here = 0_u8;
        let here = (&raw const here).addr();
        let bottom = without_interrupts(|| here - words::stack_left()) & !0xfff;
        let guard = |address: usize| memory::guard_of(VirtAddr::new(address as u64));
        let found = (0..2).find_map(|page| guard(bottom + page * 4096 - 1)).expect("below a strand's stack");
        assert!(
            (found.bottom.as_u64()..found.top.as_u64()).contains(&(here as u64)),
            "another stack's guard"
        );
        assert!(guard(here).is_none());
    });
}

#[ktest]
fn a_wake_up_before_the_wait_is_kept() {
    let this = sched::current::<Cpu>();
    for _ in 0..100 {
        sched::unblock(&this);
        sched::unblock(&this);
        sched::block::<Cpu>();
    }
    // Two calls leave one token, and it was taken: now only time ends the wait.
    let deadline = Cpu::now_ns() + 2 * MILLISECOND;
    while Cpu::now_ns() < deadline {
        sched::block_until::<Cpu>(deadline);
    }
}

/// One that waits for its turn and passes it on.
fn play(turn: &AtomicUsize, own: usize, rounds: usize, other: &Mutex<Option<Arc<Strand>>>) {
    for round in 0..rounds {
        while turn.load(Ordering::Acquire) != 2 * round + own {
            // Both ways of waiting.
            if round % 2 == 0 { sched::block::<Cpu>() } else { block_for_a_while() }
        }
        turn.fetch_add(1, Ordering::Release);
        if let Some(other) = &*other.lock() {
            sched::unblock(other);
        }
    }
}

#[ktest]
fn ping_pong() {
    let last = core_count() - 1;
    for (here, there) in [(0, last), (last, 0), (0, 0), (last, last / 2)] {
        let turn = Arc::new(AtomicUsize::new(0));
        let players: Arc<[Mutex<Option<Arc<Strand>>>; 2]> = Arc::new([Mutex::new(None), Mutex::new(None)]);
        let start = |own: usize, core: usize| {
            let (turn, players) = (turn.clone(), players.clone());
            guarded(on(core), move || {
                *players[own].lock() = Some(sched::current::<Cpu>());
                // Neither begins before both can be called.
                let is_there = || players[1 - own].lock().is_some();
                while !is_there() {
                    sched::sleep_ns::<Cpu>(MILLISECOND / 10);
                }
                play(&turn, own, 300, &players[1 - own]);
                // Whoever ends drops its reference to the other: they would keep each other for ever.
                *players[1 - own].lock() = None;
            })
        };
        let strands = [start(0, here), start(1, there)];
        strands.into_iter().for_each(Handle::join);
        assert_eq!(turn.load(Ordering::Relaxed), 600);
    }
}

#[derive(Default)]
struct Sleeper {
    called: AtomicU64,
    is_over: AtomicBool,
}

#[ktest]
fn wake_storm() {
    let (cores, calls) = (core_count(), 400);
    let beds: Vec<Arc<Sleeper>> = (0..4 * cores).map(|_| Arc::default()).collect();
    let sleep = |bed: &Arc<Sleeper>| {
        let bed = bed.clone();
        guarded(Builder::new("sleeper"), move || {
            // A call that is lost leaves it asleep for good; one that is made twice wakes it too often.
            let mut wakes = 0;
            while !bed.is_over.load(Ordering::Acquire) {
                block_for_a_while();
                wakes += 1;
                assert!(wakes <= bed.called.load(Ordering::Acquire) + 1, "more wake-ups than calls");
            }
        })
    };
    let sleepers: Vec<Handle> = beds.iter().map(sleep).collect();
    let called: Arc<Vec<(Arc<Sleeper>, Arc<Strand>)>> = Arc::new(
        beds.iter().zip(&sleepers).map(|(bed, handle)| (bed.clone(), handle.strand().clone())).collect(),
    );
    let callers = called.clone();
    everywhere(move |core| {
        let mut random = Random::new(core);
        for _ in 0..calls {
            let (bed, strand) = &callers[random.below(callers.len())];
            bed.called.fetch_add(1, Ordering::Release);
            sched::unblock(strand);
            if random.below(16) == 0 {
                sched::yield_now::<Cpu>();
            }
        }
    });
    for (bed, strand) in &*called {
        bed.is_over.store(true, Ordering::Release);
        sched::unblock(strand);
    }
    sleepers.into_iter().for_each(Handle::join);
    let sum: u64 = beds.iter().map(|bed| bed.called.load(Ordering::Relaxed)).sum();
    assert_eq!(sum, (calls * cores) as u64);
}

#[ktest]
fn migrate() {
    let cores = core_count();
    let everyone = u64::MAX >> (64 - cores);
    let seen = Arc::new(AtomicU64::new(0));
    let wander = |_| {
        let seen = seen.clone();
        guarded(Builder::new("wanderer"), move || {
            let is_here = AtomicBool::new(false);
            let deadline = Cpu::now_ns() + PATIENCE_NS;
            while seen.load(Ordering::Relaxed) != everyone {
                assert!(Cpu::now_ns() < deadline, "some core never got work");
                spin_ns(MILLISECOND / 10);
                without_interrupts(|| {
                    assert!(!is_here.swap(true, Ordering::AcqRel), "one strand on two cores");
                    assert_eq!(sched::current::<Cpu>().core(), Cpu::core_id());
                    seen.fetch_or(1 << Cpu::core_id(), Ordering::Relaxed);
                    is_here.store(false, Ordering::Release);
                });
                sched::yield_now::<Cpu>();
            }
        })
    };
    let strands: Vec<_> = (0..2 * cores).map(wander).collect();
    strands.into_iter().for_each(Handle::join);
    assert_eq!(seen.load(Ordering::Relaxed), everyone);
}

#[ktest]
fn equals_share_a_core() {
    everywhere(|core| {
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let run = |own: usize| {
            let counts = counts.clone();
            guarded(on(core), move || {
                // Neither gives way: that both get on is the timer's doing.
                spin_until("the other gets on, too", || {
                    counts[own].fetch_add(1, Ordering::Relaxed);
                    counts.iter().all(|count| count.load(Ordering::Relaxed) > 1_000)
                });
            })
        };
        let strands = [run(0), run(1)];
        strands.into_iter().for_each(Handle::join);
    });
}

#[ktest]
fn the_urgent_comes_first() {
    for core in [0, core_count() - 1] {
        let has_run = Arc::new(AtomicBool::new(false));
        let flag = has_run.clone();
        let urgent = guarded(on(core).priority(Priority::HIGH), move || {
            block_for_a_while();
            flag.store(true, Ordering::Release);
        });
        let strand = urgent.strand().clone();
        wait_until("it waits", || strand.state() == State::Blocked);
        let busy = guarded(on(core), move || {
            // Called while this one has the core, which it gives to nobody of its own accord.
            sched::unblock(&strand);
            spin_until("the urgent one has run", || has_run.load(Ordering::Acquire));
        });
        busy.join();
        urgent.join();
    }
}

#[ktest]
fn the_less_urgent_wait() {
    let has_run = Arc::new(AtomicBool::new(false));
    let flag = has_run.clone();
    let busy = guarded(on(0).priority(Priority::HIGH), move || {
        let low = guarded(on(0).priority(Priority::LOW), move || flag.store(true, Ordering::Release));
        spin_ns(30 * MILLISECOND);
        assert!(!has_run.load(Ordering::Acquire), "the less urgent one ran before the urgent one");
        low.join();
        assert!(has_run.load(Ordering::Acquire));
    });
    busy.join();
}

#[ktest]
fn sleeps_end_in_order() {
    let cores = core_count();
    let is_in_order = (0..10).any(|seed| {
        let core = seed % cores;
        let order = Arc::new(Mutex::new(Vec::new()));
        let base = Cpu::now_ns() + 30 * MILLISECOND;
        let has_missed_it = Arc::new(AtomicBool::new(false));
        let mut random = Random::new(seed);
        // Differing deadlines, in disorder.
        let delays: Vec<u64> = (0..20).map(|index| index + 20 * (random.next() % 50)).collect();
        let sleep = |delay: &u64| {
            let (order, delay, has_missed_it) = (order.clone(), *delay, has_missed_it.clone());
            guarded(on(core), move || {
                let deadline = base + delay * (MILLISECOND / 50);
                if Cpu::now_ns() >= base {
                    has_missed_it.store(true, Ordering::Relaxed);
                }
                while Cpu::now_ns() < deadline {
                    sched::block_until::<Cpu>(deadline);
                }
                order.lock().push(delay);
            })
        };
        let strands: Vec<_> = delays.iter().map(sleep).collect();
        strands.into_iter().for_each(Handle::join);
        let order = core::mem::take(&mut *order.lock());
        assert_eq!(order.len(), delays.len());
        // On a crowded machine one may come too late to sleep, or lose the core just after it woke; but not
        // each time.
        !has_missed_it.load(Ordering::Relaxed) && order.is_sorted()
    });
    assert!(is_in_order, "sleepers never woke in the order of their deadlines");
}

#[ktest]
fn mutex_excludes() {
    let rounds = 60;
    let sum = Arc::new(Mutex::new(0_usize));
    let all = sum.clone();
    everywhere(move |core| {
        let add = |seed: usize| {
            let sum = all.clone();
            guarded(Builder::new("adder"), move || {
                let mut random = Random::new(seed);
                for _ in 0..rounds {
                    let mut sum = sum.lock();
                    let before = *sum;
                    // Others get a chance to break in.
                    match random.below(8) {
                        0 => sched::sleep_ns::<Cpu>(MILLISECOND / 50),
                        1..4 => sched::yield_now::<Cpu>(),
                        _ => {}
                    }
                    *sum = before + 1;
                }
            })
        };
        let strands = [add(2 * core), add(2 * core + 1)];
        strands.into_iter().for_each(Handle::join);
    });
    assert_eq!(*sum.lock(), 2 * rounds * core_count());
}

/// An event for the tests of grace periods.
static KNOCK: Event<u64, u64, Cpu> = Event::new("Test.Knock", None).open();

/// What a handler and a test tell each other.
#[derive(Default)]
struct Door {
    is_inside: AtomicBool,
    may_leave: AtomicBool,
    is_gone: Arc<AtomicBool>,
}

/// Tells when a handler's closure is dropped.
struct Tattler(Arc<AtomicBool>);

impl Drop for Tattler {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Starts a grace period; the flag says when it has passed.
fn begin_grace() -> (Arc<AtomicBool>, Handle) {
    let has_passed = Arc::new(AtomicBool::new(false));
    let flag = has_passed.clone();
    let waiter = guarded(Builder::new("waiter"), move || {
        housekeeper::wait_for_grace();
        flag.store(true, Ordering::Release);
    });
    (has_passed, waiter)
}

/// Installs a handler that waits inside by `wait` until it may leave.
fn install_waiting(door: &Arc<Door>, wait: fn(&Door)) -> dispatcher::BindingId {
    let (door, tattler) = (door.clone(), Tattler(door.is_gone.clone()));
    let handler = move |number: &u64| {
        let _kept = &tattler;
        door.is_inside.store(true, Ordering::Release);
        wait(&door);
        number + 1
    };
    KNOCK.install(Handler::trusted(handler)).expect("there is room for a handler")
}

#[ktest]
fn a_sleeper_inside_delays_no_grace_period() {
    let door = Arc::new(Door::default());
    let id = install_waiting(&door, |door| {
        wait_until("it may leave", || door.may_leave.load(Ordering::Acquire));
    });
    let raisers: Vec<_> = (0..core_count())
        .map(|core| guarded(on(core), || assert_eq!(KNOCK.raise(&1).ok(), Some(2))))
        .collect();
    wait_until("somebody is inside", || door.is_inside.load(Ordering::Acquire));
    for _ in 0..3 {
        let (has_passed, waiter) = begin_grace();
        wait_until("the grace period passes", || has_passed.load(Ordering::Acquire));
        waiter.join();
    }
    // The handler can go while they sleep in it, but what it holds stays.
    wait_until("all are inside", || raisers.iter().all(|raiser| raiser.strand().state() == State::Blocked));
    KNOCK.remove(id).expect("it is installed");
    let (has_passed, waiter) = begin_grace();
    wait_until("the grace period passes", || has_passed.load(Ordering::Acquire));
    waiter.join();
    assert!(!door.is_gone.load(Ordering::Acquire), "dropped while somebody slept in it");
    door.may_leave.store(true, Ordering::Release);
    raisers.into_iter().for_each(Handle::join);
    wait_until("the closure is dropped", || door.is_gone.load(Ordering::Acquire));
}

#[ktest]
fn a_preempted_strand_inside_delays_grace_periods() {
    let core = core_count() - 1;
    let door = Arc::new(Door::default());
    let id = install_waiting(&door, |door| {
        spin_until("it may leave", || door.may_leave.load(Ordering::Acquire));
    });
    let raiser = guarded(on(core), || assert_eq!(KNOCK.raise(&1).ok(), Some(2)));
    // For whom it is preempted, again and again.
    let (rival_door, switches) = (door.clone(), Cpu::scheduler().core(core).expect("it is there").switches());
    let rival = guarded(on(core), move || {
        spin_until("it has left", || rival_door.may_leave.load(Ordering::Acquire));
    });
    wait_until("it is inside", || door.is_inside.load(Ordering::Acquire));
    KNOCK.remove(id).expect("it is installed");
    let (has_passed, waiter) = begin_grace();
    wait_until("it was preempted several times", || {
        Cpu::scheduler().core(core).expect("it is there").switches() > switches + 8
    });
    sched::sleep_ns::<Cpu>(50 * MILLISECOND);
    assert!(!has_passed.load(Ordering::Acquire), "a grace period passed while a strand was inside");
    assert!(!door.is_gone.load(Ordering::Acquire), "dropped while a strand was inside");
    door.may_leave.store(true, Ordering::Release);
    wait_until("the grace period passes", || has_passed.load(Ordering::Acquire));
    [raiser, rival, waiter].into_iter().for_each(Handle::join);
    wait_until("the closure is dropped", || door.is_gone.load(Ordering::Acquire));
}

#[ktest]
fn raisers_without_pause_delay_grace_periods_little() {
    let id = KNOCK.install(Handler::trusted(|number: &u64| number + 1)).expect("there is room");
    let is_over = Arc::new(AtomicBool::new(false));
    let raise = |core: usize| {
        let is_over = is_over.clone();
        guarded(on(core), move || {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(KNOCK.raise(&number).ok(), Some(number + 1));
                number += 1;
            }
        })
    };
    let raisers: Vec<_> = (0..core_count()).map(raise).collect();
    let mut worst = 0;
    for _ in 0..4 {
        let begun = Cpu::now_ns();
        housekeeper::wait_for_grace();
        worst = worst.max(Cpu::now_ns() - begun);
    }
    is_over.store(true, Ordering::Relaxed);
    raisers.into_iter().for_each(Handle::join);
    KNOCK.remove(id).expect("it is installed");
    log::info!("the longest grace period took {} us", worst / 1_000);
    assert!(worst < 5_000 * MILLISECOND, "a grace period took {worst} ns");
}
