//! The roll of a core: every strand that was made there and has not ended, an intrusive list in the order in
//! which they were made. So cores that make strands do not meet.
//!
//! It takes no memory of its own, so that what is in use depends on who is there and not on who came and
//! went. Entering and leaving take a few instructions, however many there are.

use alloc::sync::Arc;
use core::ptr::NonNull;

use crate::{machine::Machine, strand::Strand};

/// A strand's place on the roll; the list's.
pub(crate) struct Place<M: Machine> {
    next: Option<Arc<Strand<M>>>,
    /// The one before, which keeps this one alive.
    previous: Option<NonNull<Strand<M>>>,
    is_entered: bool,
}

// SAFETY: strands are shared by `Arc`, and the pointer is used under the roll's lock.
unsafe impl<M: Machine> Send for Place<M> {}

impl<M: Machine> Place<M> {
    pub(crate) const fn new() -> Self {
        Self { next: None, previous: None, is_entered: false }
    }
}

/// The list. Each core has one.
pub(crate) struct Roll<M: Machine> {
    first: Option<Arc<Strand<M>>>,
    last: Option<NonNull<Strand<M>>>,
    length: usize,
}

// SAFETY: as for a place.
unsafe impl<M: Machine> Send for Roll<M> {}

impl<M: Machine> Roll<M> {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, length: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    #[allow(clippy::mut_from_ref, reason = "the roll's lock says who may")]
    fn place(strand: &Strand<M>) -> &mut Place<M> {
        // SAFETY: places are used by the one roll, through `&mut self` or under its lock; each reference
        // lives for one statement.
        unsafe { strand.place.get() }
    }

    /// Enters a strand that was never entered, as the last.
    pub(crate) fn enter(&mut self, strand: Arc<Strand<M>>) {
        let last = self.last.replace(NonNull::from(&*strand));
        Self::place(&strand).previous = last;
        Self::place(&strand).is_entered = true;
        self.length += 1;
        match last {
            // SAFETY: the last one is on the roll, which keeps it alive.
            Some(last) => Self::place(unsafe { last.as_ref() }).next = Some(strand),
            None => self.first = Some(strand),
        }
    }

    /// Strikes a strand off, and returns the roll's reference to it.
    pub(crate) fn strike(&mut self, strand: &Strand<M>) -> Option<Arc<Strand<M>>> {
        if !core::mem::take(&mut Self::place(strand).is_entered) {
            return None;
        }
        let next = Self::place(strand).next.take();
        let previous = Self::place(strand).previous.take();
        match &next {
            Some(next) => Self::place(next).previous = previous,
            None => self.last = previous,
        }
        self.length -= 1;
        match previous {
            // SAFETY: the one before is on the roll, which keeps it alive.
            Some(previous) => core::mem::replace(&mut Self::place(unsafe { previous.as_ref() }).next, next),
            None => core::mem::replace(&mut self.first, next),
        }
    }

    /// Everybody.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Strand<M>>> {
        // SAFETY: shared by those who look, and nobody else has the list meanwhile.
        core::iter::successors(self.first.as_ref(), |strand| unsafe { strand.place.get() }.next.as_ref())
    }
}
