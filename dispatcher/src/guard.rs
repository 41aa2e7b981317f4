//! Guards: what decides, at each raise, whether a handler is called.
//!
//! A guard is a declared *key*, a field of the arguments that must have a value, or a *predicate*, which
//! is called. Of keys the dispatcher knows enough to find the right handlers among thousands by one
//! probe; a predicate costs a call. Purity of a predicate is not checked: it is called at most once per
//! raise, and where it fails it counts as false.

use alloc::sync::Arc;
use core::{fmt, marker::PhantomData};

use crate::{
    border::Border,
    domain::DomainState,
    handler::{Code, Procedure},
    plan::{Entry, Word},
};

/// A field of the arguments `A` on whose value handlers can be keyed. Made by [`key!`](crate::key).
pub struct Key<A> {
    raw: RawKey,
    _args: PhantomData<fn(&A)>,
}

impl<A> Clone for Key<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Key<A> {}

impl<A> Key<A> {
    /// For [`key!`](crate::key).
    ///
    /// # Safety
    ///
    /// At `offset` in an `A` there is an integer or a `bool` of type `F`, always initialized.
    #[doc(hidden)]
    #[must_use]
    pub const unsafe fn of<F: Field>(offset: usize, _witness: Option<fn(&A) -> &F>) -> Self {
        assert!(offset <= u32::MAX as usize, "no arguments are as large as that");
        Self { raw: RawKey { offset: offset as u32, width: size_of::<F>() as u32 }, _args: PhantomData }
    }

    /// The key without the type.
    #[must_use]
    pub const fn raw(self) -> RawKey {
        self.raw
    }
}

/// What a key can be.
pub trait Field: sealed::Sealed {}

mod sealed {
    /// Integers of one word at most, without padding.
    pub trait Sealed: Copy {}
}

macro_rules! fields {
    ($($field:ty),*) => {$(
        impl sealed::Sealed for $field {}
        impl Field for $field {}
    )*};
}
fields!(bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

/// The key of a field: `key!(Packet, port)`.
///
/// ```
/// use dispatcher::{Event, Handler, host::{Host, World}, key};
///
/// struct Packet { port: u16 }
/// static ARRIVED: Event<Packet, u32, Host> = Event::new("Net.Arrived", None).open();
///
/// let world = World::new();
/// let _core = world.attach();
/// let web = ARRIVED.install(Handler::trusted(|_| 1).key(key!(Packet, port), 80)).unwrap();
/// assert_eq!(ARRIVED.raise(&Packet { port: 80 }), Ok(1));
/// assert!(ARRIVED.raise(&Packet { port: 81 }).is_err());
/// # ARRIVED.remove(web).unwrap();
/// # world.drain();
/// ```
#[macro_export]
macro_rules! key {
    ($args:ty, $field:ident) => {{
        const KEY: $crate::Key<$args> =
            // SAFETY: the witness ties the type to the field that stands at this offset.
            unsafe {
                $crate::Key::of(core::mem::offset_of!($args, $field), Some(|args: &$args| &args.$field))
            };
        KEY
    }};
}

/// A key without its type: where in the arguments, and how many bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RawKey {
    /// In bytes from the start of the arguments.
    pub offset: u32,
    /// 1, 2, 4 or 8 bytes.
    pub width: u32,
}

impl RawKey {
    /// Is it one of a field that can lie in arguments of so many bytes?
    #[must_use]
    pub fn fits(self, args_size: usize) -> bool {
        let end = u64::from(self.offset) + u64::from(self.width);
        matches!(self.width, 1 | 2 | 4 | 8) && end <= args_size as u64
    }

    /// The value that the arguments have, widened with zeros.
    ///
    /// # Safety
    ///
    /// There is an initialized field of this width at this offset.
    #[inline(always)]
    pub(crate) unsafe fn load(self, args: *const ()) -> u64 {
        let load = match self.width {
            1 => Self::load_as::<u8>,
            2 => Self::load_as::<u16>,
            4 => Self::load_as::<u32>,
            _ => Self::load_as::<u64>,
        };
        // SAFETY: passed on.
        unsafe { load(self, args) }
    }

    /// As [`load`](Self::load), of a field of that type.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load); the type is as wide as the key.
    #[inline(always)]
    pub(crate) unsafe fn load_as<T: Into<u64>>(self, args: *const ()) -> u64 {
        // SAFETY: within the arguments.
        let field = unsafe { args.byte_add(self.offset as usize) };
        // SAFETY: by the contract.
        unsafe { field.cast::<T>().read_unaligned() }.into()
    }

    /// A value as it would be loaded: of a signed field, only the bytes that are there.
    pub(crate) const fn cut(self, value: u64) -> u64 {
        if self.width >= 8 { value } else { value & ((1 << (8 * self.width)) - 1) }
    }
}

impl fmt::Display for RawKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "bytes {}..{}", self.offset, self.offset + self.width)
    }
}

/// Names a guard that an owner imposed, for as long as the kernel runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GuardId(pub(crate) u64);

/// A condition on arguments `A`.
#[must_use]
pub struct Guard<A> {
    pub(crate) raw: RawGuard,
    _args: PhantomData<fn(&A) -> bool>,
}

impl<A: 'static> Guard<A> {
    /// Holds if the predicate does.
    pub fn predicate<F: Fn(&A) -> bool + Send + Sync + 'static>(predicate: F) -> Self {
        let procedure = Procedure::trusted(predicate, test::<A, F>);
        Self { raw: RawGuard(Test::Predicate(procedure)), _args: PhantomData }
    }

    /// Holds if the arguments have `value` under `key`; of a field narrower than 64 bits the low bytes
    /// of `value` count.
    pub fn key(key: Key<A>, value: u64) -> Self {
        Self { raw: RawGuard::key(key.raw, value), _args: PhantomData }
    }
}

/// A guard without its type.
#[must_use]
pub struct RawGuard(pub(crate) Test);

pub(crate) enum Test {
    Key(RawKey, u64),
    Predicate(Procedure),
}

impl RawGuard {
    /// As [`Guard::key`].
    pub fn key(key: RawKey, value: u64) -> Self {
        Self(Test::Key(key, key.cut(value)))
    }

    /// A predicate whose code and closure belong to a domain; its result is a byte that is not zero.
    ///
    /// # Safety
    ///
    /// As for [`RawHandler::foreign`](crate::handler::RawHandler::foreign).
    pub unsafe fn foreign(code: Code, closure: *const (), domain: Arc<DomainState>) -> Self {
        Self(Test::Predicate(Procedure::foreign(code, closure, domain)))
    }
}

/// # Safety
///
/// The entry's closure is an `F`, `args` points to an `A`.
unsafe extern "C" fn test<A, F: Fn(&A) -> bool>(
    entry: *const Entry,
    args: *const (),
    _border: *const Border,
) -> Word {
    // SAFETY: by the contract.
    let closure = unsafe { &*entry }.closure;
    // SAFETY: by the contract.
    let predicate = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    Word::from(u64::from(predicate(args)))
}
