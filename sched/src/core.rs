//! What each core has for itself.

use alloc::sync::Arc;
use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use dispatcher::Dispatcher;

use crate::{
    account::Counter,
    hail::Ticking,
    machine::Machine,
    package::Why,
    queue::RunQueue,
    roll::Roll,
    strand::{Exclusive, Priority, Strand},
    switch::After,
    timers::Timers,
};

/// How often a core looks whether it can repin, while somebody waits for it, and whether a time bound
/// has passed, while something runs that has one, in nanoseconds.
pub const TICK_NS: u64 = 1_000_000;

/// When to try again to preempt a strand that could not be, in nanoseconds.
pub const RETRY_NS: u64 = 200_000;

/// A core's part of the scheduler.
pub struct Core<M: Machine> {
    id: usize,
    /// Strands that wait for this core; others put strands on it and steal from it.
    pub(crate) queue: spin::Mutex<RunQueue<M>>,
    pub(crate) timers: spin::Mutex<Timers<M>>,
    /// The strands that were made here.
    pub(crate) roll: spin::Mutex<Roll<M>>,
    /// The running strand should lose the core as soon as it may.
    pub(crate) is_due: AtomicBool,
    /// It was called, while it was idle, because there is something for it to steal.
    has_offer: AtomicBool,
    /// The priority that runs, for those who wonder whether to interrupt. Idle counts as -1, so this
    /// is one more than the priority's number.
    level: AtomicU8,
    /// A timer interrupt will end the present slice.
    ticking: Ticking,
    /// Strand switches; those that a strand had no choice in; strands that were taken from other cores'
    /// queues. By the core itself, masked.
    pub(crate) switches: Counter,
    pub(crate) preemptions: Counter,
    pub(crate) steals: Counter,
    /// Runs where nobody else wants to.
    idle: Arc<Strand<M>>,
    pub(crate) local: Exclusive<Local<M>>,
}

/// What only the core itself touches, interrupts masked.
pub(crate) struct Local<M: Machine> {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) current: Arc<Strand<M>>,
    pub(crate) idle: Arc<Strand<M>>,
    /// On whose time the current strand runs, if it is a thread package's.
    pub(crate) carrier: Option<Arc<Strand<M>>>,
    /// When the carrier wants the core back.
    pub(crate) limit: Option<u64>,
    /// The carrier shall have the core back as soon as the current strand may lose it, and why.
    pub(crate) recall: Option<Why>,
    /// What the strand that comes next must do about the one that left.
    pub(crate) after: After<M>,
    /// When the present slice began, in ticks.
    pub(crate) slice_start: u64,
    /// Somebody waits for this core to repin, and it was inside when it was asked.
    pub(crate) must_repin: bool,
    /// Something with a time bound may run here: a tick that finds that it doesn't clears it.
    pub(crate) is_bounded: bool,
    /// Numbers for strands that are made here.
    pub(crate) ids: Range<u64>,
    /// Others waited for the core when it was left.
    pub(crate) is_waited_for: bool,
    /// The running strand should leave because its slice is over, and somebody waits.
    pub(crate) is_slice_over: bool,
    /// When the timer goes off, if it is set.
    pub(crate) timer: Option<u64>,
}

impl<M: Machine> Core<M> {
    pub(crate) fn new(id: usize, dispatcher: Dispatcher, idle: Arc<Strand<M>>) -> Self {
        Self {
            id,
            queue: spin::Mutex::new(RunQueue::new(id)),
            timers: spin::Mutex::new(Timers::new()),
            roll: spin::Mutex::new(Roll::new()),
            is_due: AtomicBool::new(false),
            has_offer: AtomicBool::new(false),
            level: AtomicU8::new(0),
            ticking: Ticking(AtomicBool::new(false)),
            switches: Counter::new(),
            preemptions: Counter::new(),
            steals: Counter::new(),
            idle: idle.clone(),
            local: Exclusive::new(Local {
                dispatcher,
                current: idle.clone(),
                idle,
                carrier: None,
                limit: None,
                recall: None,
                after: After::Nothing,
                slice_start: 0,
                must_repin: false,
                is_bounded: false,
                ids: 0..0,
                is_waited_for: false,
                is_slice_over: false,
                timer: None,
            }),
        }
    }

