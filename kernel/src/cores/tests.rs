//! Tests of the cores in the booted kernel, while the scheduler runs on them.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sched::State;
use smp::{CoreSet, MAX_CORES, clock::now_ns, roster};
use spin::Mutex;
use x86_64::{VirtAddr, instructions::interrupts};

use super::{core_id, local::local};
use crate::{
    ktest::{Level, Random, core_count, everywhere, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle, Strand},
};

/// Rounds of the storm on each of `cores` cores: as many calls, and as many shootdowns. Few where there are many, since on
/// a virtual machine each of them waits until all its targets have had their turn on a real core.
fn rounds(cores: usize) -> usize {
    (4_000 / (cores * cores)).max(20)
}

#[ktest]
fn areas_are_the_cores_own() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    SEEN.store(0, Ordering::SeqCst);
    everywhere(|core| {
        assert_eq!(core_id(), core);
        let area = super::area(core).expect("an online core has an area");
        assert!(core::ptr::eq(&area.local, local()));
        assert_eq!(Some(area.apic_id()), roster::apic_id(core));
        assert_eq!(area.apic_id(), smp::apic::own_id());
        SEEN.fetch_or(CoreSet::only(core).bits(), Ordering::SeqCst);
    });
    let online = roster::online();
    assert_eq!(CoreSet::from_bits(SEEN.load(Ordering::SeqCst)), online);
    assert_eq!(online, CoreSet::first(online.len()), "ids are dense");
    assert_eq!(online.len(), core_count(), "every core runs strands");
}

#[ktest]
fn time_goes_forward_everywhere() {
    everywhere(|_| {
        let begin = now_ns();
        let mut last = begin;
        for _ in 0..10_000 {
            let now = now_ns();
            assert!(now >= last, "time went back from {last} to {now}");
            last = now;
        }
        assert!(last > begin);
        let begin = now_ns();
        smp::clock::busy_wait(100_000);
        assert!(now_ns() - begin >= 100_000);
    });
}

#[ktest]
fn cores_agree_on_the_time() {
    // Each core in turn reads the clock, and none reads less than the one before it.
    let last = Arc::new(AtomicU64::new(0));
    for _ in 0..5 {
        for core in 0..core_count() {
            let last = last.clone();
            let read = move || {
                let (before, now) = (last.load(Ordering::SeqCst), now_ns());
                // Clocks are set by what cores tell each other, which takes a while.
                assert!(now + 1_000_000 >= before, "core {core} is {} ns behind", before - now);
                last.fetch_max(now, Ordering::SeqCst);
            };
            guarded(on(core), read).join();
        }
    }
}

#[ktest]
fn timers_are_on_time() {
    static WORST_NS: AtomicU64 = AtomicU64::new(0);
    WORST_NS.store(0, Ordering::SeqCst);
    everywhere(|_| {
        for delay_ns in [100_000, 1_000_000, 5_000_000] {
            let sleep = || {
                let (ticks, begin) = (local().ticks.load(Ordering::SeqCst), now_ns());
                sched::sleep_ns::<Cpu>(delay_ns);
                (now_ns() - begin, local().ticks.load(Ordering::SeqCst) > ticks)
            };
            // A virtual core may lose its real one on the way to sleep, and find the time over.
            let mut sleeps = (0..20).map(|_| sleep());
            let by_timer = sleeps.find(|(_, is_by_timer)| *is_by_timer);
            let (took_ns, is_by_timer) = by_timer.unwrap_or((delay_ns, false));
            assert!(took_ns >= delay_ns, "{took_ns} ns of {delay_ns}");
            // A virtual core may have to wait for a real one; only a timer that was lost takes this long.
            assert!(took_ns < delay_ns + 5_000_000_000, "{took_ns} ns for {delay_ns}");
            assert!(is_by_timer, "it was no timer that ended the sleep");
            WORST_NS.fetch_max(took_ns - delay_ns, Ordering::SeqCst);
        }
    });
    ::log::info!("timers came at most {} us late", WORST_NS.load(Ordering::SeqCst) / 1_000);
}

/// Timer interrupts and kicks of every core but the one that asks.
fn disturbances() -> Vec<(u64, u64)> {
    let count = |core| {
        let local = &super::area(core).expect("an online core has an area").local;
        (local.ticks.load(Ordering::SeqCst), local.kicks.load(Ordering::SeqCst))
    };
    (0..core_count()).filter(|core| *core != core_id()).map(count).collect()
}

