//! A crowd of strands asleep in handlers, and a strand that raises for ever: they keep nobody else from being
//! reclaimed. How long that takes is told, and not asserted: virtual cores wait for real ones.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::{Event, Handler, Processor};
use sched::Builder;
use spindle::demo::Hello;

use super::{loaded, unload};
use crate::{
    events::HELLO,
    ktest::{core_count, guarded, ktest, on, wait_until},
    memory::{self, Stack},
    strands::{Cpu, Handle},
};

/// How many sleep, if there is memory for their stacks; fewer where each takes ten times as long to make.
const CROWD: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
/// The stack of one: what a handler must find, what the kernel must find when the handler calls it, and
/// what an interrupt needs.
const STACK_SIZE: usize = 24 * 1024 + crate::trap::INTERRUPT_ROOM;

/// The event that the lone strand raises.
static BUSY: Event<u64, u64, Cpu> = Event::new("Test.Busy", None).open();
/// One that has nothing to do with anybody.
static BYSTANDER: Event<u64, u64, Cpu> = Event::new("Test.Bystander", None).open();

/// Is told when it is dropped.
struct Told(Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Installs and removes a handler; says how long it took until its closure was dropped, in nanoseconds.
fn reclaims_a_binding() -> u64 {
    let is_gone = Arc::new(AtomicBool::new(false));
    let told = Told(is_gone.clone());
    let handler = Handler::trusted(move |number: &u64| number + u64::from(told.0.load(Ordering::Relaxed)));
    let binding = BYSTANDER.install(handler).expect("there is room");
    assert_eq!(BYSTANDER.raise(&1), Ok(1));
    let begun = Cpu::now_ns();
    BYSTANDER.remove(binding).expect("it is installed");
    wait_until("the closure is dropped", || is_gone.load(Ordering::Acquire));
    Cpu::now_ns() - begun
}

/// Loads a spindle and unloads it; says how long the unloading took, in nanoseconds.
fn reclaims_a_spindle() -> u64 {
    loaded("echo");
    assert!(HELLO.raise(&Hello { number: 0, core: 0 }).is_ok());
    let begun = Cpu::now_ns();
    assert_eq!(unload("echo"), Ok(()));
    Cpu::now_ns() - begun
}

/// Runs `body` while a strand on the last core raises without end. Where there are several cores it is alone on
/// its own, and that has no ticks.
fn while_one_raises(body: impl FnOnce()) {
    let (is_over, raises) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let binding = BUSY.install(Handler::trusted(|number: &u64| number + 1)).expect("there is room");
    let (ends, counter) = (is_over.clone(), raises.clone());
    let raiser = guarded(on(core_count() - 1), move || {
        while !ends.load(Ordering::Relaxed) {
            assert_eq!(BUSY.raise(&7), Ok(8));
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    wait_until("it raises", || raises.load(Ordering::Relaxed) > 1_000);
    body();
    is_over.store(true, Ordering::Relaxed);
    raiser.join();
    BUSY.remove(binding).expect("it is installed");
}

/// The median, and the most.
fn summary(mut times: Vec<u64>) -> (u64, u64) {
    times.sort_unstable();
    (times[times.len() / 2] / 1_000, times[times.len() - 1] / 1_000)
}

fn measure(what: &str) {
    let (median, most) = summary((0..20).map(|_| reclaims_a_binding()).collect());
    log::info!("{what}: a binding is reclaimed in {median} us (median), {most} us (most)");
    let (median, most) = summary((0..10).map(|_| reclaims_a_spindle()).collect());
    log::info!("{what}: a spindle is reclaimed in {median} us (median), {most} us (most)");
}

#[ktest]
fn a_lone_raiser_delays_nobody() {
    measure("with nobody about");
    while_one_raises(|| measure("while one raises for ever"));
}

#[ktest]
fn a_crowd_asleep_in_handlers_delays_nobody() {
    let domain = loaded("sleeper");
    // An hour, which unloading makes short.
    let sleep = || _ = HELLO.raise(&Hello { number: 3_600_000, core: 0 });
    // A page more for each, for page tables and the strand itself, and some for everybody else.
    let room = memory::stats().frames.free.saturating_sub(8_192) / (STACK_SIZE / 4096 + 1);
    let crowd = CROWD.min(room);
    let begun = Cpu::now_ns();
    let sleepers: Vec<Handle> = (0..crowd)
        .map(|_| {
            let stack = Stack::new(STACK_SIZE).expect("there is memory for its stack");
            Builder::new("sleeper").spawn::<Cpu>(stack, sleep).expect("there is a core for it")
        })
        .collect();
    wait_until("all sleep", || domain.sleepers() == crowd);
    let took = (Cpu::now_ns() - begun) / 1_000_000;
    log::info!("{crowd} strands fell asleep in a handler, with stacks of {STACK_SIZE} bytes, in {took} ms");
    measure("while they sleep");
    while_one_raises(|| measure("while they sleep and one raises for ever"));
    assert_eq!(domain.sleepers(), crowd, "somebody's sleep was cut short");
    drop(domain);
    let begun = Cpu::now_ns();
    assert_eq!(unload("sleeper"), Ok(()));
    log::info!("their own spindle was reclaimed in {} ms", (Cpu::now_ns() - begun) / 1_000_000);
    sleepers.into_iter().for_each(Handle::join);
}
