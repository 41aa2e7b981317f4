//! Events that come and go: a raise has to find its event first, and what it finds must still be there when it
//! looks at it.

use core::{mem::MaybeUninit, ptr};

use super::{AnyEvent, RaiseError};
use crate::{border::Border, plan::Plan, processor::Processor};

impl AnyEvent {
    /// Raises the event that `find` finds, with the arguments that it answers with; `None` if it finds none.
    ///
    /// It looks from inside the raise's border: what can be found there lives, without a lock and without a
    /// count, until the border closes or a handler sleeps; and once the plan runs, that alone is needed, which a
    /// sleeper holds. So whoever takes such an event away must only see to it that it is found no more, and
    /// then let a grace period pass before it is dropped.
    ///
    /// A result that fits in a word is the word, a wider one is written to `room`. Nothing answers if no
    /// handler does. Cost: that of [`Event::raise`](super::Event::raise), and of finding.
    ///
    /// # Errors
    ///
    /// See [`RaiseError`].
    ///
    /// # Safety
    ///
    /// - `find` does not block, open borders, or run anybody else's code.
    /// - What it finds is dropped no earlier than a grace period after it can be found no more.
    /// - The arguments are the event's, and stay until this returns. `room` is room for a result of the
    ///   event's, if that is wider than a word.
    #[inline(always)]
    pub unsafe fn raise_found<'a, P: Processor>(
        room: *mut (),
        find: impl FnOnce() -> Option<(&'a Self, *const ())>,
    ) -> Option<Result<MaybeUninit<u64>, RaiseError>> {
        let below = P::top();
        let mut place = MaybeUninit::uninit();
        let border = Border::make(&mut place, below);
        if !P::has_room(border) {
            return Some(Err(RaiseError::OutOfStack));
        }
        border.set_room(room);
        border.open::<P>();
        let found = find();
        let is_found = found.is_some();
        // What is found in here lives until the border closes; nobody answers for what is not found.
        let (plan, args) =
            found.map_or((Plan::empty(), ptr::null()), |(event, args)| (event.published.plan(), args));
        border.set_plan(plan);
        // SAFETY: the plan is that event's, and was found inside; the arguments are its own.
        let word = unsafe { Plan::run(plan, args, border) };
        Border::close::<P>(below);
        if border.is_quiet() {
            // SAFETY: anything is a value of this type.
            return Some(Ok(unsafe { word.take() }));
        }
        match border.look_back::<P>(word) {
            // SAFETY: as above.
            None => Some(Ok(unsafe { border.kept().take() })),
            Some(why) => is_found.then_some(Err(why)),
        }
    }
}
