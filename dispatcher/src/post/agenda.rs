//! An agenda: the mailboxes of a core that have something to deliver, in the order in which they came.
//!
//! Anybody adds to it by one compare-and-swap, from any core and from interrupts. The workers of its
//! core, who take from it, share a short lock.
//!
//! A word to wake them is part of the same compare-and-swap: while nothing is to be done and somebody
//! sleeps who could do it, the list's head says *watched*, and whoever replaces that wakes the sleeper. So one
//! who comes later wakes nobody a second time, and none can come unseen.

use core::ptr;

use super::mailbox::{Mailbox, Turn};
use crate::primitive::{AtomicBool, AtomicPtr, Ordering, UnsafeCell, relax};

/// The head of an empty list whose first addition shall wake somebody. No mailbox is there.
const WATCHED: *mut Mailbox = ptr::without_provenance_mut(1);

/// The mailboxes that are scheduled on a core.
pub struct Agenda {
    /// What was added since somebody looked, newest first; or [`WATCHED`].
    incoming: AtomicPtr<Mailbox>,
    /// A worker has the line.
    is_held: AtomicBool,
    line: UnsafeCell<Line>,
}

/// What waits, oldest first.
struct Line {
    first: *mut Mailbox,
    last: *mut Mailbox,
}

// SAFETY: what is linked are turns, which may be sent; the line is reached under the lock.
unsafe impl Send for Agenda {}
// SAFETY: as above.
unsafe impl Sync for Agenda {}

impl Agenda {
    /// An empty agenda.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            incoming: AtomicPtr::new(ptr::null_mut()),
            is_held: AtomicBool::new(false),
            line: UnsafeCell::new(Line::EMPTY),
        }
    }

    /// An empty agenda; loom's atomics cannot be made at compile time.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        Self {
            incoming: AtomicPtr::new(ptr::null_mut()),
            is_held: AtomicBool::new(false),
            line: UnsafeCell::new(Line::EMPTY),
        }
    }

    /// Adds a mailbox at the end. True says that a worker sleeps who must be woken now, by the caller.
    /// From anywhere.
    #[must_use]
    pub(super) fn push(&self, turn: Turn) -> bool {
        let mailbox = turn.into_raw();
        let mut head = self.incoming.load(Ordering::Relaxed);
        loop {
            let next = if head == WATCHED { ptr::null_mut() } else { head };
            // SAFETY: alive, since it is linked or about to be.
            unsafe { &*mailbox }.next.store(next, Ordering::Relaxed);
            // Release: whoever takes the list (Acquire in `adopt`) sees the link, and what the last turn
            // did. Acquire: pairs with the Release in `watch`; who sleeps is seen.
            match self.incoming.compare_exchange_weak(head, mailbox, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(before) => return before == WATCHED,
                Err(now) => head = now,
            }
        }
    }

    /// Adds a mailbox at the end, on behalf of a worker who will look again, so that nobody need be woken.
    /// As for [`take`](Self::take).
    pub(super) fn put_back(&self, turn: Turn) {
        self.with_line(|line| {
            line.append(self.adopt());
            let mailbox = turn.into_raw();
            // SAFETY: it is alive and was not linked.
            unsafe { &*mailbox }.next.store(ptr::null_mut(), Ordering::Relaxed);
            line.append(Line { first: mailbox, last: mailbox });
        });
    }

    /// Takes the first in line. On a strand that is not preempted meanwhile, since others spin for the
    /// lock.
    pub(super) fn take(&self) -> Option<Turn> {
        self.with_line(|line| {
            line.append(self.adopt());
            line.pop()
        })
    }

    /// If there is nothing to do: whoever adds something shall wake somebody. False says that there is
    /// something. Somebody must be there to be woken, before this is said. As for [`take`](Self::take).
    #[must_use]
    pub(super) fn watch(&self) -> bool {
        self.with_line(|line| {
            line.first.is_null() && {
                // Release: pairs with the Acquire in `push`. On failure nothing was learnt but that there is
                // something to do, or that it is watched already.
                let watched = self.incoming.compare_exchange(
                    ptr::null_mut(),
                    WATCHED,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
                watched.is_ok() || watched == Err(WATCHED)
            }
        })
    }

    /// Does nothing wait? As for [`take`](Self::take).
    pub(super) fn is_empty(&self) -> bool {
        let head = self.incoming.load(Ordering::Relaxed);
        (head.is_null() || head == WATCHED) && self.with_line(|line| line.first.is_null())
    }

    /// Takes what came in, in order.
    fn adopt(&self) -> Line {
        let head = self.incoming.load(Ordering::Relaxed);
        // Only who has the line makes it empty or watched, so it is no other when it is taken below.
        if head.is_null() || head == WATCHED {
            return Line::EMPTY;
        }
        // Acquire: pairs with `push`.
        let newest = self.incoming.swap(ptr::null_mut(), Ordering::Acquire);
        let (mut first, mut rest) = (ptr::null_mut(), newest);
        while !rest.is_null() {
            // SAFETY: a linked mailbox is kept alive by its turn, and its link is the list's.
            let next = unsafe { &*rest }.next.swap(first, Ordering::Relaxed);
            (first, rest) = (rest, next);
        }
        Line { first, last: newest }
    }

    fn with_line<R>(&self, body: impl FnOnce(&mut Line) -> R) -> R {
        // Acquire: pairs with the Release below.
        while self.is_held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            relax();
        }
        // SAFETY: by the lock nobody else has a reference.
        let result = self.line.with_mut(|line| body(unsafe { &mut *line }));
        // Release: the next sees the line as it was left.
        self.is_held.store(false, Ordering::Release);
        result
    }
}

impl Default for Agenda {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    const EMPTY: Self = Self { first: ptr::null_mut(), last: ptr::null_mut() };

    fn append(&mut self, other: Self) {
        if other.first.is_null() {
            return;
        }
        if self.first.is_null() {
            *self = other;
            return;
        }
        // SAFETY: a mailbox in line is kept alive by its turn.
        unsafe { &*self.last }.next.store(other.first, Ordering::Relaxed);
        self.last = other.last;
    }

    fn pop(&mut self) -> Option<Turn> {
        if self.first.is_null() {
            return None;
        }
        let mailbox = self.first;
        // SAFETY: as above.
        self.first = unsafe { &*mailbox }.next.load(Ordering::Relaxed);
        // SAFETY: it came from a turn, and was just unlinked.
        Some(unsafe { Turn::from_raw(mailbox) })
    }
}
