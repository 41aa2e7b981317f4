//! The queue of waiters: first come, first served, of nodes in the waiters' own frames.
//!
//! Who may touch a node: while it is linked, whoever holds the lock over its queue; once it is settled, the
//! strand in whose frame it lies, and nobody else. Settling is the last that another strand does to
//! it, and comes after the waiter was called: so nobody holds a reference to a strand that may have ended.

use core::ptr::NonNull;

use crate::{
    primitive::{AtomicBool, Ordering, UnsafeCell},
    strands::Strands,
};

type Link<S, P> = Option<NonNull<Node<S, P>>>;

/// A waiter's place in a queue, in its own frame; `P` is what it brings or takes.
pub(crate) struct Node<S: Strands, P> {
    /// It was granted what it waits for, and is linked no more.
    is_settled: AtomicBool,
    inside: UnsafeCell<Option<Inside<S, P>>>,
}

struct Inside<S: Strands, P> {
    previous: Link<S, P>,
    next: Link<S, P>,
    strand: Option<S::Strand>,
    payload: P,
}

impl<S: Strands, P> Node<S, P> {
    pub(crate) fn new() -> Self {
        Self { is_settled: AtomicBool::new(false), inside: UnsafeCell::new(None) }
    }

    /// Was it granted what it waits for? By the waiter.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        // Acquire: synchronizes with the Release in `grant_first_if`: the payload is what was put there.
        self.is_settled.load(Ordering::Acquire)
    }

    /// What it brought, or was given. By the waiter, once the node is linked no more.
    pub(crate) fn into_payload(self) -> Option<P> {
        // SAFETY: it is the waiter's alone now.
        let inside = self.inside.with_mut(|inside| unsafe { (*inside).take() });
        inside.map(|inside| inside.payload)
    }

    /// What it brought.
    ///
    /// # Safety
    ///
    /// The node was filled, and nobody else looks at it while the reference lives.
    pub(crate) unsafe fn payload<'a>(this: NonNull<Self>) -> &'a mut P {
        // SAFETY: by the contract.
        &mut unsafe { Self::inside(this) }.payload
    }

    /// # Safety
    ///
    /// The node was filled and lies where it did. It is linked, and the caller holds the queue's lock, or
    /// nobody else can find it; and no other such reference lives.
    unsafe fn inside<'a>(this: NonNull<Self>) -> &'a mut Inside<S, P> {
        // SAFETY: a linked node lies where it was pushed.
        let cell = unsafe { &raw const (*this.as_ptr()).inside };
        // SAFETY: as above.
        let cell = unsafe { &*cell };
        // SAFETY: by the contract nobody else looks.
        let inside = cell.with_mut(|inside| unsafe { &mut *inside });
        inside.as_mut().expect("a linked node was filled")
    }
}

/// A waiter that was called and must be made to run, or need not be.
#[must_use = "a strand that was called, and is not delivered, is lost"]
pub(crate) struct Wake<S: Strands>(Option<S::Strand>);

impl<S: Strands> Wake<S> {
    /// Nobody.
    pub(crate) const NOBODY: Self = Self(None);

    /// Makes it run. Outside of locks.
    #[inline(always)]
    pub(crate) fn deliver(self) {
        if let Some(strand) = self.0 {
            S::resume(strand);
        }
    }
}

/// The queue; guarded by a lock.
pub(crate) struct Queue<S: Strands, P> {
    first: Link<S, P>,
    last: Link<S, P>,
}

// SAFETY: the nodes are reached under the lock, from whatever core holds it; strands' references and
// payloads pass from core to core with them.
unsafe impl<S: Strands<Strand: Send>, P: Send> Send for Queue<S, P> {}

impl<S: Strands, P> Queue<S, P> {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None }
    }

    /// Puts a node at the end.
    ///
    /// # Safety
    ///
    /// The node was never linked, and stays where it is, used through shared references only, until it
    /// is settled or was removed by [`remove`](Self::remove).
    pub(crate) unsafe fn push(&mut self, node: &Node<S, P>, strand: S::Strand, payload: P) {
        let place = NonNull::from(node);
        let previous = self.last.replace(place);
        let inside = Inside { previous, next: None, strand: Some(strand), payload };
        // SAFETY: not linked yet, so nobody else looks.
        node.inside.with_mut(|place| unsafe { *place = Some(inside) });
        match previous {
            // SAFETY: linked, under the lock; the reference lives for this statement.
            Some(last) => unsafe { Node::inside(last) }.next = Some(place),
            None => self.first = Some(place),
        }
    }

    /// Takes a node out.
    ///
    /// # Safety
    ///
    /// It is linked in this queue.
    pub(crate) unsafe fn remove(&mut self, node: NonNull<Node<S, P>>) {
        // SAFETY: linked, under the lock; used no more after the next line.
        let inside = unsafe { Node::inside(node) };
        let (previous, next) = (inside.previous.take(), inside.next.take());
        match previous {
            // SAFETY: a neighbour is linked, too.
            Some(previous) => unsafe { Node::inside(previous) }.next = next,
            None => self.first = next,
        }
        match next {
            // SAFETY: as above.
            Some(next) => unsafe { Node::inside(next) }.previous = previous,
            None => self.last = previous,
        }
    }

    /// Grants the first waiter what it waits for, if there is one and `wanted` holds of what it brought:
    /// `give` exchanges what there is to exchange. The waiter to deliver, once the lock was given back.
    #[inline]
    pub(crate) fn grant_first_if<R>(
        &mut self,
        wanted: impl FnOnce(&P) -> bool,
        give: impl FnOnce(&S::Strand, &mut P) -> R,
    ) -> Option<(R, Wake<S>)> {
        let first = self.first?;
        // SAFETY: linked, under the lock; used no more after `remove`, nor before it is made anew.
        if !wanted(unsafe { &Node::inside(first).payload }) {
            return None;
        }
        // SAFETY: it is the first of this queue.
        unsafe { self.remove(first) };
        // SAFETY: not settled, so it lies where it was, and the waiter looks at it only under the lock.
        let inside = unsafe { Node::inside(first) };
        let strand = inside.strand.as_ref().expect("a waiter names itself");
        let given = give(strand, &mut inside.payload);
        // Called before it is settled: from then on it may be gone. One that is parked is not gone, and its
        // own reference moves on; one that is not keeps it.
        let wake = if S::call(strand) { Wake(inside.strand.take()) } else { Wake(None) };
        // SAFETY: not settled yet.
        let is_settled = unsafe { &raw const (*first.as_ptr()).is_settled };
        // SAFETY: as above. Release: synchronizes with the Acquire in `is_settled`.
        unsafe { &*is_settled }.store(true, Ordering::Release);
        Some((given, wake))
    }

    /// As [`grant_first_if`](Self::grant_first_if), without conditions.
    #[inline]
    pub(crate) fn grant_first<R>(
        &mut self,
        give: impl FnOnce(&S::Strand, &mut P) -> R,
    ) -> Option<(R, Wake<S>)> {
        self.grant_first_if(|_| true, give)
    }

    /// The strands that wait, in their order.
    pub(crate) fn strands(&self) -> impl Iterator<Item = &S::Strand> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            // SAFETY: linked, and nobody has the queue mutably meanwhile.
            let inside: &Inside<S, P> = unsafe { Node::inside(next?) };
            next = inside.next;
            inside.strand.as_ref()
        })
    }
}
