//! Closures in the forms in which the kernel calls them.

extern crate alloc;

use alloc::{boxed::Box, vec::Vec};
use core::mem::needs_drop;

use crate::Event;

/// The code of a procedure, and the closure that goes with it, as words.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) code: usize,
    pub(crate) closure: usize,
}

/// Closures that have something to keep; dropping this drops them.
#[derive(Default)]
pub(crate) struct Captures(Vec<Capture>);

struct Capture {
    closure: *mut (),
    forget: unsafe fn(*mut ()),
}

// SAFETY: it owns a closure that is `Send`, by the bound on `Captures::keep`.
unsafe impl Send for Capture {}

impl Drop for Capture {
    fn drop(&mut self) {
        // SAFETY: `forget` was made for the type of this closure, which is dropped here and nowhere else.
        unsafe { (self.forget)(self.closure) }
    }
}

impl Captures {
    /// Puts a closure where it stays. One that captures nothing takes no memory.
    fn keep<F: Send + Sync + 'static>(&mut self, closure: F) -> usize {
        /// # Safety
        ///
        /// `closure` came from a box of an `F`, and is not used any more.
        unsafe fn forget<F>(closure: *mut ()) {
            // SAFETY: by the contract.
            drop(unsafe { Box::from_raw(closure.cast::<F>()) });
        }
        let closure = Box::into_raw(Box::new(closure));
        if size_of::<F>() > 0 || needs_drop::<F>() {
            self.0.push(Capture { closure: closure.cast(), forget: forget::<F> });
        }
        closure.expose_provenance()
    }

    pub(crate) fn handler<E: Event, F>(&mut self, handler: F) -> Words
    where
        F: Fn(&E) -> E::Result + Send + Sync + 'static,
    {
        Words { code: call::<E, F> as *const () as usize, closure: self.keep(handler) }
    }

    pub(crate) fn filter<E: Event, F>(&mut self, filter: F) -> Words
    where
        F: Fn(&mut E) -> E::Result + Send + Sync + 'static,
    {
        Words { code: call_filter::<E, F> as *const () as usize, closure: self.keep(filter) }
    }

    pub(crate) fn predicate<E: Event, F>(&mut self, predicate: F) -> Words
    where
        F: Fn(&E) -> bool + Send + Sync + 'static,
    {
        Words { code: test::<E, F> as *const () as usize, closure: self.keep(predicate) }
    }

    /// Leaves the closures where they are, for as long as somebody may run them: null if there are none.
    pub(crate) fn leak(self) -> *mut Self {
        if self.0.is_empty() { core::ptr::null_mut() } else { Box::into_raw(Box::new(self)) }
    }

    /// Drops what was leaked.
    ///
    /// # Safety
    ///
    /// `leaked` came from [`leak`](Self::leak), and nobody uses it, or runs these closures, any more.
    pub(crate) unsafe fn drop_leaked(leaked: *mut Self) {
        if !leaked.is_null() {
            // SAFETY: by the contract.
            drop(unsafe { Box::from_raw(leaked) });
        }
    }
}

/// The form in which the kernel calls handlers.
///
/// # Safety
///
/// `closure` points to the `F` that was installed, `args` to an `E`, `result` to room for a result.
unsafe extern "C" fn call<E: Event, F: Fn(&E) -> E::Result>(
    closure: *const (),
    args: *const (),
    result: *mut (),
) {
    // SAFETY: by the contract.
    let handler = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<E>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<E::Result>().write(handler(args)) }
}

/// The form in which the kernel calls filters.
///
/// # Safety
///
/// As for [`call`], and nobody else uses the arguments meanwhile: they are the raise's own copy.
unsafe extern "C" fn call_filter<E: Event, F: Fn(&mut E) -> E::Result>(
    closure: *const (),
    args: *const (),
    result: *mut (),
) {
    // SAFETY: by the contract.
    let filter = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &mut *args.cast_mut().cast::<E>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<E::Result>().write(filter(args)) }
}

/// The form in which the kernel asks predicates: the result is a byte.
///
/// # Safety
///
/// `closure` points to the `F` that was installed, `args` to an `E`, `result` to room for a byte.
unsafe extern "C" fn test<E: Event, F: Fn(&E) -> bool>(closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract.
    let predicate = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<E>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<u8>().write(u8::from(predicate(args))) }
}
