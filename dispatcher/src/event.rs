//! Events: what is raised, and on what handlers are installed.

use alloc::{sync::Arc, vec::Vec};
use core::{
    fmt,
    marker::PhantomData,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use crate::{
    border::Border,
    handler::{Binding, BindingId, Handler, RawHandler},
    plan::{Outcome, Plan, PlanKind},
    processor::Processor,
};

/// The most handlers that one event takes.
pub const MOST_HANDLERS: usize = 4096;

/// Why a raise brought no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RaiseError {
    /// Nothing is installed, and the event has no intrinsic handler.
    NoHandler,
    /// The only handlers there were did not run to their end: their domain failed.
    Cut,
    /// The raiser had too little stack left to enter anybody's code.
    OutOfStack,
}

impl fmt::Display for RaiseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoHandler => "no handler is installed, and the event has none of its own",
            Self::Cut => "its handler failed and was cut",
            Self::OutOfStack => "too little stack is left to enter a handler: raise from less deep",
        })
    }
}

impl core::error::Error for RaiseError {}

/// Why a handler was not installed or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstallError {
    /// The event has [`MOST_HANDLERS`] already.
    TooMany,
    /// No memory for the new plan; the old one stands.
    OutOfMemory,
    /// The handler's domain is being retired.
    Closed,
    /// No such binding on this event: it was never there, or somebody removed it first.
    Unknown,
}

impl fmt::Display for InstallError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(out, "the event has {MOST_HANDLERS} handlers already: remove one first"),
            Self::OutOfMemory => out.write_str("no memory for a new plan: nothing was changed"),
            Self::Closed => out.write_str("the handler's domain is being retired"),
            Self::Unknown => out.write_str("no such binding on this event: it may have been removed already"),
        }
    }
}

impl core::error::Error for InstallError {}

/// An event of arguments `A` and result `R`, on the processor `P`. Meant to be a `static`.
///
/// ```
/// # use dispatcher::{Event, Processor};
/// fn declare<P: Processor>() -> Event<u32, u32, P> {
///     Event::new("Demo.Double", Some(|number| number * 2))
/// }
/// ```
pub struct Event<A, R, P> {
    any: AnyEvent,
    intrinsic: Option<fn(&A) -> R>,
    _processor: PhantomData<fn() -> P>,
}

impl<A: 'static, R: Copy + 'static, P: Processor> Event<A, R, P> {
    /// An event by the name of `Interface.Event`; `intrinsic` runs at every raise, before the others.
    pub const fn new(name: &'static str, intrinsic: Option<fn(&A) -> R>) -> Self {
        Self { any: AnyEvent::new(name), intrinsic, _processor: PhantomData }
    }

    /// The event without its types.
    pub const fn any(&self) -> &AnyEvent {
        &self.any
    }

    /// Announces the event: runs all that is installed, on this strand, and returns the result of the
    /// last that ran. Handlers may block, raise, install and remove.
    ///
    /// Cost with nothing installed: one load and a call. Takes no lock, allocates nothing.
    ///
    /// # Errors
    ///
    /// When no handler ran to its end: see [`RaiseError`].
    #[inline]
    pub fn raise(&self, args: &A) -> Result<R, RaiseError> {
        // Relaxed: it is only compared with null here.
        if self.any.plan.load(Ordering::Relaxed).is_null() {
            return self.intrinsic.map(|procedure| procedure(args)).ok_or(RaiseError::NoHandler);
        }
        let mut rooms = [const { MaybeUninit::<R>::uninit() }; 2];
        let results = rooms.each_mut().map(|room| room.as_mut_ptr().cast());
        // SAFETY: the pointers fit the signature: handlers get onto this event only with it.
        let outcome = unsafe { self.any.run::<P>(ptr::from_ref(args).cast(), results) };
        match outcome {
            Some(Outcome { fired: fired @ 1.., .. }) => {
                // SAFETY: the last handler that fired wrote its result there, and whoever came after
                // it, and may have been cut while it wrote, had the other room.
                Ok(unsafe { rooms[Outcome::room(fired - 1)].assume_init() })
            }
            Some(Outcome { cut: 1.., .. }) => Err(RaiseError::Cut),
            Some(Outcome { short: 1.., .. }) => Err(RaiseError::OutOfStack),
            // The plan went, or every domain in it, between two looks: as if nothing had been there.
            _ => self.intrinsic.map(|procedure| procedure(args)).ok_or(RaiseError::NoHandler),
        }
    }

