//! Landings: a call into foreign code that can be cut short.
//!
//! `land` calls a foreign procedure and remembers, in the border's record, the stack pointer from
//! which it can be left at once. [`cut`] goes back there: the frames above are gone, no destructor
//! of theirs runs, and the border says [`RaiseError::Cut`]. Who may be cut, and
//! when, is decided by the domain's owner; the rules stand in the design under "Termination".
//!
//! The System V x86-64 form saves the six callee-saved registers and nothing else. Where there is no
//! such form (other processors, Miri, loom) calls are plain and nothing can be cut.

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
use self::x86_64 as arch;

#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
mod plain;
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
use self::plain as arch;

/// Enters foreign code of an entry whose result is a word at most: the form in which a raise calls it.
/// If its domain is closed, the border says so instead.
pub(crate) use arch::land;
/// As `land`, for any result: it goes where the border's room points.
pub(crate) use arch::land_wide;

/// Is the word set? With acquire ordering. The straight way on is the one with no.
pub(crate) use arch::is_set;
/// The border that is being made there; what was not written of it is set to anything.
pub(crate) use arch::settle;

/// Are these bits of the border's plan word clear? In as few instructions as it takes, where that can
/// be said.
pub(crate) use arch::is_clear;

use crate::{border::Border, event::RaiseError};

/// Leaves the code that was entered through `border`, from anywhere above it on the same stack.
///
/// # Safety
///
/// - `border` is open on the running strand, with a landing in progress, and it is the innermost
///   one: [`Processor::top`](crate::Processor::top) points to it.
/// - No frame above the landing holds anything that must be released: they are all the domain's own,
///   or say so.
pub unsafe fn cut(border: *mut Border) -> ! {
    // SAFETY: open, by the contract.
    unsafe { &*border }.fail(RaiseError::Cut);
    // SAFETY: passed on.
    unsafe { arch::cut(border) }
}

/// The domain was closed: as if the handler were not there.
extern "C" fn refuse(border: &Border) {
    border.fail(RaiseError::NoHandler);
}
