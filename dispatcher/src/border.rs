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
//! Holding and marking set bits in the border's own plan word. The straight path out compares that
//! word with the plan that it ran: one compare covers both, and when neither happened that is all.

use core::{
    cell::Cell,
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering, compiler_fence},
};

use crate::{
    domain::DomainState,
    handler::Code,
    landing,
    plan::{LEAST_STACK, Plan},
    processor::Processor,
};

/// A counted reference on the plan was taken.
const PLAN_HELD: usize = 1;
/// The domain counts this passage among its sleepers.
const DOMAIN_HELD: usize = 2;
/// Leaving this border must repin the core's participant.
const REPIN: usize = 4;
const FLAGS: usize = PLAN_HELD | DOMAIN_HELD | REPIN;
const _: () = assert!(align_of::<Plan>() > FLAGS, "the flags live in a plan's address");

/// The record of one passage: of a raise, of a procedure of another domain, or of a strand's start.
#[repr(C)]
pub struct Border {
    /// The stack pointer to which a cut returns; zero while no landing is open here.
    /// Written and read by the landing's assembly, so it stands first.
    pub(crate) landing: AtomicUsize,
    below: Cell<*mut Border>,
    /// The plan that is being run, with the flags. Atomic because an interrupt on this core marks it.
    via: AtomicPtr<Plan>,
    /// The domain whose code is being run, or null for trusted code.
    domain: AtomicPtr<DomainState>,
    base: bool,
}

impl Border {
    /// A border for a passage that is about to be made.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self::build(false)
    }

    /// The border under a strand that runs a domain's own code. It carries a landing but does not
    /// count as inside: the domain is kept by the strand's entry in its ledger, not by an epoch.
    #[must_use]
    pub const fn base() -> Self {
        Self::build(true)
    }

    #[inline]
    const fn build(base: bool) -> Self {
        Self {
            landing: AtomicUsize::new(0),
            below: Cell::new(ptr::null_mut()),
            via: AtomicPtr::new(ptr::null_mut()),
            domain: AtomicPtr::new(ptr::null_mut()),
            base,
        }
    }

    /// Opens this border on the running strand, runs `body` inside, and closes it.
    ///
    /// `body` does not unwind in a kernel; on a host that unwinds, the border is closed all the same.
    #[inline]
    pub(crate) fn cross<P: Processor, T>(&self, body: impl FnOnce(&Self) -> T) -> T {
        let below = P::top();
        self.below.set(below);
        P::set_top(ptr::from_ref(self).cast_mut());
        // What `body` loads (a plan, a slot) is loaded inside. The interrupt that could repin runs
        // on this very core, so keeping the compiler in order is enough; no fence is needed.
        compiler_fence(Ordering::SeqCst);
        let out = Leave::<P> { below, _processor: core::marker::PhantomData };
        let result = body(self);
        drop(out);
        result
    }

    /// Notes the plan that is run through this border, before anything of it is used.
    #[inline]
    pub(crate) fn set_plan(&self, plan: *mut Plan) {
        // Relaxed: read by this core alone.
        self.via.store(plan, Ordering::Relaxed);
    }

    /// Did the strand sleep here, or was it nudged, since `plan` was noted?
    #[inline]
    pub(crate) fn was_disturbed(&self, plan: *const Plan) -> bool {
        !ptr::eq(self.via.load(Ordering::Relaxed), plan)
    }

    /// Did the strand sleep here? Then other bindings of the plan may be dead by now.
    pub(crate) fn has_slept(&self) -> bool {
        self.flags() & PLAN_HELD != 0
    }

    fn flags(&self) -> usize {
        self.via.load(Ordering::Relaxed).addr() & FLAGS
    }

    fn plan(&self) -> *mut Plan {
        self.via.load(Ordering::Relaxed).map_addr(|address| address & !FLAGS)
    }

    fn set_flag(&self, flag: usize) {
        let via = self.via.load(Ordering::Relaxed);
        self.via.store(via.map_addr(|address| address | flag), Ordering::Relaxed);
    }

    fn clear_flag(&self, flag: usize) {
        let via = self.via.load(Ordering::Relaxed);
        self.via.store(via.map_addr(|address| address & !flag), Ordering::Relaxed);
    }

    /// Names the domain whose code is entered next, or null when control is back in trusted code.
    #[inline]
    pub(crate) fn set_domain(&self, domain: *const DomainState) {
        self.domain.store(domain.cast_mut(), Ordering::Relaxed);
    }

    /// The domain whose code runs through this border, if it is not trusted code.
    pub fn domain(&self) -> Option<&DomainState> {
        let domain = self.domain.load(Ordering::Relaxed);
        // SAFETY: `set_domain` was given a reference that is valid until it is set back to null:
        // it comes from a binding of the plan that this border covers, or from a strand's owner.
        unsafe { domain.as_ref() }
    }

    /// The stack pointer at which the landing in progress stands: what lies below it goes with a cut.
    pub fn landing_stack(&self) -> Option<usize> {
        // Relaxed: written by this strand's own landing.
        Some(self.landing.load(Ordering::Relaxed)).filter(|pointer| *pointer != 0)
    }

    /// The border that was innermost before this one was opened.
    pub fn below(&self) -> *mut Border {
        self.below.get()
    }

    /// Is this the base of a strand rather than a passage?
    pub const fn is_base(&self) -> bool {
        self.base
    }

    /// Control came back from a domain: gives up what its sleep had counted.
    #[cold]
    pub(crate) fn release_domain<P: Processor>(&self) {
        P::masked(|| {
            if self.flags() & DOMAIN_HELD != 0 {
                self.clear_flag(DOMAIN_HELD);
                self.domain().expect("a held domain is set").woke();
            }
        });
    }

    /// The raise is over and this border closed: gives up the counted plan, repins if asked to.
    /// Returns the plan if this was the last reference to it, for the housekeeper.
    #[cold]
    pub(crate) fn settle<P: Processor>(&self) {
        let flags = self.flags();
        if flags & PLAN_HELD != 0 {
            // SAFETY: the counted reference that this border took is given up here, once: the flag
            // is not looked at again, since the border is closed.
            unsafe { Plan::release(self.plan()) };
        }
        if flags & REPIN != 0 && !is_running_inside::<P>() {
            P::repin();
        }
    }
}

