//! What is installed on an event: code, the closure that goes with it, and whose they are.

use alloc::{boxed::Box, sync::Arc};
use core::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::domain::DomainState;

/// The one form in which handlers are kept: a procedure that takes its closure, a pointer to the
/// event's arguments and a pointer to where its result goes. Plain words, so that plans are built,
/// published and retired by code that knows no types, and none of it is a spindle's.
pub type Code = unsafe extern "C" fn(closure: *const (), args: *const (), result: *mut ());

/// Names one binding of one event, for as long as the kernel runs; ids are not used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BindingId(pub(crate) u64);

impl BindingId {
    /// The id as a number, for a border where only plain data may pass.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The id that [`number`](Self::number) gave. A number that names no binding is found out when
    /// it is used.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for BindingId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// A procedure that can be installed on an event of arguments `A` and result `R`.
pub struct Handler<A, R> {
    pub(crate) raw: RawHandler,
    _signature: PhantomData<fn(&A) -> R>,
}

impl<A: 'static, R: Copy + 'static> Handler<A, R> {
    /// A handler of trusted code. The closure is dropped by the housekeeper, some time after the
    /// handler was removed.
    pub fn trusted<F: Fn(&A) -> R + Send + Sync + 'static>(procedure: F) -> Self {
        let closure = Box::into_raw(Box::new(procedure)).cast::<()>().cast_const();
        let raw = RawHandler { code: call::<A, R, F>, closure, owner: Owner::Core(Some(forget::<F>)) };
        Self { raw, _signature: PhantomData }
    }

    /// The event's intrinsic handler: a plain procedure, with nothing to drop.
    pub(crate) fn intrinsic(procedure: fn(&A) -> R) -> RawHandler {
        // The closure of this code is the function pointer itself.
        RawHandler { code: call_pointer::<A, R>, closure: procedure as *const (), owner: Owner::Core(None) }
    }
}

/// A handler without its types.
pub struct RawHandler {
    pub(crate) code: Code,
    pub(crate) closure: *const (),
    owner: Owner,
}

enum Owner {
    /// Trusted; the function frees the closure.
    Core(Option<unsafe fn(*const ())>),
    /// Foreign: entered through a landing, and only while the domain is open. Its closure lies in the
    /// domain's own memory and goes with it: no function pointer into a domain is ever deferred.
    Domain(Arc<DomainState>),
}

impl RawHandler {
    /// A handler whose code and closure belong to a domain.
    ///
    /// # Safety
    ///
    /// Until the domain was closed, the handler removed, and a grace period has passed with
    /// [`DomainState::sleepers`] zero at its end, `code` stays callable, from any core and by many at
    /// once, with `closure` and with arguments and result of the event on which it is installed.
    #[must_use]
    pub unsafe fn foreign(code: Code, closure: *const (), domain: Arc<DomainState>) -> Self {
        Self { code, closure, owner: Owner::Domain(domain) }
    }

    pub(crate) fn domain(&self) -> Option<&Arc<DomainState>> {
        match &self.owner {
            Owner::Core(_) => None,
            Owner::Domain(domain) => Some(domain),
        }
    }
}

impl Drop for RawHandler {
    fn drop(&mut self) {
        if let Owner::Core(Some(forget)) = self.owner {
            // SAFETY: `closure` is the box that `Handler::trusted` leaked, and this is its only owner.
            unsafe { forget(self.closure) }
        }
    }
}

// SAFETY: the closure behind the pointer is `Send + Sync` for trusted handlers, by the bound on
// `Handler::trusted`; for foreign ones by the contract of `foreign`.
unsafe impl Send for RawHandler {}
// SAFETY: as above.
unsafe impl Sync for RawHandler {}

/// A handler that is, or was, installed on one event.
pub(crate) struct Binding {
    pub(crate) id: BindingId,
    pub(crate) handler: RawHandler,
    removed: AtomicBool,
}

impl Binding {
    pub(crate) fn new(id: BindingId, handler: RawHandler) -> Self {
        Self { id, handler, removed: AtomicBool::new(false) }
    }

    pub(crate) fn belongs_to(&self, domain: u32) -> bool {
        self.handler.domain().is_some_and(|owner| owner.id() == domain)
    }

    /// Set before the plan without it is published.
    pub(crate) fn mark_removed(&self) {
        // Release: pairs with the Acquire below; a raise that slept and then finds it unset is
        // covered by its core's epoch from then on.
        self.removed.store(true, Ordering::Release);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
}

/// # Safety
///
/// `closure` points to an `F`, `args` to an `A`, `result` to room for an `R`.
unsafe extern "C" fn call<A, R, F: Fn(&A) -> R>(closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract.
    let procedure = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<R>().write(procedure(args)) }
}

/// # Safety
///
/// `closure` is a `fn(&A) -> R`, `args` points to an `A`, `result` to room for an `R`.
unsafe extern "C" fn call_pointer<A, R>(closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract; pointers to functions and to data have one size here.
    let procedure = unsafe { core::mem::transmute::<*const (), fn(&A) -> R>(closure) };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<R>().write(procedure(args)) }
}

/// # Safety
///
/// `closure` came from `Box::<F>::into_raw` and is used no more.
unsafe fn forget<F>(closure: *const ()) {
    // SAFETY: by the contract.
    drop(unsafe { Box::from_raw(closure.cast_mut().cast::<F>()) });
}
