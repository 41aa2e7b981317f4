//! What is installed on an event: code, the closure that goes with it, whose they are, and on what
//! conditions they are called.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, marker::PhantomData};

use crate::{
    border::Border,
    domain::DomainState,
    guard::{Guard, Key, RawGuard},
    landing,
    order::Order,
    plan::{Direct, Entry, Word},
    post::Posting,
};

/// The form in which foreign procedures are kept: code that takes its closure, a pointer to the
/// event's arguments and a pointer to where its result goes. Plain words, so that plans are built,
/// published and retired by code that knows no types, and none of it is a spindle's.
pub type Code = unsafe extern "C" fn(closure: *const (), args: *const (), result: *mut ());

/// Names one binding of one event, for as long as the kernel runs; ids are not used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BindingId(pub(crate) u64);

impl BindingId {
    /// The intrinsic handler of any event: others can be ordered before or after it.
    pub const INTRINSIC: Self = Self(0);

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
        if *self == Self::INTRINSIC { out.pad("intrinsic") } else { fmt::Display::fmt(&self.0, out) }
    }
}

/// A procedure that can be installed on an event of arguments `A` and result `R`.
///
/// ```
/// use dispatcher::{Handler, Order};
///
/// let handler = Handler::trusted(|port: &u16| u32::from(*port))
///     .when(|port| *port >= 1024)
///     .order(Order::First);
/// ```
#[must_use]
pub struct Handler<A, R> {
    pub(crate) raw: RawHandler,
    _signature: PhantomData<fn(&A) -> R>,
}

impl<A: 'static, R: Copy + 'static> Handler<A, R> {
    /// A handler of trusted code. The closure is dropped by the housekeeper, some time after the
    /// handler was removed.
    pub fn trusted<F: Fn(&A) -> R + Send + Sync + 'static>(procedure: F) -> Self {
        Self::of(Procedure::trusted(procedure, call::<A, R, F>))
    }

    /// A filter: a handler that may change the arguments for those who come after it. It works on a
    /// copy that is private to the raise; the raiser's own arguments stay as they are.
    pub fn filter<F: Fn(&mut A) -> R + Send + Sync + 'static>(procedure: F) -> Self
    where
        A: Copy,
    {
        let mut handler = Self::of(Procedure::trusted(procedure, call_filter::<A, R, F>));
        handler.raw.options.is_filter = true;
        handler
    }

    fn of(procedure: Procedure) -> Self {
        Self { raw: RawHandler { procedure, options: Options::default() }, _signature: PhantomData }
    }

    /// Called only if `guard` holds too: all guards of a handler must. Guards look and do nothing else.
    pub fn guarded(mut self, guard: Guard<A>) -> Self {
        self.raw.options.guards.push(Arc::new(guard.raw));
        self
    }

    /// Called only if the predicate holds too.
    pub fn when(self, predicate: impl Fn(&A) -> bool + Send + Sync + 'static) -> Self {
        self.guarded(Guard::predicate(predicate))
    }

    /// Called only if the arguments have `value` under `key` too. Any number of handlers under
    /// different values of one key cost a raise what one does.
    pub fn key(self, key: Key<A>, value: u64) -> Self {
        self.guarded(Guard::key(key, value))
    }

    /// Its place among the event's handlers. Several can be given.
    pub fn order(mut self, order: Order) -> Self {
        self.raw.options.placing.add(order);
        self
    }

    /// It is asynchronous: each raise for which its guards hold posts a copy of the arguments, and a worker
    /// runs it later, one invocation after the other. Its result goes nowhere.
    pub fn posted(mut self, posting: Posting) -> Self
    where
        A: Copy + Send,
    {
        self.raw.options.posting = Some(posting);
        self
    }

    /// How long it may run at a time, in nanoseconds of its strand's own time. A foreign handler that
    /// runs longer is cut, and its domain has failed; a trusted one is counted. It must not block. Each
    /// foreign predicate among its guards has as long.
    pub fn bounded_ns(mut self, bound_ns: u64) -> Self {
        self.raw.options.bound_ns = Some(bound_ns);
        self
    }
}

/// On what conditions a handler is called.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) guards: Vec<Arc<RawGuard>>,
    pub(crate) placing: crate::order::Placing,
    pub(crate) bound_ns: Option<u64>,
    pub(crate) is_filter: bool,
    pub(crate) posting: Option<Posting>,
}

/// A handler without its types.
#[must_use]
pub struct RawHandler {
    pub(crate) procedure: Procedure,
    pub(crate) options: Options,
}

impl RawHandler {
    /// A handler whose code and closure belong to a domain.
    ///
    /// # Safety
    ///
    /// Until the domain was closed, the handler removed, and a grace period has passed with
    /// [`DomainState::sleepers`] zero at its end, `code` stays callable, from any core and by many at
    /// once, with `closure` and with arguments and result of the event on which it is installed.
    pub unsafe fn foreign(code: Code, closure: *const (), domain: Arc<DomainState>) -> Self {
        Self { procedure: Procedure::foreign(code, closure, domain), options: Options::default() }
    }

