//! A mailbox: what waits for one addressee, and who may deliver it.
//!
//! A mailbox with something in it is *scheduled*: there is one [`Turn`] for it, which is the right and
//! the duty to deliver. Whoever makes the mailbox scheduled gets the turn and puts it on the
//! [agenda](super::agenda) of a core; whoever takes it from there delivers, and ends it only when
//! nothing waits. So deliveries are one at a time and in order, however many push and however many
//! deliver, and nothing that was pushed is forgotten: both sides exchange the flag, a pusher after it
//! has pushed, the one who ends the turn before it looks a last time.

use alloc::{alloc::Layout, sync::Arc};
use core::{mem::MaybeUninit, ptr};

use super::{
    posting::{Addressee, Counts, Full, MOST_ARGS, MailboxError, OnFull, Place, Posted, Posting},
    ring::Ring,
};
use crate::primitive::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// The most invocations that are delivered before others on the same core have their turn.
pub const BATCH: usize = 16;

/// A queue, and who is invoked with what is in it.
pub struct Mailbox {
    /// The next on an agenda; belongs to the agenda on which the mailbox stands.
    pub(super) next: AtomicPtr<Mailbox>,
    /// There is a turn.
    is_scheduled: AtomicBool,
    place: Place,
    on_full: OnFull,
    ring: Ring,
    addressee: Arc<dyn Addressee>,
    refused: AtomicUsize,
    dropped: AtomicUsize,
    delivered: AtomicUsize,
    discarded: AtomicUsize,
}

impl Mailbox {
    /// An empty one for arguments of that layout; allocates all that it will ever need.
    ///
    /// # Errors
    ///
    /// [`MailboxError`]; `NoSuchCore` is up to the caller, who knows which there are.
    pub(super) fn allocate(
        addressee: Arc<dyn Addressee>,
        args: Layout,
        posting: Posting,
    ) -> Result<Arc<Self>, MailboxError> {
        Ok(Arc::new(Self {
            next: AtomicPtr::new(ptr::null_mut()),
            is_scheduled: AtomicBool::new(false),
            place: posting.place,
            on_full: posting.on_full,
            ring: Ring::new(args, posting.capacity)?,
            addressee,
            refused: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            delivered: AtomicUsize::new(0),
            discarded: AtomicUsize::new(0),
        }))
    }

    /// How many may wait.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        // Relaxed: for people.
        let read = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Counts {
            posted: self.ring.pushed(),
            refused: read(&self.refused),
            dropped: read(&self.dropped),
            delivered: read(&self.delivered),
            discarded: read(&self.discarded),
        }
    }

    /// Does nothing wait, and is nothing being delivered? While nobody posts any more (the addressee was
    /// taken away, and a grace period has passed) it stays so once it is true.
    pub fn is_quiet(&self) -> bool {
        // Not the flag, which is down for a moment when the end of a turn is taken back. Acquire: pairs with
        // `count`; what the deliveries did is seen. Both are read before what they are compared with.
        let done = [&self.delivered, &self.discarded].map(|counter| counter.load(Ordering::Acquire));
        done[0].wrapping_add(done[1]) == self.ring.pushed()
    }

    /// Queues a copy of the arguments, on behalf of a raiser on core `origin`. With a turn, it is the
    /// caller's to put on an agenda.
    ///
    /// # Errors
    ///
    /// [`Full`], if such is the owner's choice.
    ///
    /// # Safety
    ///
    /// As [`Ring::push`]; and the addressee takes such arguments.
    #[inline]
    pub(super) unsafe fn put(
        self: &Arc<Self>,
        args: *const (),
        origin: usize,
    ) -> Result<(Posted, Option<Turn>), Full> {
        // SAFETY: passed on.
        if unsafe { self.ring.push(args.cast(), origin) }.is_err() {
            return self.overflow().map(|posted| (posted, None));
        }
        // An exchange, although it mostly finds it set: a mere look could be too early to see that a turn
        // has ended, and it that there is more. AcqRel: pairs with the exchange in `Turn::end`, both ways.
        let was_scheduled = self.is_scheduled.swap(true, Ordering::AcqRel);
        Ok((Posted::Queued, (!was_scheduled).then(|| Turn(self.clone()))))
    }

    #[cold]
    fn overflow(&self) -> Result<Posted, Full> {
        // Relaxed: for people.
        match self.on_full {
            OnFull::Refuse => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Full)
            }
            OnFull::Drop => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                Ok(Posted::Dropped)
            }
        }
    }
}

/// Room for a copy of any arguments.
#[repr(align(16))]
struct Room([MaybeUninit<u8>; MOST_ARGS]);

/// The right, and the duty, to deliver what waits in a mailbox: there is one at most. Dropping it leaves
/// the mailbox silent for ever.
#[must_use]
pub struct Turn(Arc<Mailbox>);

impl Turn {
    /// The core on which the first in line is to be delivered; `fallback` if none is ready yet.
    pub(super) fn core(&self, fallback: usize) -> usize {
        match self.0.place {
            Place::Core(core) => core,
            // SAFETY: the turn makes this the one consumer.
            Place::Here => unsafe { self.0.ring.origin() }.unwrap_or(fallback),
        }
    }

    /// Delivers, on core `here`, up to [`BATCH`] invocations. Gives the turn back if there are more, or
    /// if the next are for another core.
    pub(super) fn run(self, here: usize) -> Option<Self> {
        let mailbox = &*self.0;
        let mut room = Room([MaybeUninit::uninit(); MOST_ARGS]);
        let args = room.0.as_mut_ptr().cast::<u8>();
        for _ in 0..BATCH {
            if self.core(here) != here {
                return Some(self);
            }
            // SAFETY: the turn makes this the one consumer, and there is room for any arguments.
            if !unsafe { mailbox.ring.pop(args) } {
                return self.end();
            }
            if mailbox.addressee.is_gone() {
                count(&mailbox.discarded);
            } else {
                // SAFETY: the copy is of what was posted for this addressee, and ours until the next.
                unsafe { mailbox.addressee.deliver(args.cast()) };
                count(&mailbox.delivered);
            }
        }
        if mailbox.ring.is_ready() { Some(self) } else { self.end() }
    }

    /// Lets the mailbox rest, unless something has come in.
    fn end(self) -> Option<Self> {
        // An exchange: either it comes after that of a pusher, and then what was pushed is seen below, or
        // the pusher's comes after this one, and then the pusher gets the turn. Release: for whoever has
        // the next turn.
        self.0.is_scheduled.swap(false, Ordering::AcqRel);
        // From here on somebody else may have a turn, so this is a hint: if it is wrong, the new turn is
        // one for nothing.
        let has_more = self.0.ring.is_ready();
        (has_more && !self.0.is_scheduled.swap(true, Ordering::AcqRel)).then_some(self)
    }

    /// For an agenda.
    pub(super) fn into_raw(self) -> *mut Mailbox {
        Arc::into_raw(self.0).cast_mut()
    }

    /// # Safety
    ///
    /// It came from [`into_raw`](Self::into_raw), and is taken once.
    pub(super) unsafe fn from_raw(mailbox: *mut Mailbox) -> Self {
        // SAFETY: passed on.
        Self(unsafe { Arc::from_raw(mailbox) })
    }
}

/// By the one consumer.
fn count(counter: &AtomicUsize) {
    // Relaxed: nobody else writes it. Release: pairs with `is_quiet`.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}
