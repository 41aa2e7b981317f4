//! Where mailboxes meet the machine: a post on its way to a core, and a worker's share of it.

use alloc::{alloc::Layout, sync::Arc};

use super::{
    agenda::Agenda,
    mailbox::{Mailbox, Turn},
    posting::{Addressee, Full, MailboxError, Place, Posted, Posting},
};
use crate::processor::Processor;

impl Mailbox {
    /// An empty one for arguments of that layout. All memory that it will ever need is allocated here.
    ///
    /// # Errors
    ///
    /// [`MailboxError`].
    pub fn new<P: Processor>(
        addressee: Arc<dyn Addressee>,
        args: Layout,
        posting: Posting,
    ) -> Result<Arc<Self>, MailboxError> {
        if let Place::Core(core) = posting.place
            && P::agenda(core).is_none()
        {
            return Err(MailboxError::NoSuchCore);
        }
        Self::allocate(addressee, args, posting)
    }

    /// Posts a copy of the arguments. From anywhere, interrupts included, and never waits; but what does
    /// so must not be cut in the middle, which would leave the mailbox silent.
    ///
    /// Cost: two locked instructions and the copy, while deliveries are pending. One that finds none
    /// takes the mailbox to its agenda (two locked instructions more), and wakes a worker if one sleeps.
    ///
    /// # Errors
    ///
    /// [`Full`], if the owner chose [`Refuse`](super::OnFull::Refuse).
    ///
    /// # Safety
    ///
    /// `args` points to arguments of the layout for which the mailbox was made, and of the type that its
    /// addressee takes, which is `Copy` and `Send`.
    #[inline]
    pub unsafe fn post<P: Processor>(self: &Arc<Self>, args: *const ()) -> Result<Posted, Full> {
        let core = P::core_id();
        // SAFETY: passed on.
        let (posted, turn) = unsafe { self.put(args, core) }?;
        if let Some(turn) = turn {
            turn.announce::<P>(core);
        }
        Ok(posted)
    }
}

impl Turn {
    /// Puts it on the agenda on which it belongs.
    #[cold]
    fn announce<P: Processor>(self, fallback: usize) {
        let core = self.core(fallback);
        // Where it was posted from there are strands; whether there are on the core that its owner named
        // was asked when it was made.
        if agenda::<P>(core).push(self) {
            P::summon_worker(core);
        }
    }

    /// Delivers up to [`BATCH`](super::BATCH) invocations on this core, whose number is `here`, and passes
    /// the turn on if there are more. On a strand that stays on this core; it may block meanwhile.
    pub fn deliver<P: Processor>(self, here: usize) {
        let Some(turn) = self.run(here) else { return };
        if turn.core(here) == here {
            P::unpreempted(|| agenda::<P>(here).put_back(turn));
        } else {
            turn.announce::<P>(here);
        }
    }
}

/// The first mailbox in line on core `core`: by a worker of that core, who then
/// [delivers](Turn::deliver). None says that there is nothing to do.
pub fn take<P: Processor>(core: usize) -> Option<Turn> {
    P::unpreempted(|| agenda::<P>(core).take())
}

/// Lets the next post for core `core` call [`Processor::summon_worker`], if there is nothing to do: by a
/// worker, when somebody (it or another) can be summoned. False says that there is something.
#[must_use]
pub fn watch<P: Processor>(core: usize) -> bool {
    P::unpreempted(|| agenda::<P>(core).watch())
}

/// Does nothing wait on core `core`? It may be otherwise by the time you look.
pub fn is_empty<P: Processor>(core: usize) -> bool {
    P::unpreempted(|| agenda::<P>(core).is_empty())
}

fn agenda<P: Processor>(core: usize) -> &'static Agenda {
    P::agenda(core).expect("a mailbox is scheduled on a core that runs strands")
}
