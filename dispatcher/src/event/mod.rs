//! Events: what is raised, and on what handlers are installed.
//!
//! [`Event`] raises, installs and removes; [`Authority`] is what its owner can do besides;
//! [`Transaction`] changes several at once. What an event is apart from its types is in [`AnyEvent`].

mod any;
mod authority;
mod change;
mod error;
mod found;
mod info;
mod posted;
mod transaction;

use alloc::sync::Arc;
use core::{
    marker::PhantomData,
    mem::{self, MaybeUninit},
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};

use crate::{
    binding::Binding,
    border::Border,
    context,
    handler::{BindingId, Handler, RawHandler},
    landing,
    merge::{Merge, RawMerge},
    observe,
    plan::{self, BarePlan, Entry, Plan, Room, Shape, Word, is_narrow},
    post::Mailbox,
    processor::Processor,
};

pub use any::{AnyEvent, MOST_HANDLERS};
use authority::Gate;
pub use authority::{Authority, Operation, Request, Terms, Verdict};
use change::{Edit, Incoming};
pub use error::{Denial, InstallError, RaiseError};
pub use info::{BindingInfo, EventInfo, GuardInfo};
pub use transaction::{Failure, Transaction};

/// A handler ran longer than it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overrun {
    /// The handler.
    pub binding: BindingId,
    /// Its domain, if it is not trusted.
    pub domain: Option<u32>,
    /// Was it cut? A trusted one has run to its end.
    pub was_cut: bool,
}

/// An event of arguments `A` and result `R`, on the processor `P`. Meant to be a `static`.
///
/// ```
/// use dispatcher::{Event, Handler, Merge, host::{Host, World}};
///
/// /// May the file be opened? Everybody who is asked must agree.
/// static MAY_OPEN: Event<u32, bool, Host> =
///     Event::new("File.MayOpen", None).open().merging(Merge::ALL).otherwise(|_| true);
///
/// let world = World::new();
/// let _core = world.attach();
/// assert_eq!(MAY_OPEN.raise(&7), Ok(true), "nobody minds");
/// let binding = MAY_OPEN.install(Handler::trusted(|file: &u32| *file != 7)).unwrap();
/// assert_eq!(MAY_OPEN.raise(&7), Ok(false));
/// MAY_OPEN.remove(binding).unwrap();
/// # world.drain();
/// ```
pub struct Event<A, R, P> {
    any: AnyEvent,
    default: AtomicPtr<()>,
    gate: Gate<A>,
    /// What was raised asynchronously waits here, if the owner allows that.
    posts: spin::Once<Arc<Mailbox>>,
    is_claimed: AtomicBool,
    _types: PhantomData<fn(&A, P) -> R>,
}

