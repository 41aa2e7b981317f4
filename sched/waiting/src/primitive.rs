//! The atomics and cells of this crate: those of `core`, or loom's, which look at every access.
//!
//! The inner lock is a word of its own (`raw`) with a model of its own; in the other models loom's mutex takes
//! its place, since loom cannot tell a spin from a loop without end.

#[cfg(loom)]
pub(crate) use self::modelled::{Raw, RawHeld};
#[cfg(not(loom))]
pub(crate) use self::native::{AtomicBool, Ordering, UnsafeCell};
#[cfg(not(loom))]
pub(crate) use crate::raw::{Raw, RawHeld};
#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

#[cfg(loom)]
mod modelled {
    use loom::sync::{Mutex, MutexGuard};

    pub(crate) struct Raw(Mutex<()>);

    #[allow(dead_code, reason = "it is there to be dropped")]
    pub(crate) struct RawHeld<'a>(MutexGuard<'a, ()>);

    impl Raw {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(()))
        }

        pub(crate) fn acquire(&self, _relax: fn(u32)) -> RawHeld<'_> {
            RawHeld(self.0.lock().expect("nobody panics as the holder"))
        }

        pub(crate) fn try_acquire(&self) -> Option<RawHeld<'_>> {
            self.0.try_lock().ok().map(RawHeld)
        }
    }
}

#[cfg(not(loom))]
mod native {
    pub(crate) use core::sync::atomic::{AtomicBool, Ordering};

    /// A cell with loom's interface.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, body: impl FnOnce(*const T) -> R) -> R {
            body(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, body: impl FnOnce(*mut T) -> R) -> R {
            body(self.0.get())
        }
    }
}

/// A constructor: `const`, but for loom, whose atomics are made while a model runs.
macro_rules! constructor {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),*) -> Self $body:block) => {
        $(#[$meta])*
        #[cfg(not(loom))]
        $vis const fn $name($($argument: $type),*) -> Self $body
        $(#[$meta])*
        #[cfg(loom)]
        $vis fn $name($($argument: $type),*) -> Self $body
    };
}
pub(crate) use constructor;