impl Default for Border {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a procedure of a domain was not run to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnterError {
    /// The domain lets nobody in any more.
    Closed,
    /// Less than [`LEAST_STACK`] is left.
    OutOfStack,
    /// It failed on the way.
    Cut,
}

/// Calls a procedure of a domain outside of any event, through `border`: a new one, or a
/// [base](Border::base) if this is all that the strand is for.
///
/// # Errors
///
/// See [`EnterError`].
///
/// # Safety
///
/// `code` is callable with these three, and the domain's code stays while it is open or somebody is
/// inside, or asleep in it.
pub unsafe fn enter<P: Processor>(
    border: Border,
    domain: &DomainState,
    code: Code,
    closure: *const (),
    args: *const (),
    result: *mut (),
) -> Result<(), EnterError> {
    let outcome = border.cross::<P, _>(|border| {
        // Asked inside: whoever finds it open here is waited for by the grace period after its
        // closing, even if preempted before the next line.
        if !domain.is_open() {
            return Err(EnterError::Closed);
        }
        if P::stack_left() < LEAST_STACK {
            return Err(EnterError::OutOfStack);
        }
        border.set_domain(domain);
        // SAFETY: passed on.
        let completed = unsafe { landing::land(border, code, closure, args, result) };
        border.release_domain::<P>();
        border.set_domain(ptr::null());
        completed.then_some(()).ok_or(EnterError::Cut)
    });
    border.settle::<P>();
    outcome
}

/// Closes a border, on the way out and (on a host) when unwinding.
struct Leave<P: Processor> {
    below: *mut Border,
    _processor: core::marker::PhantomData<P>,
}

impl<P: Processor> Drop for Leave<P> {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        P::set_top(self.below);
        // An interrupt that finds the border closed repins by itself; one that found it open left
        // its mark, which the caller reads only after this.
        compiler_fence(Ordering::SeqCst);
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
    unsafe { top.as_ref() }.is_some_and(|border| !border.base)
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
pub unsafe fn outwards<'a>(top: *mut Border) -> impl Iterator<Item = &'a Border> {
    // SAFETY: each open border lies in a live frame of that strand's stack, and none closes meanwhile.
    let innermost = unsafe { top.as_ref() };
    core::iter::successors(innermost, |border| {
        // SAFETY: as above.
        unsafe { border.below.get().as_ref() }
    })
}

/// The strand whose innermost border is `top` is about to block: takes counted references for every
/// open border that has none yet. Cost: proportional to the borders opened since it last slept.
///
/// # Safety
///
/// As for [`outwards`]; on the strand's core, interrupts masked, before the participant is repinned.
pub(crate) unsafe fn hold_all(top: *mut Border) {
    // SAFETY: passed on.
    for border in unsafe { outwards(top) } {
        if border.base {
            continue;
        }
        let (plan, flags) = (border.plan(), border.flags());
        let domain = border.domain();
        let plan_done = plan.is_null() || flags & PLAN_HELD != 0;
        let domain_done = domain.is_none() || flags & DOMAIN_HELD != 0;
        if flags & (PLAN_HELD | DOMAIN_HELD) != 0 && plan_done && domain_done {
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
        if !domain_done && let Some(domain) = domain {
            domain.fell_asleep();
            border.set_flag(DOMAIN_HELD);
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
    if let Some(border) = unsafe { outwards(top) }.filter(|border| !border.base).last() {
        border.set_flag(REPIN);
    }
}
