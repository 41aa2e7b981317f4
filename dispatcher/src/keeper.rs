//! The housekeeper: waits for grace periods, and alone destroys.
//!
//! It runs on a strand of its own. Each [`Keeper::step`] does what can be done without waiting and
//! says what is to be waited for; how (nudging cores, sleeping a little) is its caller's business.
//!
//! A batch of retired objects waits for one grace period: the keeper defers a flag into the
//! collector, and when the collector runs it, every participant has moved on twice since. As nobody
//! else defers or collects, the collector's own memory is the same after each batch, to the byte.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use crossbeam_epoch::LocalHandle;

use crate::{
    context,
    epoch::{Epochs, LOW_WATER},
    plan::Aside,
    processor::Processor,
    retire::{Batch, RetireList},
};

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing is retired.
    Idle,
    /// A grace period has begun. These cores (bit *n* is core *n*) have not repinned since: nudge
    /// them ([`crate::Dispatcher::nudged`]), then step again. If there are none, a strand that was
    /// preempted inside a border is waited for: give it time.
    Waiting {
        /// The set of cores to nudge.
        lagging: u64,
    },
    /// So many objects were destroyed.
    Finished(usize),
}

/// The housekeeper's state.
pub struct Keeper {
    epochs: &'static Epochs,
    retired: &'static RetireList,
    participant: LocalHandle,
    waiting: Option<Waiting>,
}

struct Waiting {
    batch: Batch,
    over: Arc<AtomicBool>,
}

// SAFETY: the handle is used by one strand at a time, the one that has the keeper; see `Participant`.
unsafe impl Send for Keeper {}

impl Keeper {
    /// The keeper of `epochs` and of what `retired` brings. There should be one.
    pub fn new(epochs: &'static Epochs, retired: &'static RetireList) -> Self {
        Self { epochs, retired, participant: epochs.collector.register(), waiting: None }
    }

    /// Goes on as far as it can without waiting. Destroys what is due: so it runs closures' destructors
    /// and whatever was put off by [`RetireList::after_grace`]. Not from an interrupt, nor inside a
    /// border (it would wait for itself).
    pub fn step<P: Processor>(&mut self) -> Progress {
        debug_assert!(!crate::border::is_running_inside::<P>(), "the keeper would wait for itself");
        self.top_up();
        if self.waiting.is_none() && !self.begin() {
            return Progress::Idle;
        }
        let lagging = self.epochs.lagging();
        if lagging == 0 {
            self.epochs.tend(|care| P::masked(care));
            self.collect();
            self.epochs.begin_round();
        }
        // Acquire: pairs with the Release of the deferred function.
        match self.waiting.take() {
            Some(waiting) if waiting.over.load(Ordering::Acquire) => {
                let finish = || {
                    // SAFETY: the flag was deferred after the batch was taken, and the collector ran it.
                    unsafe { waiting.batch.finish(self.retired) }
                };
                Progress::Finished(context::set_aside::<P, _>(Aside::Destructor, finish))
            }
            waiting => {
                self.waiting = waiting;
                Progress::Waiting { lagging: self.epochs.lagging() }
            }
        }
    }

    fn begin(&mut self) -> bool {
        let batch = self.retired.take();
        if batch.is_empty() {
            return false;
        }
        let over = Arc::new(AtomicBool::new(false));
        let flag = over.clone();
        let guard = self.participant.pin();
        // Release: pairs with the Acquire in `step`.
        guard.defer(move || flag.store(true, Ordering::Release));
        // Seals it with the present epoch, after a full fence: the objects were unlinked before.
        guard.flush();
        drop(guard);
        self.epochs.begin_round();
        self.waiting = Some(Waiting { batch, over });
        true
    }

    /// Lets the collector move the epoch on, if every participant has seen the present one, and run
    /// what is due.
    fn collect(&self) {
        let guard = self.participant.pin();
        // Every 128th pin collects by itself. Where it ran our flag, a flush would seal what it left to
        // be freed, a node of the collector's queue, in a node of its own: after a batch there would be
        // one more than usual.
        let is_over = |waiting: &Waiting| waiting.over.load(Ordering::Relaxed);
        if !self.waiting.as_ref().is_some_and(is_over) {
            guard.flush();
        }
    }

    fn top_up(&self) {
        if self.epochs.is_low() {
            let (all, _) = self.epochs.participants();
            self.epochs.grow(all.max(LOW_WATER));
        }
    }
}
