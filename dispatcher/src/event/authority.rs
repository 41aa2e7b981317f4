//! The owner's authority over an event.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

use super::{
    Denial, Event, InstallError, Overrun,
    change::{Incoming, next_id},
    erase,
};
use crate::{
    context,
    guard::{Guard, GuardId, RawGuard},
    handler::{BindingId, Handler, RawHandler},
    merge::{Merge, RawMerge},
    order::Order,
    plan::Aside,
    post::Posting,
    processor::Processor,
};

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Install a handler.
    Install,
    /// Put a handler in the place of this one.
    Replace(BindingId),
}

/// What an authorizer is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// For whom: a domain, or the core.
    pub domain: Option<u32>,
    /// May the handler change the arguments?
    pub is_filter: bool,
    /// How long it asks to run at a time, if it sets itself a bound.
    pub bound_ns: Option<u64>,
    /// How it asks to be posted to, if it is asynchronous.
    pub posting: Option<Posting>,
}

/// What an authorizer says.
pub enum Verdict<A> {
    /// It may, on these terms.
    Allow(Terms<A>),
    /// It may not, by the rule of this name.
    Deny(&'static str),
}

/// On what terms a handler comes in.
#[must_use]
pub struct Terms<A> {
    guards: Vec<Guard<A>>,
    order: Option<Order>,
    bound_ns: Option<u64>,
    posting: Option<Posting>,
}

impl<A> Default for Terms<A> {
    fn default() -> Self {
        Self { guards: Vec::new(), order: None, bound_ns: None, posting: None }
    }
}

impl<A: 'static> Terms<A> {
    /// None at all.
    pub fn free() -> Self {
        Self::default()
    }

    /// Called only if this guard holds too.
    pub fn imposing(mut self, guard: Guard<A>) -> Self {
        self.guards.push(guard);
        self
    }

    /// It has this place besides what it asked for.
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// It runs no longer than this at a time, in nanoseconds.
    pub fn bounded_ns(mut self, bound_ns: u64) -> Self {
        self.bound_ns = Some(bound_ns);
        self
    }

    /// It is asynchronous, whatever it asked for.
    pub fn posted(mut self, posting: Posting) -> Self
    where
        A: Copy + Send,
    {
        self.posting = Some(posting);
        self
    }
}

type Authorizer<A> = Arc<dyn Fn(&Request) -> Verdict<A> + Send + Sync>;

/// Who is let in.
pub(super) struct Gate<A> {
    is_open: bool,
    /// Guards the authorizer's place; he is asked without it.
    authorizer: spin::Mutex<Option<Authorizer<A>>>,
}

/// A handler that was let in, and on what terms.
pub(super) struct Admitted {
    handler: RawHandler,
    imposed: Vec<Arc<RawGuard>>,
}

impl Admitted {
    fn freely(handler: RawHandler) -> Self {
        Self { handler, imposed: Vec::new() }
    }

    pub(super) fn into_incoming(self) -> (BindingId, Incoming) {
        let (id, mut incoming) = Incoming::new(self.handler);
        incoming.imposed = self.imposed.into_iter().map(|guard| (None, guard)).collect();
        (id, incoming)
    }
}

