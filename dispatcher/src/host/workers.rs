//! Workers: threads that deliver what was posted for their core.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Host, lock, poll, world};
use crate::{Processor, post};

/// What a core's worker sleeps by.
pub(super) struct Bell {
    has_rung: Mutex<bool>,
    changed: Condvar,
    /// How often it was rung by a summons.
    count: AtomicUsize,
}

impl Bell {
    pub(super) const fn new() -> Self {
        Self { has_rung: Mutex::new(false), changed: Condvar::new(), count: AtomicUsize::new(0) }
    }

    fn ring(&self) {
        *lock(&self.has_rung) = true;
        self.changed.notify_one();
    }

    /// There is something to deliver.
    pub(super) fn summon(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.ring();
    }

    /// How often a worker was summoned.
    pub(super) fn summons(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// Delivers what was posted for the calling thread's core until nothing waits any more: for tests and
/// programs in which a strand does the worker's part itself. Says how many turns there were.
pub fn deliver_posts() -> usize {
    let core = Host::core_id();
    let turns = core::iter::from_fn(|| post::take::<Host>(core));
    turns.map(|turn| turn.deliver::<Host>(core)).count()
}

/// Makes the calling thread the one worker of its core, until `is_over`: delivers what is posted, and
/// sleeps when there is nothing. Whoever ends it so must [`ring`] afterwards.
///
/// # Panics
///
/// If it sleeps for a minute while something waits: a summons was lost.
pub fn work_until(is_over: impl Fn() -> bool) {
    let core = Host::core_id();
    let bell = &world().bells[core];
    loop {
        deliver_posts();
        poll();
        if !post::watch::<Host>(core) {
            continue;
        }
        let mut has_rung = lock(&bell.has_rung);
        while !*has_rung && !is_over() {
            let waited = bell.changed.wait_timeout(has_rung, Duration::from_secs(60));
            let (guard, time) = waited.unwrap_or_else(PoisonError::into_inner);
            has_rung = guard;
            assert!(!time.timed_out() || *has_rung || post::is_empty::<Host>(core), "a summons was lost");
        }
        *has_rung = false;
        if is_over() {
            return;
        }
    }
}

/// Wakes the worker of core `core` of the calling thread's machine, for no reason but to let it see
/// whether it is over.
pub fn ring(core: usize) {
    world().bells[core].ring();
}