    /// Its number.
    pub fn id(&self) -> usize {
        self.id
    }

    /// How many strands wait for it.
    pub fn waiting(&self) -> usize {
        M::masked(|| self.queue.lock().len())
    }

    /// How often it went from one strand to another.
    pub fn switches(&self) -> u64 {
        self.switches.get()
    }

    /// How many of those the strand that left had no choice in.
    pub fn preemptions(&self) -> u64 {
        self.preemptions.get()
    }

    /// How many strands it took from other cores' queues when it had nothing to do.
    pub fn steals(&self) -> u64 {
        self.steals.get()
    }

    /// Will its timer end the present slice? Not while nobody waits for it.
    pub fn is_ticking(&self) -> bool {
        self.ticking.is_on()
    }

    /// The strand that runs where nobody else wants to: it halts the core. On no queue and on no roll.
    pub fn idle(&self) -> &Arc<Strand<M>> {
        &self.idle
    }

    /// # Safety
    ///
    /// The caller runs on this core with interrupts masked, and lets no two such references live at
    /// once.
    #[allow(clippy::mut_from_ref, reason = "see the contract")]
    pub(crate) unsafe fn local(&self) -> &mut Local<M> {
        // SAFETY: by the contract nobody else can be at it: other cores never are, and on this one
        // nothing else runs.
        unsafe { self.local.get() }
    }

    /// Who runs, is noted for others.
    pub(crate) fn note_level(&self, priority: Option<Priority>) {
        self.level.store(priority.map_or(0, |priority| priority.number() + 1), Ordering::Relaxed);
    }

    /// One more than the number of the priority that runs; nothing, while it is idle.
    pub(crate) fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    /// Would a strand of that priority have this core at once?
    pub(crate) fn runs_less_than(&self, priority: Priority) -> bool {
        priority.number() + 1 > self.level()
    }

    /// Should this core be interrupted for a strand of that priority that was queued on it? Yes if it
    /// is more urgent, or an equal and no timer would ever end the present slice.
    pub(crate) fn should_hear_of(&self, priority: Priority) -> bool {
        self.runs_less_than(priority) || priority.number() + 1 == self.level() && !self.ticking.is_on()
    }

    /// There is something for this core to steal; an interrupt follows.
    pub(crate) fn make_offer(&self) {
        // Release: pairs with the Acquire below, for whoever looks after the interrupt.
        self.has_offer.store(true, Ordering::Release);
    }

    /// Was it told of something to steal since it was asked last?
    pub(crate) fn take_offer(&self) -> bool {
        self.has_offer.load(Ordering::Relaxed) && self.has_offer.swap(false, Ordering::Acquire)
    }

    /// Makes this core look at its queue again, at its next interrupt if it is another than the caller's.
    /// Interrupts masked.
    pub(crate) fn interrupt(&self) {
        if self.id == M::core_id() {
            self.look_again();
        } else {
            M::kick(self.id);
        }
    }

    /// The queue has changed, or what runs: should the running strand go on? On this core, interrupts
    /// masked.
    pub(crate) fn look_again(&self) {
        // SAFETY: on this core, masked; used no more before `arm`.
        let local = unsafe { self.local() };
        let running = (!local.is_idle()).then(|| local.ranking().priority());
        let is_exiled = running.is_some() && !local.ranking().affinity().has(self.id);
        let queue = self.queue.lock();
        self.note_level(running);
        let is_better = queue.highest().is_some_and(|priority| self.runs_less_than(priority));
        drop(queue);
        if is_better || is_exiled {
            self.is_due.store(true, Ordering::Relaxed);
        }
        self.arm();
    }

    /// The running strand's slice has begun, and others may wait for it to end. A timer that goes off
    /// before it ends is as good as one at its end, so most slices need not touch it. On this core,
    /// interrupts masked.
    #[inline]
    pub(crate) fn watch_slice(&self) {
        // SAFETY: on this core, masked; the reference ends with the statement.
        let local = unsafe { self.local() };
        if !(self.ticking.is_on() && local.timer.is_some_and(|timer| timer <= local.slice_end_ns())) {
            self.arm();
        }
    }

