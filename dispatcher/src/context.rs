//! In what context code runs, and what it may do there.
//!
//! | code | runs on | stack and time of | may block | may allocate | may raise | can be cut |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | intrinsic handler, default | the raiser's strand | the raiser | if the raiser may | yes | yes | no |
//! | handler of trusted code | the raiser's strand | the raiser | if the raiser may | yes | yes | no |
//! | handler of a domain | the raiser's strand, behind a landing | the raiser; memory of its domain | if the raiser may | yes | yes | yes |
//! | bounded handler | the raiser's strand | the raiser, until its bound | no | yes | yes | if a domain's |
//! | filter | as a handler, on the raise's copy of the arguments | as a handler | as a handler | yes | yes | if a domain's |
//! | guard's predicate | the raiser's strand | the raiser, until its handler's bound | no | no | no | if a domain's: then it is false |
//! | policy (a fold, the owner's own) | the raiser's strand | the raiser | no | no | no | no |
//! | authorizer | the strand of whoever installs | him | no | yes | no | no |
//! | report of an overrun | the raiser's strand, or the worker's | the raiser, or the worker | no | no | no | no |
//! | closure's destructor | the housekeeper | the housekeeper | no | yes | no | no |
//!
//! [`might_sleep`] is asked by whatever may block, [`might_raise`] by whatever changes or raises on
//! behalf of a domain; both look at the strand's open borders.

use core::{fmt, mem::MaybeUninit};

use crate::{
    border::{Border, outwards},
    handler::BindingId,
    plan::{Aside, Entry},
    processor::Processor,
};

/// Why something must not be done here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextError {
    /// A bounded handler is running.
    Bounded,
    /// A predicate is running.
    Predicate,
    /// The dispatcher is asking somebody who is no handler, or telling him something.
    Aside(Aside),
}

impl fmt::Display for ContextError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bounded => "a handler with a time bound must not block",
            Self::Predicate => "a guard only looks: it must not block, raise, install or remove",
            Self::Aside(Aside::Policy) => "a policy only merges: it must not block, raise, install or remove",
            Self::Aside(Aside::Authorizer) => {
                "an authorizer only decides: it must not block, raise, install or remove"
            }
            Self::Aside(Aside::Report) => "a report is told: it must not block, raise, install or remove",
            Self::Aside(Aside::Destructor) => {
                "a closure's destructor tidies up: it must not block, raise, install or remove"
            }
        })
    }
}

impl core::error::Error for ContextError {}

fn borders<P: Processor>() -> impl Iterator<Item = &'static Border> {
    // SAFETY: the running strand's own borders, and it runs this meanwhile.
    unsafe { outwards(P::top()) }
}

fn entries<P: Processor>() -> impl Iterator<Item = &'static Entry> {
    borders::<P>().filter_map(Border::entry)
}

/// May the running strand block? Cost: proportional to its open borders.
///
/// # Errors
///
/// Why not.
pub fn might_sleep<P: Processor>() -> Result<(), ContextError> {
    let forbids = |border: &Border| {
        let bounded = || border.is_bounded().then_some(ContextError::Bounded);
        border.entry().and_then(only_looks).or_else(bounded)
    };
    borders::<P>().find_map(forbids).map_or(Ok(()), Err)
}

/// May the running strand raise, install or remove? Cost as for [`might_sleep`].
///
/// # Errors
///
/// Why not.
pub fn might_raise<P: Processor>() -> Result<(), ContextError> {
    entries::<P>().find_map(only_looks).map_or(Ok(()), Err)
}

/// [`might_raise`], where only the answer counts and not the reason, by the borders from `top` outwards.
///
/// # Safety
///
/// As for [`outwards`].
#[inline]
pub(crate) unsafe fn may_raise_from(top: *mut Border) -> bool {
    // SAFETY: passed on.
    !unsafe { outwards(top) }.any(|border| border.entry().is_some_and(Entry::only_looks))
}

/// Is it something that only looks, and must change nothing?
fn only_looks(entry: &Entry) -> Option<ContextError> {
    let predicate = entry.is_predicate().then_some(ContextError::Predicate);
    predicate.or_else(|| Aside::of(entry).map(ContextError::Aside))
}

/// Runs trusted code that is no handler, outside of any raise.
pub(crate) fn set_aside<P: Processor, T>(who: Aside, body: impl FnOnce() -> T) -> T {
    let mut place = MaybeUninit::uninit();
    let below = P::top();
    let border = Border::of_aside::<P>(&mut place, below, who.entry());
    border.open::<P>();
    let result = body();
    Border::close::<P>(below);
    result
}

/// Does the running strand run in this binding?
pub(crate) fn is_in_binding<P: Processor>(id: BindingId) -> bool {
    entries::<P>().any(|entry| entry.binding().is_some_and(|binding| binding.id == id))
}
