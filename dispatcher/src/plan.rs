//! Plans: what a raise runs, compiled from an event's bindings and never changed afterwards.
//!
//! An event without bindings has no plan (a null pointer), and its intrinsic handler is called
//! directly. One handler and no intrinsic one make a *single*; everything else is a *list*.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::ptr;

use crate::{
    border::Border,
    domain::DomainState,
    event::InstallError,
    handler::{Binding, Code, RawHandler},
    landing,
    processor::Processor,
    references::References,
    retire::{RetireList, Retired},
};

/// Stack that a foreign handler finds when it is entered, in bytes. Where less is left it is not
/// called, and the raiser is told: an honest handler is not killed for a deep caller.
pub const LEAST_STACK: usize = 16 * 1024;

/// What kind of plan an event has, for people to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanKind {
    /// No handler but the intrinsic one, if any: a plain call.
    Intrinsic,
    /// One handler.
    Single,
    /// Several, run in the order of installation after the intrinsic one.
    List,
}

/// The immutable list of what a raise runs. `repr(C)`: the header stands first.
#[repr(C, align(64))]
pub struct Plan {
    header: Retired,
    references: References,
    retired: &'static RetireList,
    entries: Box<[Entry]>,
}

/// One handler as the raise needs it.
struct Entry {
    code: Code,
    closure: *const (),
    /// Null for trusted code. Kept alive by `binding`.
    domain: *const DomainState,
    /// Keeps what stands above alive; none for the intrinsic handler, whose code never goes.
    binding: Option<Arc<Binding>>,
}

// SAFETY: entries are only read after the plan was published, and what they point to may be used
// from any core: see `RawHandler`.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

/// What came of running a plan.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Outcome {
    /// Handlers that ran to their end and wrote a result.
    pub(crate) fired: u32,
    /// Handlers that were cut.
    pub(crate) cut: u32,
    /// Handlers that were not entered for lack of stack.
    pub(crate) short: u32,
}

impl Outcome {
    /// Which of two rooms the next result goes to when so many have been written: never that of the
    /// last one, which must stay whole if the next handler is cut while it writes.
    #[inline]
    pub(crate) const fn room(fired: u32) -> usize {
        (fired & 1) as usize
    }
}

impl Plan {
    /// Compiles a plan, or none where there is nothing but the intrinsic handler.
    pub(crate) fn build(
        intrinsic: Option<&RawHandler>,
        bindings: &[Arc<Binding>],
        retired: &'static RetireList,
    ) -> Result<*mut Self, InstallError> {
        if bindings.is_empty() {
            return Ok(ptr::null_mut());
        }
        let mut entries = Vec::new();
        entries.try_reserve_exact(bindings.len() + 1).map_err(|_| InstallError::OutOfMemory)?;
        entries.extend(intrinsic.map(|handler| Entry::new(handler, None)));
        entries.extend(bindings.iter().map(|binding| Entry::new(&binding.handler, Some(binding.clone()))));
        let plan = Self {
            header: Retired::new(Self::finish),
            references: References::new(),
            retired,
            entries: entries.into_boxed_slice(),
        };
        Ok(Box::into_raw(Box::new(plan)))
    }

    /// Hands a plan that was replaced to the housekeeper, who gives up the publisher's reference
    /// after a grace period.
    ///
    /// # Safety
    ///
    /// `plan` is null or was published and is no longer; it is retired once.
    pub(crate) unsafe fn retire(plan: *mut Self) {
        if plan.is_null() {
            return;
        }
        // SAFETY: the publisher's reference keeps it alive.
        let list = unsafe { &*plan }.retired;
        // SAFETY: nobody can newly reach it, and it was not retired before.
        unsafe { list.push(plan.cast()) }
    }

    /// Takes a counted reference.
    ///
    /// # Safety
    ///
    /// `plan` is alive and stays so until this returns.
    pub(crate) unsafe fn hold(plan: *const Self) {
        // SAFETY: by the contract.
        unsafe { &*plan }.references.hold();
    }

    /// Gives up a counted reference. The last one sends the plan to the housekeeper again, since he
    /// alone destroys.
    ///
    /// # Safety
    ///
    /// The reference is the caller's and is given up once.
    pub(crate) unsafe fn release(plan: *mut Self) {
        // SAFETY: the caller's reference keeps it alive.
        let this = unsafe { &*plan };
        let list = this.retired;
        if this.references.release() {
            // SAFETY: the publisher's reference is gone too, so a grace period has passed since it
            // was reachable and it is on no list.
            unsafe { list.push(plan.cast()) }
        }
    }

    /// # Safety
    ///
    /// A grace period has passed since `object`, the header of a plan, was retired or released.
    unsafe fn finish(object: *mut Retired) {
        let plan = object.cast::<Self>();
        // SAFETY: alive until it is dropped below.
        if unsafe { &*plan }.references.finish() {
            // SAFETY: no reference is left, and no raise can find it.
            drop(unsafe { Box::from_raw(plan) });
        }
    }

    pub(crate) fn kind(&self) -> PlanKind {
        if self.entries.len() == 1 { PlanKind::Single } else { PlanKind::List }
    }

    /// Runs every entry; the results are written to two rooms in turn, see [`Outcome::room`].
    ///
    /// # Safety
    ///
    /// The plan is covered by `border`, which was opened on this strand and has noted the plan;
    /// `args` and `results` fit the event's signature.
    #[inline]
    pub(crate) unsafe fn run<P: Processor>(
        &self,
        border: &Border,
        args: *const (),
        results: [*mut (); 2],
    ) -> Outcome {
        let mut outcome = Outcome::default();
        for entry in &*self.entries {
            // A raise that slept holds the plan, but not the domains behind its other bindings: one
            // that was removed meanwhile may be gone. From here on the core's epoch covers it again.
            if border.was_disturbed(self) && border.has_slept() && entry.is_removed() {
                continue;
            }
            // SAFETY: passed on; the entry's binding was not removed, or its removal's grace period
            // cannot end before this border closes.
            unsafe { entry.invoke::<P>(self, border, args, results, &mut outcome) };
        }
        outcome
    }
}

impl Entry {
    fn new(handler: &RawHandler, binding: Option<Arc<Binding>>) -> Self {
        let domain = handler.domain().map_or(ptr::null(), Arc::as_ptr);
        Self { code: handler.code, closure: handler.closure, domain, binding }
    }

    fn is_removed(&self) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.is_removed())
    }

    /// # Safety
    ///
    /// As for [`Plan::run`], and the code may still be entered if its domain is open.
    #[inline]
    unsafe fn invoke<P: Processor>(
        &self,
        plan: &Plan,
        border: &Border,
        args: *const (),
        results: [*mut (); 2],
        outcome: &mut Outcome,
    ) {
        let result = results[Outcome::room(outcome.fired)];
        // SAFETY: the binding keeps the domain's state alive, and the plan the binding.
        let Some(domain) = (unsafe { self.domain.as_ref() }) else {
            // SAFETY: the signature fits, by the contract.
            unsafe { (self.code)(self.closure, args, result) };
            outcome.fired += 1;
            return;
        };
        if !domain.is_open() {
            return;
        }
        if P::stack_left() < LEAST_STACK {
            outcome.short += 1;
            return;
        }
        border.set_domain(domain);
        // SAFETY: the signature fits, by the contract.
        let completed = unsafe { landing::land(border, self.code, self.closure, args, result) };
        if border.was_disturbed(plan) {
            border.release_domain::<P>();
        }
        border.set_domain(ptr::null());
        if completed {
            outcome.fired += 1;
        } else {
            outcome.cut += 1;
        }
    }
}