impl<A: 'static, R: Copy + 'static, P: Processor> Event<A, R, P> {
    const SHAPE: &'static Shape = &Shape {
        general: plan::general::<A, R, P>,
        few: if is_narrow::<R>() { Some(plan::few::<A, R, P>) } else { None },
        observed: observe::observed::<A, R, P>,
        intrinsic: call_intrinsic::<A, R>,
        home: call_at_home::<A, R>,
        is_narrow: is_narrow::<R>(),
        args_size: size_of::<A>(),
    };

    /// An event by the name of `Interface.Event`; `intrinsic` is a handler that it has from the start.
    /// Until its owner says otherwise, nobody but him installs handlers.
    pub const fn new(name: &'static str, intrinsic: Option<fn(&A) -> R>) -> Self {
        let intrinsic = match intrinsic {
            Some(procedure) => Some(erase(procedure)),
            None => None,
        };
        Self {
            any: AnyEvent::new(name, intrinsic, Self::SHAPE, RawMerge::Last),
            default: AtomicPtr::new(ptr::null_mut()),
            gate: Gate::closed(),
            posts: spin::Once::new(),
            is_claimed: AtomicBool::new(false),
            _types: PhantomData,
        }
    }

    /// Anybody may install handlers, until the owner sets an authorizer.
    #[must_use]
    pub const fn open(mut self) -> Self {
        self.gate.leave_open();
        self
    }

    /// How the results of several handlers become one. Where nothing but the intrinsic handler stands,
    /// its result is the result.
    #[must_use]
    pub const fn merging(mut self, merge: Merge<R>) -> Self {
        self.any.set_merge(RawMerge::new(merge));
        self
    }

    /// What answers when no handler did.
    #[must_use]
    pub const fn otherwise(mut self, default: fn(&A) -> R) -> Self {
        self.default = AtomicPtr::new(erase(default).cast_mut());
        self
    }

    /// The event without its types.
    pub const fn any(&self) -> &AnyEvent {
        &self.any
    }

    /// The owner's authority over the event: for whoever asks first, and nobody else.
    pub fn claim(&self) -> Option<Authority<'_, A, R, P>> {
        // Relaxed: nothing but the flag itself is decided by it.
        (!self.is_claimed.swap(true, Ordering::Relaxed)).then(|| Authority::new(self))
    }

    /// Announces the event: runs all that is installed and whose guards hold, on this strand, and
    /// returns the merged result. What handlers may do says [`crate::context`].
    ///
    /// Cost with nothing installed: one load and a call. Takes no lock, allocates nothing.
    ///
    /// # Errors
    ///
    /// When no handler ran to its end, and there is no default: see [`RaiseError`].
    #[inline(always)]
    pub fn raise(&self, args: &A) -> Result<R, RaiseError> {
        if !landing::is_set(&self.any.published.is_planned) {
            return Ok(self.call_intrinsic(args));
        }
        let below = P::top();
        let mut place = MaybeUninit::uninit();
        let border = Border::make(&mut place, below);
        if !P::has_room(border) {
            return Err(RaiseError::OutOfStack);
        }
        let mut room = Room::<R>::new();
        room.offer(border);
        border.open::<P>();
        // What is found here, inside, lives until the border closes.
        let plan = self.any.published.plan();
        border.set_plan(plan);
        // SAFETY: the plan is this event's, and was found inside.
        let word = unsafe { Plan::run(plan, ptr::from_ref(args).cast(), border) };
        Border::close::<P>(below);
        if border.is_quiet() {
            // SAFETY: the border does not say otherwise, so a result was delivered.
            return Ok(unsafe { room.take(word) });
        }
        match border.look_back::<P>(word) {
            // SAFETY: as above.
            None => Ok(unsafe { room.take(border.kept()) }),
            Some(why) => self.fall_back(args, why),
        }
    }

    /// No handler has answered.
    #[inline(always)]
    fn fall_back(&self, args: &A, why: RaiseError) -> Result<R, RaiseError> {
        // Acquire: pairs with the Release of whoever set it.
        let default = self.default.load(Ordering::Acquire);
        // SAFETY: only procedures of this type are put there.
        match unsafe { recall::<A, R>(default) } {
            Some(procedure) => Ok(procedure(args)),
            None => Err(why),
        }
    }

    #[inline(always)]
    fn call_intrinsic(&self, args: &A) -> R {
        // Acquire: pairs with the Release of whoever set it.
        let intrinsic = self.any.home.intrinsic.load(Ordering::Acquire);
        // SAFETY: only procedures of this type are put there.
        let procedure = unsafe { recall::<A, R>(intrinsic) };
        // SAFETY: where there is no plan there is an intrinsic handler, and once there was one it is
        // replaced but never taken away from here.
        let procedure = unsafe { procedure.unwrap_unchecked() };
        procedure(args)
    }

    /// Installs a handler; from the next raise on, on any core, it is called.
    ///
    /// Cost: a new plan, so O(n log n) in the number of handlers. Not from an interrupt.
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
    /// The handler takes `A` and returns `R`. If it is a filter, `A` may be copied bit by bit.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    pub unsafe fn install_raw(&self, handler: RawHandler) -> Result<BindingId, InstallError> {
        self.ask_and(Operation::Install, handler, |edit, id, incoming| edit.install(id, incoming))
    }

    /// Puts a handler in the place of another, in one step: no raise calls both, or neither. It stands
    /// where the other stood, unless it asks for another place. The owner's terms are those of now; the guards
    /// that he imposed on the other by name are imposed on it too.
    ///
    /// # Errors
    ///
    /// As for [`install`](Self::install); [`InstallError::Unknown`] if the other is not there.
    pub fn replace(&self, old: BindingId, handler: Handler<A, R>) -> Result<BindingId, InstallError> {
        // SAFETY: the handler has this event's types.
        unsafe { self.replace_raw(old, handler.raw, None) }
    }

    /// [`replace`](Self::replace) for a handler without types; if a domain is named, the other must be
    /// its own.
    ///
    /// # Safety
    ///
    /// As for [`install_raw`](Self::install_raw).
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub unsafe fn replace_raw(
        &self,
        old: BindingId,
        handler: RawHandler,
        domain: Option<u32>,
    ) -> Result<BindingId, InstallError> {
        self.ask_and(Operation::Replace(old), handler, |edit, id, incoming| {
            let mut owns = |domain| edit.record(old).is_ok_and(|record| record.binding.belongs_to(domain));
            if domain.is_some_and(|domain| !owns(domain)) {
                return Err(InstallError::Unknown);
            }
            edit.replace(old, id, incoming)
        })
    }

    /// Asks the owner, and if he agrees makes the change on his terms.
    fn ask_and(
        &self,
        operation: Operation,
        handler: RawHandler,
        change: impl FnOnce(&mut Edit, BindingId, &mut Option<Incoming>) -> Result<(), InstallError>,
    ) -> Result<BindingId, InstallError> {
        let incoming = self.ask(operation, handler)?;
        self.admit(incoming, change)
    }

    /// Asks the owner, and makes the handler ready on his terms.
    fn ask(&self, operation: Operation, handler: RawHandler) -> Result<(BindingId, Incoming), InstallError> {
        Self::ready(self.gate.ask::<P>(operation, handler)?)
    }

    fn ready(handler: authority::Admitted) -> Result<(BindingId, Incoming), InstallError> {
        let (id, mut incoming) = handler.into_incoming();
        Self::equip(&mut incoming)?;
        Ok((id, incoming))
    }

    /// Makes a change by which a handler comes in.
    fn admit(
        &self,
        (id, incoming): (BindingId, Incoming),
        change: impl FnOnce(&mut Edit, BindingId, &mut Option<Incoming>) -> Result<(), InstallError>,
    ) -> Result<BindingId, InstallError> {
        // Whatever comes of it, the last to let go is out here: a closure's destructor does not belong
        // under a lock.
        let (_binding, _mailbox) = (incoming.binding.clone(), incoming.mailbox.clone());
        let mut incoming = Some(incoming);
        self.any.edit::<P, _>(|edit| change(edit, id, &mut incoming))?;
        Ok(id)
    }

    /// Removes a binding *now*: no raise that begins after this returns calls it. One that began
    /// before may still be in it. Cost as for [`install`](Self::install).
    ///
    /// # Errors
    ///
    /// [`InstallError::Unknown`] if it is not there; `OutOfMemory` leaves it in place.
    pub fn remove(&self, id: BindingId) -> Result<(), InstallError> {
        self.remove_where(|binding| binding.id == id).map(drop)
    }

    /// Removes a binding and waits until nobody runs it any more, or sleeps in it. Blocks.
    ///
    /// # Errors
    ///
    /// As for [`remove`](Self::remove). [`InstallError::WouldWaitForItself`] if the caller runs in this
    /// very handler, [`InstallError::MustNotBlock`] where waiting is not allowed; it stays installed
    /// then. (Two handlers that drain each other wait for ever: nobody can see that from inside.)
    pub fn remove_drained(&self, id: BindingId) -> Result<(), InstallError> {
        self.drain(id, None)
    }

    /// [`remove_drained`](Self::remove_drained) on behalf of a domain, whose binding it must be.
    ///
    /// # Errors
    ///
    /// As for [`remove_drained`](Self::remove_drained).
    pub fn remove_drained_owned(&self, id: BindingId, domain: u32) -> Result<(), InstallError> {
        self.drain(id, Some(domain))
    }

    fn drain(&self, id: BindingId, domain: Option<u32>) -> Result<(), InstallError> {
        context::might_sleep::<P>().map_err(|_| InstallError::MustNotBlock)?;
        if context::is_in_binding::<P>(id) {
            return Err(InstallError::WouldWaitForItself);
        }
        let (binding, mailbox) = self.any.edit::<P, _>(|edit| {
            let record = edit.record(id)?;
            let (binding, mailbox) = (record.binding.clone(), record.mailbox.clone());
            if domain.is_some_and(|domain| !binding.belongs_to(domain)) {
                return Err(InstallError::Unknown);
            }
            edit.remove(|other| other.id == id)?;
            Ok((binding, mailbox))
        })?;
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = is_over.clone();
        // The housekeeper has the binding longest, so that he drops the closure.
        let waiting = binding.clone();
        P::retired().after_grace(move || {
            drop(waiting);
            // Release: pairs with the Acquire below.
            flag.store(true, Ordering::Release);
        });
        P::summon_keeper();
        // What waits in its mailbox is discarded, one by one, by a worker.
        let is_quiet = || mailbox.as_ref().is_none_or(|mailbox| mailbox.is_quiet());
        P::wait_until(&|| is_over.load(Ordering::Acquire) && binding.sleepers() == 0 && is_quiet());
        P::retired().after_grace(move || drop(binding));
        P::summon_keeper();
        Ok(())
    }

    /// [`remove`](Self::remove) on behalf of a domain, whose binding it must be.
    ///
    /// # Errors
    ///
    /// As for [`remove`](Self::remove); somebody else's is [`InstallError::Unknown`] too.
    pub fn remove_owned(&self, id: BindingId, domain: u32) -> Result<(), InstallError> {
        self.remove_where(|binding| binding.id == id && binding.belongs_to(domain)).map(drop)
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

    /// Ends the event: whatever is installed goes, *now*, and nothing comes in any more. For one that is about
    /// to be dropped, which must not be watched then.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`: then nothing has changed.
    pub fn dissolve(&self) -> Result<(), InstallError> {
        self.any.edit::<P, _>(|edit| {
            edit.most_handlers = 0;
            match edit.remove(|_| true) {
                Err(InstallError::Unknown) => Ok(()),
                removed => removed.map(drop),
            }
        })
    }

    fn remove_where(&self, goes: impl Fn(&Binding) -> bool) -> Result<usize, InstallError> {
        self.any.edit::<P, _>(|edit| edit.remove(goes))
    }
}

