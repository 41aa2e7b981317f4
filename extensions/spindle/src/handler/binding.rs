//! A handler that is installed, and how it is removed.

use core::{fmt, marker::PhantomData, ptr};

use crate::{Error, Event, closure::Captures, interfaces::dispatcher};

/// A handler of this spindle that is installed.
pub struct Binding<E> {
    pub(super) number: u64,
    /// What may be dropped when it is known that nobody runs it.
    pub(super) captures: *mut Captures,
    pub(super) _event: PhantomData<fn(&E)>,
}

// SAFETY: what it points to is `Send`, and touched only by whoever has drained the binding: one.
unsafe impl<E> Send for Binding<E> {}
// SAFETY: as above.
unsafe impl<E> Sync for Binding<E> {}

impl<E> Clone for Binding<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Binding<E> {}

impl<E> PartialEq for Binding<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Binding<E> {}

impl<E> fmt::Debug for Binding<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Binding({})", self.number)
    }
}

impl<E> Binding<E> {
    /// The event's own handler, where it has one: to be ordered before or after it.
    pub const INTRINSIC: Self = Self { number: 0, captures: ptr::null_mut(), _event: PhantomData };
}

/// Removes a handler: no raise that begins after this returns calls it. One that began before may
/// still be in it, so its closure stays until the spindle is unloaded.
///
/// # Errors
///
/// [`Error::UnknownBinding`] if it was removed before, [`Error::Context`] in a guard.
pub fn remove<E: Event>(binding: Binding<E>) -> Result<(), Error> {
    dispatcher::remove(E::import().load(), binding.number)
}

/// Removes a handler, waits until nobody runs it any more, or sleeps in it, and drops its closure.
///
/// # Errors
///
/// [`Error::UnknownBinding`] if it was removed before. [`Error::Context`] where nobody may wait: in a guard,
/// in a bounded handler, and in the very handler that is to be removed; it stays installed then.
pub fn remove_drained<E: Event>(binding: Binding<E>) -> Result<(), Error> {
    dispatcher::remove_drained(E::import().load(), binding.number)?;
    // SAFETY: nobody runs the handler any more, and nobody will. It was there and is not: of all who hold
    // copies of its binding, this is the one that removed it.
    unsafe { Captures::drop_leaked(binding.captures) };
    Ok(())
}
