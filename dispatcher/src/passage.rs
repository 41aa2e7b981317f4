//! Passages outside of events: a call of a domain's procedure, or a strand's start in it.

use core::mem::MaybeUninit;

use crate::{
    border::{BASE, Border},
    domain::DomainState,
    event::RaiseError,
    handler::Code,
    landing,
    plan::Entry,
    processor::Processor,
};

/// Why a procedure of a domain was not run to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnterError {
    /// The domain lets nobody in any more.
    Closed,
    /// Less than [`LEAST_STACK`](crate::plan::LEAST_STACK) is left.
    OutOfStack,
    /// It failed on the way.
    Cut,
}

/// What a passage outside of events is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// A call on a strand that does other things too.
    Call,
    /// All that the strand is for. Its border carries a landing but does not count as inside: the
    /// domain is kept by the strand's entry in its ledger, not by an epoch.
    Base,
}

/// Calls a procedure of a domain outside of any event.
///
/// # Errors
///
/// See [`EnterError`].
///
/// # Safety
///
/// `code` is callable with these three, and the domain's code stays while it is open or somebody is
/// inside, or asleep in it.
pub unsafe fn enter<P: Processor>(
    passage: Passage,
    domain: &DomainState,
    code: Code,
    closure: *const (),
    args: *const (),
    result: *mut (),
) -> Result<(), EnterError> {
    let entry = Entry::procedure(domain, code, closure);
    let below = P::top();
    let tagged = below.map_addr(|address| address | if passage == Passage::Base { BASE } else { 0 });
    let mut place = MaybeUninit::uninit();
    let border = Border::of_entry(&mut place, tagged, &raw const entry);
    border.set_room(result);
    border.open::<P>();
    let outcome = if P::has_room(border) {
        // The landing asks whether the domain is open, inside: whoever finds it open there is waited
        // for by the grace period after its closing, even if preempted before the next instruction.
        // SAFETY: passed on; the result has a room of its own.
        unsafe { landing::land_wide(&raw const entry, args, border) };
        border.release_entry::<P>();
        match border.take_failure() {
            None => Ok(()),
            Some(RaiseError::NoHandler) => Err(EnterError::Closed),
            Some(_) => Err(EnterError::Cut),
        }
    } else {
        Err(EnterError::OutOfStack)
    };
    Border::close::<P>(below);
    border.settle::<P>();
    outcome
}
