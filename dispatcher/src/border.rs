//! Border records: one on the stack for each protected passage.
//!
//! A strand's open borders form a list, innermost first, whose head is the word that
//! [`Processor::top`] reads. While the list holds a border other than a *base*, the strand may be
//! using a plan or a domain's code, and its core's participant must not move to a later epoch: the
//! strand is *inside*. Three things can happen to it there:
//!
//! - it is preempted: the participant travels with it ([`crate::Dispatcher::depart`]);
//! - it blocks: each border takes counted references on what it came through (`hold_all`), and
//!   the participant is free to move on;
//! - it is nudged, because someone waits for an epoch: the outermost border is marked
//!   (`mark_outermost`), and leaving it repins at once.
//!
//! Whatever happens sets bits in the border's own plan word. The straight path out tests those bits:
//! one test covers all of it, and when nothing happened that is all.
//!
//! Between opening and the first store to that word it may hold anything: whatever lay on the stack.
//! Nothing of the strand's own looks at it there, and interrupts only do what is harmless then: a mark
//! is overwritten and comes again, a bound that is none makes the core tick once more, and is extended
//! in memory that is the border's. None of them follows it to a plan.

use core::{
    cell::{Cell, UnsafeCell},
    mem::{MaybeUninit, offset_of},
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering, compiler_fence},
};

use crate::{
    domain::DomainState,
    event::RaiseError,
    landing,
    plan::{Entry, Plan, Word},
    processor::Processor,
};

/// A counted reference on the plan was taken.
const PLAN_HELD: usize = 1;
/// The passage is counted among the sleepers of its binding and domain.
const ENTRY_HELD: usize = 2;
/// Leaving this border must repin the core's participant.
const REPIN: usize = 4;
/// No result came of it; `failure` says why.
const FAILED: usize = 8;
/// What runs now has until `deadline`.
const BOUNDED: usize = 16;
const FLAGS: usize = PLAN_HELD | ENTRY_HELD | REPIN | FAILED | BOUNDED;
const _: () = assert!(align_of::<Plan>() > FLAGS, "the flags live in a plan's address");

/// In `below`: this is the base of a strand.
pub(crate) const BASE: usize = 1;

/// The record of one passage: of a raise, of a procedure of another domain, or of a strand's start.
///
/// Its first word is set before it is opened, its second one right after that. The rest is set by those
/// who need it.
#[repr(C)]
pub struct Border {
    below: Cell<*mut Border>,
    /// The plan that is being run, with the flags. Atomic because an interrupt on this core marks it.
    pub(crate) via: AtomicPtr<Plan>,
    /// The result of a foreign procedure, or where it goes if it is wider than a word.
    pub(crate) room: UnsafeCell<MaybeUninit<*mut ()>>,
    /// The stack pointer to which a cut returns, while foreign code runs.
    pub(crate) landing: Cell<MaybeUninit<usize>>,
    /// What is being run, if the plan has several entries, or if there is no plan.
    entry: Cell<MaybeUninit<*const Entry>>,
    failure: Cell<MaybeUninit<RaiseError>>,
    pub(crate) keep: Cell<Word>,
    /// Of the bound, in the processor's nanoseconds. Atomic as `via` is.
    deadline: MaybeUninit<AtomicUsize>,
}

impl Border {
    /// Makes a border for a passage that is about to be made, above `below`. Its plan is to be set.
    #[inline(always)]
    pub(crate) fn make(place: &mut MaybeUninit<Self>, below: *mut Self) -> &Self {
        let border = place.as_mut_ptr();
        // SAFETY: it is the place of a border.
        let field = unsafe { &raw mut (*border).below };
        // SAFETY: it is the place of that word.
        unsafe { field.write(Cell::new(below)) };
        landing::settle(place)
    }

    /// A border for a passage that goes by way of no plan.
    fn without_plan(place: &mut MaybeUninit<Self>, below: *mut Self) -> &Self {
        let border = Self::make(place, below);
        border.set_plan(ptr::null_mut());
        border
    }