    /// Installs a handler; from the next raise on, on any core, it is called.
    ///
    /// Cost: a new plan, so linear in the number of handlers. Not from an interrupt.
    ///
    /// # Errors
    ///
    /// See [`InstallError`]; nothing has changed then.
    pub fn install(&self, handler: Handler<A, R>) -> Result<BindingId, InstallError> {
        // SAFETY: the handler has this event's types.
        unsafe { self.install_raw(handler.raw) }
    }

    /// [`install`](Self::install) for a handler without types.
    ///
    /// # Safety
    ///
    /// The handler takes `A` and returns `R`.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    pub unsafe fn install_raw(&self, handler: RawHandler) -> Result<BindingId, InstallError> {
        let intrinsic = self.intrinsic.map(Handler::intrinsic);
        let id = BindingId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        // If it is refused it stays out here: a closure's destructor does not belong under a lock.
        let mut binding = Some(Arc::new(Binding::new(id, handler)));
        let domain = binding.as_ref().and_then(|binding| binding.handler.domain()).cloned();
        self.any.change::<P>(intrinsic.as_ref(), |bindings| {
            // Asked under the lock, by way of which a domain that was closed is cleared away.
            if domain.as_ref().is_some_and(|domain| !domain.is_open()) {
                return Err(InstallError::Closed);
            }
            if bindings.len() >= MOST_HANDLERS {
                return Err(InstallError::TooMany);
            }
            bindings.extend(binding.take());
            Ok(Vec::new())
        })?;
        Ok(id)
    }

    /// Removes a binding *now*: no raise that begins after this returns calls it. One that began
    /// before may still be in it. Cost as for [`install`](Self::install).
    ///
    /// # Errors
    ///
    /// [`InstallError::Unknown`] if it is not there; `OutOfMemory` leaves it in place.
    pub fn remove(&self, id: BindingId) -> Result<(), InstallError> {
        self.remove_one(|binding| binding.id == id)
    }

    /// [`remove`](Self::remove) on behalf of a domain, whose binding it must be.
    ///
    /// # Errors
    ///
    /// As for [`remove`](Self::remove); somebody else's is [`InstallError::Unknown`] too.
    pub fn remove_owned(&self, id: BindingId, domain: u32) -> Result<(), InstallError> {
        self.remove_one(|binding| binding.id == id && binding.belongs_to(domain))
    }

    /// Removes, *now*, every binding of a domain, in one step; says how many there were.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` leaves them in place.
    pub fn remove_domain(&self, domain: u32) -> Result<usize, InstallError> {
        match self.remove_where(|binding| binding.belongs_to(domain)) {
            Err(InstallError::Unknown) => Ok(0),
            removed => removed,
        }
    }

    fn remove_one(&self, goes: impl Fn(&Binding) -> bool) -> Result<(), InstallError> {
        self.remove_where(goes).map(|_| ())
    }

    fn remove_where(&self, goes: impl Fn(&Binding) -> bool) -> Result<usize, InstallError> {
        let intrinsic = self.intrinsic.map(Handler::intrinsic);
        self.any.change::<P>(intrinsic.as_ref(), |bindings| {
            let mut gone = Vec::new();
            let count = bindings.iter().filter(|binding| goes(binding)).count();
            if count == 0 {
                // No new plan for nothing: a domain could keep the housekeeper busy with that.
                return Err(InstallError::Unknown);
            }
            gone.try_reserve_exact(count).map_err(|_| InstallError::OutOfMemory)?;
            gone.extend(bindings.extract_if(.., |binding| goes(binding)));
            Ok(gone)
        })
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What there is to an event apart from its types.
pub struct AnyEvent {
    name: &'static str,
    plan: AtomicPtr<Plan>,
    /// Guards the list from which plans are built; never held across a raise or a wait.
    bindings: spin::Mutex<Vec<Arc<Binding>>>,
}

/// One line about an event, for people to read.
#[derive(Clone, Debug)]
pub struct EventInfo {
    /// `Interface.Event`.
    pub name: &'static str,
    /// What a raise runs now.
    pub kind: PlanKind,
    /// Each binding in the order of the plan, with the domain that it belongs to (none: the core).
    pub bindings: Vec<(BindingId, Option<u32>)>,
}

impl AnyEvent {
    const fn new(name: &'static str) -> Self {
        Self { name, plan: AtomicPtr::new(ptr::null_mut()), bindings: spin::Mutex::new(Vec::new()) }
    }

    /// `Interface.Event`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What is installed now.
    pub fn info<P: Processor>(&self) -> EventInfo {
        P::unpreempted(|| {
            let bindings = self.bindings.lock();
            let plan = self.plan.load(Ordering::Acquire);
            EventInfo {
                name: self.name,
                // SAFETY: plans are replaced under the lock that is held here.
                kind: unsafe { plan.as_ref() }.map_or(PlanKind::Intrinsic, Plan::kind),
                bindings: bindings
                    .iter()
                    .map(|binding| (binding.id, binding.handler.domain().map(|domain| domain.id())))
                    .collect(),
            }
        })
    }

    /// Runs the plan, if there still is one.
    ///
    /// # Safety
    ///
    /// `args` and `results` fit the event's signature.
    unsafe fn run<P: Processor>(&self, args: *const (), results: [*mut (); 2]) -> Option<Outcome> {
        let border = Border::new();
        let (plan, outcome) = border.cross::<P, _>(|border| {
            // Acquire: pairs with the Release of `change`; the plan's contents are there.
            let plan = self.plan.load(Ordering::Acquire);
            border.set_plan(plan);
            // SAFETY: it was loaded inside an open border, so it lives until the border closes; or
            // it is null.
            let outcome = unsafe { plan.as_ref() }.map(|plan| {
                // SAFETY: the signature fits by the contract.
                unsafe { plan.run::<P>(border, args, results) }
            });
            (plan, outcome)
        });
        if border.was_disturbed(plan) {
            border.settle::<P>();
        }
        outcome
    }

    /// Changes the list and publishes a plan of what it has become, all or nothing. `edit` finds room
    /// for one more binding in the list, and returns those that it took out; their number comes back.
    fn change<P: Processor>(
        &self,
        intrinsic: Option<&RawHandler>,
        edit: impl FnOnce(&mut Vec<Arc<Binding>>) -> Result<Vec<Arc<Binding>>, InstallError>,
    ) -> Result<usize, InstallError> {
        // Declared out here: the list that was replaced is dropped after the lock was released.
        let mut list = Vec::new();
        let (old, count) = P::unpreempted(|| {
            let mut bindings = self.bindings.lock();
            list.try_reserve_exact(bindings.len() + 1).map_err(|_| InstallError::OutOfMemory)?;
            list.extend(bindings.iter().cloned());
            let gone = edit(&mut list)?;
            list.shrink_to_fit();
            let plan = Plan::build(intrinsic, &list, P::retired())?;
            gone.iter().for_each(|binding| binding.mark_removed());
            core::mem::swap(&mut *bindings, &mut list);
            // Release: the plan is complete when it can be found (Acquire in `run`).
            Ok((self.plan.swap(plan, Ordering::AcqRel), gone.len()))
        })?;
        // Let go of before the plan is retired, which still has them: so the housekeeper is the last
        // to have a binding, and closures are dropped by him alone.
        drop(list);
        // SAFETY: it was published until it was swapped out, and each change retires what it replaced.
        unsafe { Plan::retire(old) };
        P::summon_keeper();
        Ok(count)
    }
}
