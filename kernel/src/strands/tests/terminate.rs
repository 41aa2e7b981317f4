//! Strands that are terminated, in every state.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::Processor;
use sched::{Builder, Priority, State, Terminated, Woken};

use super::{MILLISECOND, PATIENCE_NS, block_for_a_while, spin_until};
use crate::{
    ktest::{core_count, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle, Mutex, spawn},
};

/// How a strand's wait has ended; set by the strand.
type Outcome<T> = Arc<Mutex<Option<T>>>;

fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> (Handle, Outcome<T>) {
    let outcome = Outcome::new(Mutex::new(None));
    let result = outcome.clone();
    let strand = guarded(Builder::new("victim"), move || {
        let ended = body();
        *result.lock() = Some(ended);
    });
    (strand, outcome)
}

fn wait_until_blocked(handle: &Handle) {
    wait_until("it waits", || handle.strand().state() == State::Blocked);
}

#[ktest]
fn one_that_has_not_begun_never_begins() {
    let last = core_count() - 1;
    let busy = guarded(on(last).priority(Priority::HIGH), move || {
        let has_begun = Arc::new(AtomicBool::new(false));
        let flag = has_begun.clone();
        let late = spawn(on(last), move || flag.store(true, Ordering::Release)).expect("there is memory");
        assert!(sched::terminate(late.strand()));
        assert_eq!(late.strand().state(), State::Runnable);
        late.join();
        assert!(!has_begun.load(Ordering::Acquire));
        assert_eq!(Arc::strong_count(&has_begun), 1, "its entry is dropped");
    });
    busy.join();
}

#[ktest]
fn one_that_computes_goes_on_until_it_asks() {
    let has_begun = Arc::new(AtomicBool::new(false));
    let flag = has_begun.clone();
    let busy = guarded(on(core_count() - 1), move || {
        flag.store(true, Ordering::Release);
        spin_until("it is terminated", sched::is_terminated::<Cpu>);
        // It cleans up in peace.
        sched::sleep_ns::<Cpu>(MILLISECOND);
        assert_eq!(sched::try_block::<Cpu>(), Err(Terminated));
    });
    wait_until("it runs", || has_begun.load(Ordering::Acquire));
    assert!(busy.terminate());
    assert!(!busy.terminate());
    busy.join();
}

#[ktest]
fn one_that_waits_is_woken() {
    let (blocked, how) = start(sched::try_block::<Cpu>);
    wait_until_blocked(&blocked);
    blocked.terminate();
    blocked.join();
    assert_eq!(*how.lock(), Some(Err(Terminated)));

    let (sleeper, how) = start(|| sched::try_sleep_ns::<Cpu>(PATIENCE_NS));
    wait_until_blocked(&sleeper);
    sleeper.terminate();
    sleeper.join();
    assert_eq!(*how.lock(), Some(Err(Terminated)));
}

#[ktest]
fn timed_waits_say_how_they_ended() {
    let begun = Cpu::now_ns();
    let (timed, timed_how) = start(move || sched::try_block_until::<Cpu>(begun + 3 * MILLISECOND));
    let (called, called_how) = start(move || sched::try_block_until::<Cpu>(begun + PATIENCE_NS));
    wait_until_blocked(&called);
    sched::unblock(called.strand());
    timed.join();
    assert!(Cpu::now_ns() >= begun + 3 * MILLISECOND);
    called.join();
    assert_eq!(*timed_how.lock(), Some(Ok(Woken::TimedOut)));
    assert_eq!(*called_how.lock(), Some(Ok(Woken::Called)));
}

#[ktest]
fn one_that_joins_is_woken() {
    let sleeper = Arc::new(guarded(Builder::new("sleeper"), block_for_a_while));
    let handle = sleeper.clone();
    let (joiner, how) = start(move || handle.try_join());
    wait_until_blocked(&joiner);
    joiner.terminate();
    joiner.join();
    assert_eq!(*how.lock(), Some(Err(Terminated)));
    sched::unblock(sleeper.strand());
    assert_eq!(sleeper.try_join(), Ok(()));
}

#[ktest]
fn one_that_waits_for_a_lock_gets_it_first() {
    let lock = Arc::new(Mutex::new(0));
    let shared = lock.clone();
    let guard = lock.lock();
    let (waiter, how) = start(move || {
        *shared.lock() += 1;
        sched::try_block::<Cpu>()
    });
    wait_until_blocked(&waiter);
    waiter.terminate();
    sched::sleep_ns::<Cpu>(MILLISECOND);
    assert_eq!(*guard, 0, "nobody has broken in");
    assert!(how.lock().is_none());
    drop(guard);
    waiter.join();
    assert_eq!((*lock.lock(), *how.lock()), (1, Some(Err(Terminated))));
}

#[ktest]
fn one_that_has_ended_stays_so() {
    let ended = guarded(Builder::new("early"), || ());
    let strand = ended.strand().clone();
    ended.join();
    assert!(sched::terminate(&strand));
    assert_eq!(strand.state(), State::Ended);
}