impl<A: 'static> Gate<A> {
    pub(super) const fn closed() -> Self {
        Self { is_open: false, authorizer: spin::Mutex::new(None) }
    }

    pub(super) const fn leave_open(&mut self) {
        self.is_open = true;
    }

    /// Asks the authorizer, if there is one, on the caller's strand and under no lock.
    pub(super) fn ask<P: Processor>(
        &self,
        operation: Operation,
        mut handler: RawHandler,
    ) -> Result<Admitted, InstallError> {
        let Some(authorizer) = P::unpreempted(|| self.authorizer.lock().clone()) else {
            let denied = InstallError::Denied(Denial::Unasked);
            return if self.is_open { Ok(Admitted::freely(handler)) } else { Err(denied) };
        };
        let request = Request {
            operation,
            domain: handler.procedure.domain().map(|domain| domain.id()),
            is_filter: handler.options.is_filter,
            bound_ns: handler.options.bound_ns,
            posting: handler.options.posting,
        };
        let terms = match context::set_aside::<P, _>(Aside::Authorizer, || authorizer(&request)) {
            Verdict::Allow(terms) => terms,
            Verdict::Deny(rule) => return Err(InstallError::Denied(Denial::Rule(rule))),
        };
        terms.order.into_iter().for_each(|order| handler.options.placing.add(order));
        let bounds = [handler.options.bound_ns, terms.bound_ns];
        handler.options.bound_ns = bounds.into_iter().flatten().min();
        handler.options.posting = terms.posting.or(handler.options.posting);
        Ok(Admitted { handler, imposed: terms.guards.into_iter().map(|guard| Arc::new(guard.raw)).collect() })
    }
}

/// What the owner of an event holds, and nobody else: it cannot be copied or made.
///
/// ```
/// use dispatcher::{Event, Guard, Handler, InstallError, Terms, Verdict, event::Denial, host::{Host, World}};
///
/// static CLOSE: Event<u32, (), Host> = Event::new("Door.Close", Some(|_| ()));
///
/// let world = World::new();
/// let _core = world.attach();
/// let stranger = || Handler::trusted(|_: &u32| ());
/// assert_eq!(CLOSE.install(stranger()), Err(InstallError::Denied(Denial::Unasked)));
/// let authority = CLOSE.claim().expect("nobody was faster");
/// assert!(CLOSE.claim().is_none());
/// // Whoever is no domain may listen, and only to doors that are not the owner's.
/// authority.authorize(|request| match request.domain {
///     Some(_) => Verdict::Deny("core only"),
///     None => Verdict::Allow(Terms::free().imposing(Guard::predicate(|door: &u32| *door != 1))),
/// });
/// let binding = CLOSE.install(stranger()).unwrap();
/// # CLOSE.remove(binding).unwrap();
/// # world.drain();
/// ```
pub struct Authority<'a, A, R, P> {
    event: &'a Event<A, R, P>,
}

impl<'a, A: 'static, R: Copy + 'static, P: Processor> Authority<'a, A, R, P> {
    pub(super) fn new(event: &'a Event<A, R, P>) -> Self {
        Self { event }
    }

