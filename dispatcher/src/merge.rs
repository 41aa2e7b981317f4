//! What one result comes of several: the owner's policy.

use core::mem;

use crate::handler::BindingId;

/// How the results of the handlers that ran become the result of the raise.
pub enum Merge<R> {
    /// That of the last one.
    Last,
    /// That of the first one; the others run all the same.
    First,
    /// Folded from the first result on: what there is so far, and the next one.
    Fold(fn(R, R) -> R),
    /// The owner's own way: what he made of the results so far (nothing at first), and the next one
    /// with its handler.
    Own(fn(Option<R>, R, BindingId) -> R),
}

impl<R> Clone for Merge<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Merge<R> {}

impl Merge<bool> {
    /// True if all handlers say so.
    pub const ALL: Self = Self::Fold(|all, one| all && one);
    /// True if any handler says so.
    pub const ANY: Self = Self::Fold(|any, one| any || one);
}

/// A policy without its type; made from one, and made one again by the event that has the type.
#[derive(Clone, Copy)]
pub(crate) enum RawMerge {
    Last,
    First,
    Fold(fn()),
    Own(fn()),
}

impl RawMerge {
    pub(crate) const fn new<R>(merge: Merge<R>) -> Self {
        match merge {
            Merge::Last => Self::Last,
            Merge::First => Self::First,
            // SAFETY: a function pointer, kept in the form of another, and never called as such.
            Merge::Fold(fold) => Self::Fold(unsafe { mem::transmute::<fn(R, R) -> R, fn()>(fold) }),
            Merge::Own(own) => {
                // SAFETY: as above.
                Self::Own(unsafe { mem::transmute::<fn(Option<R>, R, BindingId) -> R, fn()>(own) })
            }
        }
    }

    /// # Safety
    ///
    /// It was made from a policy over the same `R`.
    pub(crate) unsafe fn typed<R>(self) -> Merge<R> {
        match self {
            Self::Last => Merge::Last,
            Self::First => Merge::First,
            // SAFETY: by the contract that is what it was.
            Self::Fold(fold) => Merge::Fold(unsafe { mem::transmute::<fn(), fn(R, R) -> R>(fold) }),
            Self::Own(own) => {
                // SAFETY: as above.
                Merge::Own(unsafe { mem::transmute::<fn(), fn(Option<R>, R, BindingId) -> R>(own) })
            }
        }
    }

    /// Its name, for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::First => "first",
            Self::Fold(_) => "fold",
            Self::Own(_) => "own",
        }
    }
}
