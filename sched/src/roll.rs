//! The roll of a core: every strand that was made there and has not ended, an intrusive list in the order in
//! which they were made. So cores that make strands do not meet.
//!
//! It takes no memory of its own, so that what is in use depends on who is there and not on who came and
//! went. Entering and leaving take a few instructions, however many there are.

use alloc::{sync::Arc, vec::Vec};
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

    /// Copies up to `count` further strands to `copy`, for which it has room. Says whether that was all, but
    /// for those whose number is `end` or more.
    ///
    /// The roll may change from call to call. The order stays, and so the next is the one after the last of
    /// the copied that is still on the roll; `known` says how many of the copied may be, and is 0 at first.
    pub(crate) fn copy_on(
        &self,
        copy: &mut Vec<Arc<Strand<M>>>,
        known: &mut usize,
        count: usize,
        end: u64,
    ) -> bool {
        let gone = copy[..*known].iter().rev().take(count).take_while(|one| !Self::place(one).is_entered);
        *known -= gone.count();
        let mut next = match known.checked_sub(1).map(|last| Self::place(&copy[last])) {
            None => self.first.clone(),
            Some(place) if place.is_entered => place.next.clone(),
            // The one before may be gone, too: to be asked at the next call.
            Some(_) => return false,
        };
        for _ in 0..count {
            let Some(strand) = next.filter(|strand| strand.id < end) else { return true };
            next = Self::place(&strand).next.clone();
            copy.push(strand);
        }
        *known = copy.len();
        false
    }
}