    /// A border for a passage to `entry`, and to nothing else.
    pub(crate) fn of_entry(place: &mut MaybeUninit<Self>, below: *mut Self, entry: *const Entry) -> &Self {
        let border = Self::without_plan(place, below);
        border.set_entry(entry);
        border
    }

    /// A border for trusted code that is no handler. Nothing is used through it, so with it the strand is
    /// as much inside as without it.
    pub(crate) fn of_aside<'a, P: Processor>(
        place: &'a mut MaybeUninit<Self>,
        below: *mut Self,
        entry: &'static Entry,
    ) -> &'a Self {
        let base = if is_running_inside::<P>() { 0 } else { BASE };
        Self::of_entry(place, below.map_addr(|address| address | base), entry)
    }

    /// Opens it: from here on the strand is inside. What it came through must be loaded, or looked at
    /// again, after this.
    #[inline(always)]
    pub(crate) fn open<P: Processor>(&self) {
        P::set_top(ptr::from_ref(self).cast_mut());
        // What is loaded next is loaded inside. The interrupt that could repin runs on this very core,
        // so keeping the compiler in order is enough; no fence is needed.
        compiler_fence(Ordering::SeqCst);
    }

    /// Closes it. Its flags are to be read after this: an interrupt that finds the border closed repins
    /// by itself; one that found it open left its mark.
    #[inline(always)]
    pub(crate) fn close<P: Processor>(below: *mut Self) {
        compiler_fence(Ordering::SeqCst);
        P::set_top(below);
        compiler_fence(Ordering::SeqCst);
    }

    /// Notes the plan that is run through it, before anything of that is used.
    #[inline(always)]
    pub(crate) fn set_plan(&self, plan: *mut Plan) {
        // Relaxed: read by this core alone.
        self.via.store(plan, Ordering::Relaxed);
    }

    /// Did anything happen on the way: a sleep, a nudge, a failure?
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        landing::is_clear::<{ offset_of!(Self, via) }, FLAGS>(self)
    }

    /// Did the strand sleep here? Then other bindings of the plan may be dead by now.
    pub(crate) fn has_slept(&self) -> bool {
        self.flags() & PLAN_HELD != 0
    }

    #[inline(always)]
    fn flags(&self) -> usize {
        self.via.load(Ordering::Relaxed).addr() & FLAGS
    }

    #[inline]
    fn plan(&self) -> *mut Plan {
        self.via.load(Ordering::Relaxed).map_addr(|address| address & !FLAGS)
    }

    fn set_flag(&self, flag: usize) {
        // Not one instruction, and need not be: an interrupt in between that sets a mark, which is then
        // lost, comes again (see `Dispatcher::nudged`).
        let via = self.via.load(Ordering::Relaxed);
        self.via.store(via.map_addr(|address| address | flag), Ordering::Relaxed);
    }

    fn clear_flag(&self, flag: usize) {
        let via = self.via.load(Ordering::Relaxed);
        self.via.store(via.map_addr(|address| address & !flag), Ordering::Relaxed);
    }

    /// Where the result goes.
    pub(crate) fn set_room(&self, result: *mut ()) {
        // SAFETY: the cell is this strand's, and nobody refers into it.
        unsafe { self.room.get().write(MaybeUninit::new(result)) };
    }

    /// Names what runs next, of a plan with several entries.
    #[inline(always)]
    pub(crate) fn set_entry(&self, entry: *const Entry) {
        self.entry.set(MaybeUninit::new(entry));
    }

    /// What is being run through this border. Only for the strand itself, once something runs.
    #[inline]
    pub(crate) fn entry(&self) -> Option<&Entry> {
        let plan = self.plan();
        // SAFETY: the strand runs something of the plan, so it has made sure of it.
        if let Some(entry) = unsafe { Plan::only_entry(plan) } {
            return Some(entry);
        }
        // SAFETY: who runs several, or none of a plan's, has named the one that runs.
        let entry = unsafe { self.entry.get().assume_init() };
        // SAFETY: it lies in the plan, or was passed in by `enter`, whose frame is still there.
        unsafe { entry.as_ref() }
    }

    /// No result comes of this passage, for that reason.
    #[cold]
    pub(crate) fn fail(&self, why: RaiseError) {
        self.failure.set(MaybeUninit::new(why));
        self.set_flag(FAILED);
    }

    /// Is there no result?
    pub(crate) fn has_failed(&self) -> bool {
        self.flags() & FAILED != 0
    }

    /// Why there is no result, if so; forgets it.
    pub(crate) fn take_failure(&self) -> Option<RaiseError> {
        if self.flags() & FAILED == 0 {
            return None;
        }
        self.clear_flag(FAILED);
        // SAFETY: the flag is set with it.
        Some(unsafe { self.failure.get().assume_init() })
    }

    /// The domain whose code runs through this border, if it is not trusted code. Only for the strand
    /// itself, or whoever interrupted its foreign code.
    #[inline]
    pub fn domain(&self) -> Option<&DomainState> {
        self.entry().and_then(Entry::domain)
    }

    /// The stack pointer at which the landing in progress stands: what lies below it goes with a cut.
    pub fn landing_stack(&self) -> Option<usize> {
        // SAFETY: foreign code runs through it, and the landing was set before it was entered.
        self.domain().map(|_| unsafe { self.landing.get().assume_init() })
    }

    /// The border that was innermost before this one was opened.
    #[inline]
    pub fn below(&self) -> *mut Self {
        self.below.get().map_addr(|address| address & !BASE)
    }

    /// Is this the base of a strand rather than a passage?
    pub fn is_base(&self) -> bool {
        self.below.get().addr() & BASE != 0
    }

    /// Gives what runs now until `deadline_ns`.
    pub(crate) fn bound(&self, deadline_ns: u64) {
        self.deadline_cell().store(deadline_ns as usize, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        self.set_flag(BOUNDED);
    }

    /// What was bounded has returned.
    pub(crate) fn unbound(&self) {
        self.clear_flag(BOUNDED);
    }

    /// Is what runs now bounded?
    #[inline]
    pub(crate) fn is_bounded(&self) -> bool {
        !landing::is_clear::<{ offset_of!(Border, via) }, BOUNDED>(self)
    }

    /// Until when what runs now may run, if it is bounded. From interrupts too.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<u64> {
        (self.flags() & BOUNDED != 0).then(|| self.deadline_cell().load(Ordering::Relaxed) as u64)
    }

    /// Gives what is bounded here so much longer.
    pub(crate) fn extend(&self, by_ns: u64) {
        if let Some(deadline_ns) = self.deadline() {
            let extended = deadline_ns.saturating_add(by_ns);
            self.deadline_cell().store(extended as usize, Ordering::Relaxed);
        }
    }

    fn deadline_cell(&self) -> &AtomicUsize {
        // SAFETY: an atomic word is valid with any contents; it is read only where it was written.
        unsafe { self.deadline.assume_init_ref() }
    }

    /// Control came back from an entry: gives up what its sleep had counted.
    #[cold]
    pub(crate) fn release_entry<P: Processor>(&self) {
        P::masked(|| {
            if self.flags() & ENTRY_HELD != 0 {
                self.clear_flag(ENTRY_HELD);
                self.entry().expect("a held entry is set").woke();
            }
        });
    }

    /// Something happened on the way through this border, which is closed now: a sleep, a nudge, a
    /// failure. Puts it in order, and says why there is no result, if so. If there is, `word` is kept, to
    /// be taken by [`kept`](Self::kept): so that it need not survive in a register where nothing happens.
    #[cold]
    pub(crate) fn look_back<P: Processor>(&self, word: Word) -> Option<RaiseError> {
        self.keep.set(word);
        self.release_entry::<P>();
        let failure = self.take_failure();
        self.settle::<P>();
        failure
    }

    /// What [`look_back`](Self::look_back) kept.
    pub(crate) fn kept(&self) -> Word {
        self.keep.get()
    }

    /// The raise is over and this border closed: gives up the counted plan, repins if asked to.
    #[cold]
    pub(crate) fn settle<P: Processor>(&self) {
        let flags = self.flags();
        debug_assert!(flags & ENTRY_HELD == 0, "the entry was released when control came back");
        if flags & PLAN_HELD != 0 {
            // SAFETY: the counted reference that this border took is given up here, once: the flag
            // is not looked at again, since the border is closed.
            let is_last = unsafe { Plan::release(self.plan()) };
            if is_last {
                P::summon_keeper();
            }
        }
        if flags & REPIN != 0 && !is_running_inside::<P>() {
            P::repin();
        }
    }
}

