//! Tests of the blocking primitives in the booted kernel.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dispatcher::Processor;
use sched::{Builder, CoreSet, Priority, State};

use super::{Cpu, Handle, Mutex, Strand, spawn};
use crate::ktest::{core_count, ktest, wait_until};

type Semaphore = sched::Semaphore<Cpu>;
type Channel<T> = sched::Channel<T, Cpu>;

const MILLISECOND: u64 = 1_000_000;

/// Keeps the core for so long.
fn spin_ns(nanoseconds: u64) {
    let deadline = Cpu::now_ns() + nanoseconds;
    while Cpu::now_ns() < deadline {
        core::hint::spin_loop();
    }
}

fn start(name: &str, priority: u8, core: usize, body: impl FnOnce() + Send + 'static) -> Handle {
    let builder = Builder::new(name).priority(Priority::new(priority)).affinity(CoreSet::only(core));
    spawn(builder, body).expect("memory for a strand")
}

fn is_blocked(strand: &Arc<Strand>) -> bool {
    strand.state() == State::Blocked
}

/// A lock, and whether who waits for it lends.
trait Section: Send + Sync + 'static {
    fn run(&self, body: &dyn Fn());
}

impl Section for Mutex<()> {
    fn run(&self, body: &dyn Fn()) {
        let _guard = self.lock();
        body();
    }
}

/// A semaphore has no owner to whom anything could be lent.
impl Section for Semaphore {
    fn run(&self, body: &dyn Fn()) {
        self.wait();
        body();
        self.signal();
    }
}

/// How long the middling strand computes, and the low one in its section: both on the core's clock.
const MIDDLE_NS: u64 = 200 * MILLISECOND;
const LOW_NS: u64 = 5 * MILLISECOND;

/// Three strands on one core: low is in its section, high waits to come in, middle computes. Did high come in
/// before middle was through?
fn is_inversion_bounded(section: Arc<dyn Section>) -> bool {
    let core = core_count() - 1;
    let is_inside = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::new(AtomicBool::new(false));
    let middle_ended = Arc::new(AtomicBool::new(false));
    let low = {
        let (section, is_inside, may_go_on) = (section.clone(), is_inside.clone(), may_go_on.clone());
        start("low", 3, core, move || {
            section.run(&|| {
                is_inside.store(true, Ordering::Relaxed);
                while !may_go_on.load(Ordering::Relaxed) {
                    sched::sleep_ns::<Cpu>(MILLISECOND);
                }
                spin_ns(LOW_NS);
            });
        })
    };
    wait_until("low is inside", || is_inside.load(Ordering::Relaxed));
    let came_first = Arc::new(AtomicBool::new(false));
    let high = {
        let (came_first, middle_ended) = (came_first.clone(), middle_ended.clone());
        start("high", 20, core, move || {
            section.run(&|| came_first.store(!middle_ended.load(Ordering::Relaxed), Ordering::Relaxed));
        })
    };
    wait_until("high waits", || is_blocked(high.strand()));
    let middle = start("middle", 10, core, move || {
        // From here on low gets the core only if it was lent a higher priority.
        may_go_on.store(true, Ordering::Relaxed);
        spin_ns(MIDDLE_NS);
        middle_ended.store(true, Ordering::Relaxed);
    });
    for handle in [high, middle, low] {
        handle.join();
    }
    came_first.load(Ordering::Relaxed)
}

/// The urgent strand waits for the section, not for what others compute. The same with a lock that lends
/// nothing shows that it would.
#[ktest]
fn who_waits_lends() {
    assert!(is_inversion_bounded(Arc::new(Mutex::new(()))), "high waited for middle");
    assert!(!is_inversion_bounded(Arc::new(Semaphore::new(1))), "nothing was in high's way");
}