#[ktest]
fn idle_cores_are_left_alone() {
    let look = || {
        Level::settled();
        // The housekeeper has just run somewhere; afterwards there is nothing to do but here.
        sched::sleep_ns::<Cpu>(5_000_000);
        let before = disturbances();
        sched::sleep_ns::<Cpu>(50_000_000);
        assert_eq!(disturbances(), before, "idle cores were interrupted");
    };
    guarded(on(0), look).join();
}

#[ktest]
fn a_kick_ends_a_halt() {
    // A token goes ten times round the cores; whoever does not have it blocks, so that its core halts.
    struct Ring {
        turn: AtomicUsize,
        strands: Mutex<Vec<Option<Arc<Strand>>>>,
    }
    let count = core_count();
    let ring = Arc::new(Ring { turn: AtomicUsize::new(0), strands: Mutex::new(alloc::vec![None; count]) });
    let kicks = || -> Vec<u64> {
        let kicks = |core| super::area(core).expect("it is online").local.kicks.load(Ordering::SeqCst);
        (0..count).map(kicks).collect()
    };
    let before = kicks();
    let walk = |core: usize| {
        let ring = ring.clone();
        guarded(on(core), move || {
            interrupts::without_interrupts(|| ring.strands.lock()[core] = Some(sched::current::<Cpu>()));
            let is_complete =
                || interrupts::without_interrupts(|| ring.strands.lock().iter().all(Option::is_some));
            wait_until("all are in the ring", is_complete);
            for round in 0..10 {
                while ring.turn.load(Ordering::SeqCst) != round * count + core {
                    sched::block_until::<Cpu>(now_ns() + 10_000_000_000);
                }
                let next = interrupts::without_interrupts(|| ring.strands.lock()[(core + 1) % count].clone());
                // Called before it blocks, it would need no kick.
                let is_awake =
                    |strand: &Arc<Strand>| matches!(strand.state(), State::Running | State::Runnable);
                while count > 1 && next.as_ref().is_some_and(is_awake) {
                    sched::yield_now::<Cpu>();
                }
                ring.turn.fetch_add(1, Ordering::SeqCst);
                if let Some(next) = next {
                    sched::unblock(&next);
                }
            }
        })
    };
    let strands: Vec<_> = (0..count).map(walk).collect();
    strands.into_iter().for_each(Handle::join);
    assert_eq!(ring.turn.load(Ordering::SeqCst), 10 * count);
    for (core, (before, after)) in before.into_iter().zip(kicks()).enumerate() {
        assert!(after > before || count == 1, "core {core} was never kicked");
    }
}

#[ktest]
fn a_storm_of_calls_and_shootdowns_ends() {
    static RAN: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];
    static ASKED: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];
    RAN.iter().chain(&ASKED).for_each(|counter| counter.store(0, Ordering::SeqCst));
    let begin = now_ns();
    everywhere(|core| {
        let mut random = Random::new(core);
        for round in 0..rounds(core_count()) {
            let targets = CoreSet::from_bits(random.next()) & roster::online();
            for target in targets {
                ASKED[target].fetch_add(1, Ordering::SeqCst);
            }
            let ran = AtomicU64::new(0);
            let call = || smp::call::call(targets, count_here, &raw const ran as usize);
            // Every other one with interrupts masked.
            if round % 2 == 0 {
                call()
            } else {
                interrupts::without_interrupts(call)
            }
            assert_eq!(ran.load(Ordering::SeqCst), targets.len() as u64);
            smp::call::shootdown_on(targets, VirtAddr::new(0xffff_d000_0000_0000), round % 64);
        }
    });
    fn count_here(ran: usize) {
        RAN[core_id()].fetch_add(1, Ordering::SeqCst);
        let ran = core::ptr::with_exposed_provenance::<AtomicU64>(ran);
        // SAFETY: the caller's counter, on its stack, which it keeps until the call has returned.
        let ran = unsafe { &*ran };
        ran.fetch_add(1, Ordering::SeqCst);
    }
    for core in roster::online() {
        assert_eq!(RAN[core].load(Ordering::SeqCst), ASKED[core].load(Ordering::SeqCst), "core {core}");
    }
    let calls: u64 = ASKED.iter().map(|asked| asked.load(Ordering::SeqCst)).sum();
    ::log::info!("{calls} calls and shootdowns ran in {} ms", (now_ns() - begin) / 1_000_000);
}