    /// As [`Handler::guarded`].
    ///
    /// # Safety
    ///
    /// The guard takes arguments of the event on which this is installed.
    pub unsafe fn guarded(mut self, guard: RawGuard) -> Self {
        self.options.guards.push(Arc::new(guard));
        self
    }

    /// As [`Handler::order`].
    pub fn order(mut self, order: Order) -> Self {
        self.options.placing.add(order);
        self
    }

    /// As [`Handler::bounded_ns`].
    pub fn bounded_ns(mut self, bound_ns: u64) -> Self {
        self.options.bound_ns = Some(bound_ns);
        self
    }

    /// As [`Handler::posted`].
    ///
    /// # Safety
    ///
    /// The arguments of the event on which this is installed may be copied bit by bit, and sent.
    pub unsafe fn posted(mut self, posting: Posting) -> Self {
        self.options.posting = Some(posting);
        self
    }

    /// It is a [filter](Handler::filter): its code changes what `args` points to.
    pub fn filter(mut self) -> Self {
        self.options.is_filter = true;
        self
    }
}

/// Code with its closure and its owner.
pub(crate) struct Procedure {
    /// The form in which a raise calls it if it is trusted; foreign code is called by a landing.
    pub(crate) direct: Option<Direct>,
    pub(crate) code: Code,
    pub(crate) closure: *const (),
    owner: Owner,
}

enum Owner {
    /// Trusted; the function frees the closure.
    Core(unsafe fn(*const ())),
    /// Foreign: entered through a landing, and only while the domain is open. Its closure lies in the
    /// domain's own memory and goes with it: no function pointer into a domain is ever deferred.
    Domain(Arc<DomainState>),
}

impl Procedure {
    pub(crate) fn trusted<F: Send + Sync + 'static>(procedure: F, direct: Direct) -> Self {
        let closure = Box::into_raw(Box::new(procedure)).cast::<()>().cast_const();
        Self { direct: Some(direct), code: nothing, closure, owner: Owner::Core(forget::<F>) }
    }

    pub(crate) fn foreign(code: Code, closure: *const (), domain: Arc<DomainState>) -> Self {
        Self { direct: None, code, closure, owner: Owner::Domain(domain) }
    }

    /// How a raise calls it, with a result as narrow as a word or not.
    pub(crate) fn direct(&self, is_narrow: bool) -> Direct {
        self.direct.unwrap_or(if is_narrow { landing::land } else { landing::land_wide })
    }

    pub(crate) fn domain(&self) -> Option<&Arc<DomainState>> {
        match &self.owner {
            Owner::Core(_) => None,
            Owner::Domain(domain) => Some(domain),
        }
    }
}

impl Drop for Procedure {
    fn drop(&mut self) {
        if let Owner::Core(forget) = self.owner {
            // SAFETY: `closure` is the box that `trusted` leaked, and this is its only owner.
            unsafe { forget(self.closure) }
        }
    }
}

// SAFETY: the closure behind the pointer is `Send + Sync` for trusted procedures, by the bound on
// `Procedure::trusted`; for foreign ones by the contract of `RawHandler::foreign`.
unsafe impl Send for Procedure {}
// SAFETY: as above.
unsafe impl Sync for Procedure {}

/// The code of what is called directly, and never through this.
///
/// # Safety
///
/// None is needed.
pub(crate) unsafe extern "C" fn nothing(_closure: *const (), _args: *const (), _result: *mut ()) {}

/// # Safety
///
/// The entry's closure is an `F`, `args` points to an `A`; if `R` is wide, the border's room points to
/// room for one.
unsafe extern "C" fn call<A, R: Copy, F: Fn(&A) -> R>(
    entry: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract.
    let closure = unsafe { &*entry }.closure;
    // SAFETY: by the contract.
    let procedure = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: passed on.
    unsafe { Word::deliver(procedure(args), border) }
}

/// # Safety
///
/// As for [`call`], and the arguments are the raise's own copy, which nobody else refers to now.
unsafe extern "C" fn call_filter<A, R: Copy, F: Fn(&mut A) -> R>(
    entry: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract.
    let closure = unsafe { &*entry }.closure;
    // SAFETY: by the contract.
    let procedure = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &mut *args.cast_mut().cast::<A>() };
    // SAFETY: passed on.
    unsafe { Word::deliver(procedure(args), border) }
}

/// # Safety
///
/// `closure` came from `Box::<F>::into_raw` and is used no more.
unsafe fn forget<F>(closure: *const ()) {
    // SAFETY: by the contract.
    drop(unsafe { Box::from_raw(closure.cast_mut().cast::<F>()) });
}