/// Low owns what another waits for, who owns what high waits for: it goes along the chain, and comes back.
#[ktest]
fn lending_goes_along_the_chain_and_comes_back() {
    let core = core_count() - 1;
    let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
    let may_end = Arc::new(AtomicBool::new(false));
    let low = {
        let (locks, may_end) = (locks.clone(), may_end.clone());
        start("low", 3, core, move || {
            let guard = locks[0].lock();
            while !may_end.load(Ordering::Relaxed) {
                sched::sleep_ns::<Cpu>(MILLISECOND);
            }
            drop(guard);
            assert_eq!(sched::current::<Cpu>().priority(), Priority::new(3), "it was taken back");
        })
    };
    wait_until("low has the first", || locks[0].try_lock().is_none());
    let between = {
        let locks = locks.clone();
        start("between", 5, core, move || {
            let _own = locks[1].lock();
            let _other = locks[0].lock();
        })
    };
    wait_until("between waits", || low.strand().priority() == Priority::new(5));
    let high = {
        let locks = locks.clone();
        start("high", 20, core, move || drop(locks[1].lock()))
    };
    wait_until("it came to low", || low.strand().priority() == Priority::new(20));
    assert_eq!(between.strand().priority(), Priority::new(20));
    // One who gives up takes back what he lent, along the chain.
    let hasty = {
        let locks = locks.clone();
        start("hasty", 25, core, move || {
            let deadline = Cpu::now_ns() + 20 * MILLISECOND;
            assert_eq!(locks[1].lock_until(deadline).err(), Some(sched::WaitError::TimedOut));
        })
    };
    wait_until("hasty lent, too", || low.strand().priority() == Priority::new(25));
    hasty.join();
    assert_eq!(low.strand().priority(), Priority::new(20));
    may_end.store(true, Ordering::Relaxed);
    for handle in [high, between, low] {
        handle.join();
    }
}

/// Waits of all kinds end when the strand shall end, and the plain one does not.
#[ktest]
fn waits_that_can_be_interrupted_are() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (mutex, channel) = (Arc::new(Mutex::new(())), Arc::new(Channel::<u8>::new(1)));
    let ended = Arc::new(AtomicUsize::new(0));
    let guard = mutex.lock();
    let terminated = Some(sched::WaitError::Terminated);
    let bodies: [alloc::boxed::Box<dyn Fn() + Send>; 3] = [
        {
            let semaphore = semaphore.clone();
            alloc::boxed::Box::new(move || assert_eq!(semaphore.wait_interruptible().err(), terminated))
        },
        {
            let mutex = mutex.clone();
            alloc::boxed::Box::new(move || assert_eq!(mutex.lock_interruptible().err(), terminated))
        },
        {
            let channel = channel.clone();
            alloc::boxed::Box::new(move || assert_eq!(channel.receive_until(u64::MAX).err(), terminated))
        },
    ];
    for body in bodies {
        let ended = ended.clone();
        let waiter = start("waiter", 16, 0, move || {
            body();
            ended.fetch_add(1, Ordering::Relaxed);
        });
        wait_until("it waits", || is_blocked(waiter.strand()));
        assert!(waiter.terminate());
        waiter.join();
    }
    assert_eq!(ended.load(Ordering::Relaxed), 3);
    let plain = {
        let (semaphore, ended) = (semaphore.clone(), ended.clone());
        start("plain", 16, 0, move || {
            semaphore.wait();
            ended.fetch_add(1, Ordering::Relaxed);
        })
    };
    wait_until("it waits", || is_blocked(plain.strand()));
    assert!(plain.terminate());
    sched::sleep_ns::<Cpu>(5 * MILLISECOND);
    assert_eq!(ended.load(Ordering::Relaxed), 3, "it waits on");
    semaphore.signal();
    plain.join();
    drop(guard);
}

/// Deadlines pass while signals come from every core, interrupts' time included: none is lost or had twice.
#[ktest]
fn deadlines_race_with_signals() {
    const ROUNDS: u64 = 300;
    let semaphore = Arc::new(Semaphore::new(0));
    let (had, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let waiter = |core: usize| {
        let (semaphore, had, is_over) = (semaphore.clone(), had.clone(), is_over.clone());
        start("waiter", 16, core, move || {
            let mut wait_ns = 0;
            while !is_over.load(Ordering::Acquire) {
                wait_ns = (wait_ns + 7_919 * (core as u64 + 1)) % 400_000;
                if semaphore.wait_until(Cpu::now_ns() + wait_ns).is_ok() {
                    had.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    let waiters: alloc::vec::Vec<_> = (0..core_count()).map(waiter).collect();
    let signaller = |core: usize| {
        let semaphore = semaphore.clone();
        start("signaller", 16, core, move || {
            for round in 0..ROUNDS {
                semaphore.signal();
                if round % 3 == 0 {
                    sched::sleep_ns::<Cpu>(round * 211 % 60_000);
                }
            }
        })
    };
    let signallers: alloc::vec::Vec<_> = (0..core_count()).map(signaller).collect();
    signallers.into_iter().for_each(Handle::join);
    is_over.store(true, Ordering::Release);
    waiters.into_iter().for_each(Handle::join);
    let left = core::iter::from_fn(|| semaphore.try_wait().then_some(())).count() as u64;
    assert_eq!(had.load(Ordering::Relaxed) + left, ROUNDS * core_count() as u64);
}