    /// Sees to it that the timer goes off for whatever comes first: a sleeper, the end of the slice if
    /// anyone waits for the core, the next try to repin. None of them, no tick; but one that is set for
    /// earlier is left alone: when it goes off there is time to set it right. On this core, interrupts
    /// masked.
    pub(crate) fn arm(&self) {
        let deadline = self.deadline();
        // SAFETY: on this core, masked; used no more after the next line.
        let local = unsafe { self.local() };
        let (timer, slice_end) = (local.timer, local.slice_end_ns());
        let is_early = timer.is_some_and(|timer| deadline.is_none_or(|deadline| timer <= deadline));
        if !is_early {
            self.set_timer(deadline);
        } else if timer.is_some_and(|timer| timer <= slice_end) {
            // Whatever it was set for, it looks at the queue before the slice is over.
            self.ticking.promise();
        }
    }

    /// As [`arm`](Self::arm), and takes back what was set for earlier: for a core that halts.
    pub(crate) fn arm_exactly(&self) {
        self.set_timer(self.deadline());
    }

    fn set_timer(&self, deadline: Option<u64>) {
        // SAFETY: on this core, masked; the reference ends with the statement.
        let before = core::mem::replace(&mut unsafe { self.local() }.timer, deadline);
        if before != deadline {
            M::set_timer(deadline);
        }
    }

    fn deadline(&self) -> Option<u64> {
        // SAFETY: on this core, masked; used no more after the next line.
        let local = unsafe { self.local() };
        let (slice_end, must_repin, is_idle) = (local.slice_end_ns(), local.must_repin, local.is_idle());
        let is_bounded = local.is_bounded;
        let limit = local.limit.filter(|_| local.carrier.is_some());
        // The less urgent wait without a tick until the running strand does, too. The idle strand has no
        // slice: it looks at the queue by itself.
        let least = local.ranking().priority();
        let is_wanted = self
            .ticking
            .decide(|| !is_idle && self.queue.lock().highest().is_some_and(|highest| highest >= least));
        let sleeper = self.timers.lock().next();
        // A strand that should have lost the core and could not is asked again a little later, not in an endless row of interrupts.
        let is_due = self.is_due.load(Ordering::Relaxed);
        let slice = is_wanted.then(|| if is_due { slice_end.max(M::now_ns() + RETRY_NS) } else { slice_end });
        let tick = (must_repin || is_bounded).then(|| M::now_ns() + TICK_NS);
        // As with the slice: who cannot lose the core now is asked again a little later.
        let limit = limit.map(|limit| if is_due { limit.max(M::now_ns() + RETRY_NS) } else { limit });
        let recall = (local.carrier.is_some() && local.recall.is_some()).then(|| M::now_ns() + RETRY_NS);
        [sleeper, slice, tick, limit, recall].into_iter().flatten().min()
    }
}

impl<M: Machine> Local<M> {
    /// What is to be done about the strand that left; then nothing is.
    #[inline(always)]
    pub(crate) fn take_after(&mut self) -> After<M> {
        core::mem::replace(&mut self.after, After::Nothing)
    }

    /// What the strand that comes next must do about the one that leaves.
    #[inline(always)]
    pub(crate) fn set_after(&mut self, after: After<M>) {
        // What was there was done by the running strand, and left nothing to drop.
        core::mem::forget(core::mem::replace(&mut self.after, after));
    }

    /// Until when the running strand may have the core, while equals wait.
    pub(crate) fn slice_end_ns(&self) -> u64 {
        // The clock is read first: rather a little too early than an interrupt that comes for nothing.
        let now = M::now_ns();
        let so_far = M::ns_in(M::ticks().saturating_sub(self.slice_start));
        (now + self.ranking().priority().quantum_ns()).saturating_sub(so_far)
    }

    /// The strand by whose priority and on whose time the core runs.
    pub(crate) fn ranking(&self) -> &Arc<Strand<M>> {
        self.carrier.as_ref().unwrap_or(&self.current)
    }

    pub(crate) fn is_idle(&self) -> bool {
        Arc::ptr_eq(&self.current, &self.idle)
    }
}
