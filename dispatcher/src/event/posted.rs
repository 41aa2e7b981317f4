//! Asynchronous handlers and raises: who is at the other end of a mailbox.

use alloc::sync::Arc;
use core::{
    alloc::Layout,
    mem::{ManuallyDrop, MaybeUninit},
};

use super::{Event, InstallError, Overrun, RaiseError, change::Incoming};
use crate::{
    binding::Binding,
    border::Border,
    plan::{Aside, Entry, Room, Word, is_narrow},
    post::{Addressee, Mailbox, Posting},
    processor::Processor,
};

/// A binding whose handler is run by workers.
struct Remote<R, P: Processor> {
    entry: ManuallyDrop<Entry>,
    binding: Arc<Binding>,
    _types: core::marker::PhantomData<fn(P) -> R>,
}

impl<R: Copy + 'static, P: Processor> Addressee for Remote<R, P> {
    unsafe fn deliver(&self, args: *mut ()) {
        let below = P::top();
        let mut place = MaybeUninit::uninit();
        let border = Border::of_entry(&mut place, below, &raw const *self.entry);
        let mut room = Room::<R>::new();
        room.offer(border);
        border.open::<P>();
        // Asked inside: whoever finds it there is waited for by the grace period after its removal.
        if P::has_room(border) && !self.binding.is_removed() {
            // SAFETY: the binding is not removed, or its removal's grace period cannot end before this
            // border closes; the arguments are a copy of the event's. The result means nothing to anybody.
            let (_, is_late) =
                unsafe { self.entry.invoke_within::<P>(self.binding.tightest_bound_ns(), args, border) };
            if is_late {
                self.report(border);
            }
        }
        Border::close::<P>(below);
        border.look_back::<P>(Word::nothing());
    }

    fn is_gone(&self) -> bool {
        self.binding.is_removed()
    }
}

impl<R, P: Processor> Remote<R, P> {
    /// It has run longer than it may: tells whoever wants to hear of it.
    fn report(&self, border: &Border) {
        border.release_entry::<P>();
        let was_cut = border.take_failure() == Some(RaiseError::Cut);
        if let Some(report) = self.binding.on_overrun() {
            border.set_entry(Aside::Report.entry());
            let domain = self.binding.domain().map(|domain| domain.id());
            report(Overrun { binding: self.binding.id, domain, was_cut });
        }
    }
}

impl<R, P: Processor> Drop for Remote<R, P> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let entry = unsafe { ManuallyDrop::take(&mut self.entry) };
        let binding = self.binding.clone();
        // A worker may be the last to have it, but closures are dropped by the housekeeper alone.
        P::retired().after_grace(move || drop((entry, binding)));
        P::summon_keeper();
    }
}

/// An event that takes asynchronous raises.
struct Raiser<A: 'static, R: 'static, P: 'static>(&'static Event<A, R, P>);

impl<A: 'static, R: Copy + 'static, P: Processor> Addressee for Raiser<A, R, P> {
    unsafe fn deliver(&self, args: *mut ()) {
        // SAFETY: a copy of what was posted, which is an `A`.
        let args = unsafe { &*args.cast::<A>() };
        // Whoever raised it has not waited for what comes of it.
        let _ = self.0.raise(args);
    }

    fn is_gone(&self) -> bool {
        false
    }
}

impl<A: 'static, R: Copy + 'static, P: Processor> Event<A, R, P> {
    /// Gives a handler that wants to be posted to its mailbox.
    pub(super) fn equip(incoming: &mut Incoming) -> Result<(), InstallError> {
        let Some(posting) = incoming.posting else { return Ok(()) };
        if incoming.binding.is_filter {
            return Err(InstallError::PostedFilter);
        }
        let addressee = Remote::<R, P> {
            entry: ManuallyDrop::new(Entry::remote(&incoming.binding, is_narrow::<R>())),
            binding: incoming.binding.clone(),
            _types: core::marker::PhantomData,
        };
        let mailbox = Mailbox::new::<P>(Arc::new(addressee), Layout::new::<A>(), posting);
        incoming.mailbox = Some(mailbox.map_err(InstallError::Mailbox)?);
        Ok(())
    }

    pub(super) fn take_posts(&'static self, posting: Posting) -> Result<(), InstallError>
    where
        A: Copy + Send,
    {
        let mailbox = Mailbox::new::<P>(Arc::new(Raiser(self)), Layout::new::<A>(), posting);
        let mailbox = mailbox.map_err(InstallError::Mailbox)?;
        let mut mailbox = Some(mailbox);
        self.posts.call_once(|| mailbox.take().expect("called once"));
        if mailbox.is_some() { Err(InstallError::TakesPosts) } else { Ok(()) }
    }

    /// Raises the event asynchronously: a worker runs the whole dispatch, on a copy of the arguments and
    /// at the place that the owner chose, and its result goes nowhere. Posts of one event are raised in the
    /// order in which they were posted. From anywhere, interrupts included.
    ///
    /// Cost: a copy and two locked instructions, mostly; see [`Mailbox::post`].
    ///
    /// # Errors
    ///
    /// [`RaiseError::NoQueue`] if the owner has not made room for posts,
    /// [`RaiseError::QueueFull`] if there is none left and he wants that told.
    pub fn post(&self, args: &A) -> Result<(), RaiseError>
    where
        A: Copy + Send,
    {
        let mailbox = self.posts.get().ok_or(RaiseError::NoQueue)?;
        // SAFETY: the mailbox was made for an `A`, which is `Copy` and `Send`.
        let posted = unsafe { mailbox.post::<P>(core::ptr::from_ref(args).cast()) };
        posted.map(drop).map_err(|_| RaiseError::QueueFull)
    }
}