    /// The event.
    pub fn event(&self) -> &'a Event<A, R, P> {
        self.event
    }

    /// Sets who decides on what others install. He is asked on the strand of whoever installs, under no
    /// lock, and must not block.
    pub fn authorize(&self, authorizer: impl Fn(&Request) -> Verdict<A> + Send + Sync + 'static) {
        let new: Authorizer<A> = Arc::new(authorizer);
        let old = P::unpreempted(|| self.event.gate.authorizer.lock().replace(new));
        drop(old);
    }

    /// Installs a handler of the owner's own, unasked.
    ///
    /// # Errors
    ///
    /// As for [`Event::install`], but denial.
    pub fn install(&self, handler: Handler<A, R>) -> Result<BindingId, InstallError> {
        let incoming = Event::<A, R, P>::ready(Admitted::freely(handler.raw))?;
        self.event.admit(incoming, |edit, id, incoming| edit.install(id, incoming))
    }

    /// [`install`](Self::install) for a handler without types.
    ///
    /// # Safety
    ///
    /// As for [`Event::install_raw`].
    ///
    /// # Errors
    ///
    /// As for [`Event::install`], but denial.
    pub unsafe fn install_raw(&self, handler: RawHandler) -> Result<BindingId, InstallError> {
        let incoming = Event::<A, R, P>::ready(Admitted::freely(handler))?;
        self.event.admit(incoming, |edit, id, incoming| edit.install(id, incoming))
    }

    /// Removes anybody's handler, *now*; of [`BindingId::INTRINSIC`] see
    /// [`set_intrinsic`](Self::set_intrinsic).
    ///
    /// # Errors
    ///
    /// As for [`Event::remove`].
    pub fn remove(&self, id: BindingId) -> Result<(), InstallError> {
        self.event.remove(id)
    }

    /// Imposes a guard on a binding, from the next raise on.
    ///
    /// # Errors
    ///
    /// [`InstallError::Unknown`], `BadKey`, `OutOfMemory`.
    pub fn impose(&self, id: BindingId, guard: Guard<A>) -> Result<GuardId, InstallError> {
        let name = GuardId(next_id());
        let guard = Arc::new(guard.raw);
        // Whatever comes of it, the last to let go is out here.
        let kept = guard.clone();
        self.event.any.edit::<P, _>(|edit| {
            let imposed = &mut edit.record(id)?.imposed;
            imposed.try_reserve(1).map_err(|_| InstallError::OutOfMemory)?;
            imposed.push((Some(name), kept.clone()));
            Ok(name)
        })
    }

    /// Lifts a guard that was imposed on a binding.
    ///
    /// # Errors
    ///
    /// [`InstallError::Unknown`] if binding or guard is not there, `OutOfMemory`.
    pub fn lift(&self, id: BindingId, guard: GuardId) -> Result<(), InstallError> {
        self.event.any.edit::<P, _>(|edit| {
            let imposed = &mut edit.record(id)?.imposed;
            let at =
                imposed.iter().position(|(name, _)| *name == Some(guard)).ok_or(InstallError::Unknown)?;
            imposed.remove(at);
            Ok(())
        })
    }

    /// Sets the intrinsic handler, or takes it away.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`; [`InstallError::Cycle`] where others are ordered by it in a way that it cannot have.
    pub fn set_intrinsic(&self, intrinsic: Option<fn(&A) -> R>) -> Result<(), InstallError> {
        let word = intrinsic.map_or(core::ptr::null(), erase);
        self.event.any.adjust::<P>(|edit| edit.intrinsic = word)
    }

    /// Sets what answers when no handler did, or takes it away.
    pub fn set_default(&self, default: Option<fn(&A) -> R>) {
        let word = default.map_or(core::ptr::null(), erase);
        // Release: pairs with the Acquire of the raise.
        self.event.default.store(word.cast_mut(), Ordering::Release);
    }

    /// Sets how results are merged.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    pub fn set_merge(&self, merge: Merge<R>) -> Result<(), InstallError> {
        self.event.any.adjust::<P>(|edit| edit.merge = RawMerge::new(merge))
    }

    /// Sets how long any handler may run at a time, in nanoseconds, whatever it was installed with:
    /// asynchronous ones too, from the next that is begun on.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    pub fn set_bound_ns(&self, bound_ns: Option<u64>) -> Result<(), InstallError> {
        self.event.any.adjust::<P>(|edit| edit.bound_ns = bound_ns)
    }

    /// Sets who hears of handlers that ran longer than they may: on the raiser's strand, after the
    /// handler, inside the raise, or of asynchronous ones on the worker's; he must be brief and must not
    /// block.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    pub fn on_overrun(&self, report: Option<fn(Overrun)>) -> Result<(), InstallError> {
        self.event.any.adjust::<P>(|edit| edit.on_overrun = report)
    }

    /// Sets how many handlers the event takes. Those that there are stay.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    pub fn set_most_handlers(&self, most_handlers: usize) -> Result<(), InstallError> {
        self.event.any.adjust::<P>(|edit| edit.most_handlers = most_handlers)
    }
}

impl<A: Copy + Send + 'static, R: Copy + 'static, P: Processor> Authority<'static, A, R, P> {
    /// Makes room for asynchronous raises ([`Event::post`]), once and for all.
    ///
    /// # Errors
    ///
    /// [`InstallError::Mailbox`] if such a queue cannot be made, [`InstallError::TakesPosts`] if there is one.
    pub fn take_posts(&self, posting: Posting) -> Result<(), InstallError> {
        self.event.take_posts(posting)
    }
}