/// Is a strand whose innermost border is `top` inside, so that its epoch must not move?
///
/// # Safety
///
/// As for [`outwards`].
#[must_use]
pub unsafe fn is_inside(top: *mut Border) -> bool {
    // SAFETY: by the contract the border is open, so it lies on a live stack frame.
    unsafe { top.as_ref() }.is_some_and(|border| !border.is_base())
}

/// Is the running strand inside?
pub(crate) fn is_running_inside<P: Processor>() -> bool {
    // SAFETY: the running strand's own border.
    unsafe { is_inside(P::top()) }
}

/// The borders from `top` outwards, bases included.
///
/// # Safety
///
/// `top` is null or the innermost border of the caller's own strand, or of one that is stopped, or
/// interrupted on this core; and the strand does not go on while the borders are looked at.
#[inline]
pub unsafe fn outwards<'a>(top: *mut Border) -> impl Iterator<Item = &'a Border> {
    // SAFETY: each open border lies in a live frame of that strand's stack, and none closes meanwhile.
    let innermost = unsafe { top.as_ref() };
    core::iter::successors(innermost, |border| {
        // SAFETY: as above.
        unsafe { border.below().as_ref() }
    })
}

/// The strand whose innermost border is `top` is about to block: takes counted references for every
/// open border that has none yet. Cost: proportional to the borders opened since it last slept.
///
/// # Safety
///
/// As for [`outwards`]; by the strand itself, on its core, interrupts masked, before the participant is
/// repinned.
pub(crate) unsafe fn hold_all(top: *mut Border) {
    // SAFETY: passed on.
    for border in unsafe { outwards(top) } {
        if border.is_base() {
            continue;
        }
        let (plan, flags) = (border.plan(), border.flags());
        let entry = border.entry();
        // SAFETY: the strand runs something of the plan, so it is covered.
        let has_nothing = plan.is_null() || unsafe { Plan::is_bare(plan) };
        let plan_done = has_nothing || flags & PLAN_HELD != 0;
        let entry_done = entry.is_none() || flags & ENTRY_HELD != 0;
        if flags & (PLAN_HELD | ENTRY_HELD) != 0 && plan_done && entry_done {
            // When this border was held, so was every one outside it, and nothing has happened out
            // there since: those frames wait for this one to return.
            break;
        }
        if !plan_done {
            // SAFETY: the border covers the plan: it was loaded inside it, and the participant has
            // not moved since, so the plan is alive.
            unsafe { Plan::hold(plan) };
            border.set_flag(PLAN_HELD);
        }
        if !entry_done && let Some(entry) = entry {
            entry.fell_asleep();
            border.set_flag(ENTRY_HELD);
        }
    }
}

/// Asks the strand whose innermost border is `top` to repin as soon as it leaves its outermost
/// border. Called by the nudge's interrupt, on the core that runs that strand.
///
/// # Safety
///
/// As for [`outwards`], interrupts masked.
pub(crate) unsafe fn mark_outermost(top: *mut Border) {
    // SAFETY: passed on.
    if let Some(border) = unsafe { outwards(top) }.filter(|border| !border.is_base()).last() {
        border.set_flag(REPIN);
    }
}
