//! An intrusive first-in, first-out list of strands: putting one on it allocates nothing.

use alloc::sync::Arc;
use core::ptr::NonNull;

use crate::{machine::Machine, strand::Strand};

/// The list. A strand stands in at most one at a time, which its owner sees to.
pub struct Fifo<M: Machine> {
    head: Option<Arc<Strand<M>>>,
    /// The last one, which the list keeps alive.
    tail: Option<NonNull<Strand<M>>>,
}

// SAFETY: the tail points into the list itself, whose strands are shared by `Arc`.
unsafe impl<M: Machine> Send for Fifo<M> {}

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
    fn next(strand: &Strand<M>) -> &mut Option<Arc<Strand<M>>> {
        // SAFETY: a strand stands in one list at a time, and lists are used through `&mut self`,
        // under the lock of whoever has the list; each reference lives for one statement.
        unsafe { strand.next.get() }
    }

    /// Puts a strand at the end.
    pub fn push(&mut self, strand: Arc<Strand<M>>) {
        let tail = NonNull::from(&*strand);
        match self.tail.replace(tail) {
            // SAFETY: the tail is kept alive by its predecessor's `next`, or by `head`.
            Some(last) => *Self::next(unsafe { last.as_ref() }) = Some(strand),
            None => self.head = Some(strand),
        }
    }

    /// Takes the first strand.
    pub fn pop(&mut self) -> Option<Arc<Strand<M>>> {
        let first = self.head.take()?;
        self.head = Self::next(&first).take();
        if self.head.is_none() {
            self.tail = None;
        }
        Some(first)
    }

    /// Takes the first strand of which `wanted` holds.
    pub fn take(&mut self, wanted: impl Fn(&Strand<M>) -> bool) -> Option<Arc<Strand<M>>> {
        let mut passed = Self::new();
        let mut found = None;
        while let Some(strand) = self.pop() {
            if found.is_none() && wanted(&strand) {
                found = Some(strand);
            } else {
                passed.push(strand);
            }
        }
        *self = passed;
        found
    }
}

impl<M: Machine> Default for Fifo<M> {
    fn default() -> Self {
        Self::new()
    }
}
