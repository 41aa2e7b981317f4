//! In what context code runs, and what it may do there.
//!
//! | code | runs on | stack and time of | may block | may allocate | may raise | can be cut |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | intrinsic handler, default | the raiser's strand | the raiser | if the raiser may | yes | yes | no |
//! | handler of trusted code | the raiser's strand | the raiser | if the raiser may | yes | yes | no |
//! | handler of a domain | the raiser's strand, behind a landing | the raiser; memory of its domain | if the raiser may | yes | yes | yes |
//! | bounded handler | the raiser's strand | the raiser, until its bound | no | yes | yes | if a domain's |
//! | filter | as a handler, on the raise's copy of the arguments | as a handler | as a handler | yes | yes | if a domain's |
//! | guard's predicate | the raiser's strand | the raiser | no | no | no | if a domain's: then it is false |
//! | policy (a fold, the owner's own) | the raiser's strand | the raiser | no | no | no | no |
//! | authorizer | the strand of whoever installs | him | no | yes | no | no |
//! | report of an overrun | the raiser's strand | the raiser | no | no | no | no |
//! | closure's destructor | the housekeeper | the housekeeper | no | yes | no | no |
//!
//! [`might_sleep`] is asked by whatever may block, [`might_raise`] by whatever changes or raises on
//! behalf of a domain; both look at the strand's open borders.

use core::fmt;

use crate::{
    border::{Border, outwards},
    handler::BindingId,
    plan::Entry,
    processor::Processor,
};

/// Why something must not be done here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextError {
    /// A bounded handler is running.
    Bounded,
    /// A predicate is running.
    Predicate,
}

impl fmt::Display for ContextError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bounded => "a handler with a time bound must not block",
            Self::Predicate => "a guard only looks: it must not block, raise, install or remove",
        })
    }
}

impl core::error::Error for ContextError {}

fn entries<P: Processor>() -> impl Iterator<Item = &'static Entry> {
    // SAFETY: the running strand's own borders, and it runs this meanwhile.
    unsafe { outwards(P::top()) }.filter_map(Border::entry)
}

/// May the running strand block? Cost: proportional to its open borders.
///
/// # Errors
///
/// Why not.
pub fn might_sleep<P: Processor>() -> Result<(), ContextError> {
    match entries::<P>().find(|entry| !entry.may_block()) {
        None => Ok(()),
        Some(entry) if entry.is_predicate() => Err(ContextError::Predicate),
        Some(_) => Err(ContextError::Bounded),
    }
}

/// May the running strand raise, install or remove? Cost as for [`might_sleep`].
///
/// # Errors
///
/// Why not.
pub fn might_raise<P: Processor>() -> Result<(), ContextError> {
    if entries::<P>().any(Entry::is_predicate) { Err(ContextError::Predicate) } else { Ok(()) }
}

/// Does the running strand run in this binding?
pub(crate) fn is_in_binding<P: Processor>(id: BindingId) -> bool {
    entries::<P>().any(|entry| entry.binding().is_some_and(|binding| binding.id == id))
}
