//! The pool of participants in the booted kernel, when it runs dry.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::Processor;
use dispatcher::{Event, Handler};

use super::{Cpu, spawn_on};
use crate::ktest::ktest;

static BUSY: Event<(), (), Cpu> = Event::new("Test.Busy", None).open();

/// Many times as many strands as a core has participants are nearly always inside a handler when
/// their slices end; all of them get their turns.
#[ktest]
fn a_dry_pool_starves_nobody() {
    let busy = |_: &()| {
        let end = Cpu::now_ns() + 3_000_000;
        while Cpu::now_ns() < end {
            core::hint::spin_loop();
        }
    };
    let id = BUSY.install(Handler::trusted(busy)).expect("there is room");
    let is_over = Arc::new(AtomicBool::new(false));
    let raiser = |_| {
        let count = Arc::new(AtomicU64::new(0));
        let (is_over, own_count) = (is_over.clone(), count.clone());
        let raise = move || {
            while !is_over.load(Ordering::Relaxed) {
                BUSY.raise(&()).expect("the handler stands");
                own_count.fetch_add(1, Ordering::Relaxed);
            }
        };
        (count, spawn_on(0, "raiser", raise).expect("there is memory"))
    };
    let raisers: Vec<_> = (0..60).map(raiser).collect();
    sched::sleep_ns::<Cpu>(2_000_000_000);
    let starved = raisers.iter().filter(|(count, _)| count.load(Ordering::Relaxed) == 0).count();
    is_over.store(true, Ordering::Relaxed);
    raisers.into_iter().for_each(|(_, strand)| strand.join());
    BUSY.remove(id).expect("it was installed");
    assert_eq!(starved, 0, "of 60; {:?} participants", super::participants());
}
