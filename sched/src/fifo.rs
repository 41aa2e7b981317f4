//! An intrusive first-in, first-out list of strands: putting one on it allocates nothing, and one in the
//! middle is taken out in a few instructions.

use alloc::sync::Arc;
use core::ptr::NonNull;

use crate::{machine::Machine, strand::Strand};

/// The list. A strand stands in at most one at a time, which its owner sees to.
pub struct Fifo<M: Machine> {
    head: Option<Arc<Strand<M>>>,
    /// The last one, which the list keeps alive.
    tail: Option<NonNull<Strand<M>>>,
}

/// A strand's neighbours in the list in which it stands.
pub(crate) struct Links<M: Machine> {
    next: Option<Arc<Strand<M>>>,
    /// The one before, which keeps this one alive.
    previous: Option<NonNull<Strand<M>>>,
}

// SAFETY: strands are shared by `Arc`, and the pointer is used under the lock of the list.
unsafe impl<M: Machine> Send for Links<M> {}

// SAFETY: the tail points into the list itself, whose strands are shared by `Arc`.
unsafe impl<M: Machine> Send for Fifo<M> {}

impl<M: Machine> Links<M> {
    pub(crate) const fn new() -> Self {
        Self { next: None, previous: None }
    }
}

impl<M: Machine> Fifo<M> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: None, tail: None }
    }

    /// Is nobody in it?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    #[allow(clippy::mut_from_ref, reason = "the list's lock says who may")]
    fn links(strand: &Strand<M>) -> &mut Links<M> {
        // SAFETY: a strand stands in one list at a time, and lists are used through `&mut self`,
        // under the lock of whoever has the list; each reference lives for one statement.
        unsafe { strand.links.get() }
    }

    /// Puts a strand at the end.
    #[inline(always)]
    pub fn push(&mut self, strand: Arc<Strand<M>>) {
        let last = self.tail.replace(NonNull::from(&*strand));
        match last {
            Some(before) => {
                Self::links(&strand).previous = last;
                // SAFETY: the tail is kept alive by its predecessor's `next`, or by `head`.
                Self::links(unsafe { before.as_ref() }).next = Some(strand);
            }
            None => self.head = Some(strand),
        }
    }

    /// Takes the first strand.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Arc<Strand<M>>> {
        let first = self.head.take()?;
        self.head = Self::links(&first).next.take();
        match &self.head {
            Some(head) => Self::links(head).previous = None,
            None => self.tail = None,
        }
        Some(first)
    }

    /// Takes out a strand that stands in this list.
    pub(crate) fn remove(&mut self, strand: &Strand<M>) -> Option<Arc<Strand<M>>> {
        let Some(before) = Self::links(strand).previous.take() else { return self.pop() };
        let next = Self::links(strand).next.take();
        match &next {
            Some(next) => Self::links(next).previous = Some(before),
            None => self.tail = Some(before),
        }
        // SAFETY: the one before stands in this list, which keeps it alive.
        core::mem::replace(&mut Self::links(unsafe { before.as_ref() }).next, next)
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<&Strand<M>> {
        // SAFETY: the tail stands in this list, which keeps it alive and is borrowed.
        self.tail.map(|tail| unsafe { tail.as_ref() })
    }

    /// Takes the last one.
    pub(crate) fn take_last(&mut self) -> Option<Arc<Strand<M>>> {
        // SAFETY: as above, until it is taken out, which gives a reference that keeps it alive.
        let last = unsafe { self.tail?.as_ref() };
        self.remove(last)
    }

    /// Everybody, from the first on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Strand<M>>> {
        core::iter::successors(self.head.as_ref(), |strand| Self::links(strand).next.as_ref())
    }
}

impl<M: Machine> Default for Fifo<M> {
    fn default() -> Self {
        Self::new()
    }
}