/// A procedure as a word.
const fn erase<A, R>(procedure: fn(&A) -> R) -> *const () {
    // A cast would do, but not in a constant.
    #[allow(clippy::transmutes_expressible_as_ptr_casts, reason = "see above")]
    // SAFETY: pointers to functions and to data have one size here, and each is valid as a word.
    unsafe {
        mem::transmute::<fn(&A) -> R, *const ()>(procedure)
    }
}

/// The procedure that `erase` made a word of, or none.
///
/// # Safety
///
/// The word is null or came from a procedure of this very type.
#[inline(always)]
unsafe fn recall<A, R>(word: *mut ()) -> Option<fn(&A) -> R> {
    // SAFETY: by the contract; null is none.
    unsafe { mem::transmute::<*mut (), Option<fn(&A) -> R>>(word) }
}

/// Calls an intrinsic handler as one of several.
///
/// # Safety
///
/// The entry's closure is a `fn(&A) -> R`, `args` points to an `A`; if `R` is wide, the border's room
/// points to room for one.
unsafe extern "C" fn call_intrinsic<A, R: Copy>(
    entry: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract.
    let closure = unsafe { &*entry }.closure;
    // SAFETY: by the contract.
    let procedure = unsafe { recall::<A, R>(closure.cast_mut()) }.expect("an entry has a procedure");
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: passed on.
    unsafe { Word::deliver(procedure(args), border) }
}

/// Calls the intrinsic handler of an event that has gone back to it.
///
/// # Safety
///
/// The entry is that of a bare plan, `args` points to an `A`; if `R` is wide, the border's room points to
/// room for one.
unsafe extern "C" fn call_at_home<A, R: Copy>(
    entry: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract it stands at the beginning of one.
    let intrinsic = unsafe { &*entry.cast::<BarePlan>() }.intrinsic.load(Ordering::Acquire);
    // SAFETY: only procedures of this type are put there.
    let procedure = unsafe { recall::<A, R>(intrinsic) }.expect("its intrinsic handler stays");
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: passed on.
    unsafe { Word::deliver(procedure(args), border) }
}
