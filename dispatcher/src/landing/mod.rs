//! Landings: a call into foreign code that can be cut short.
//!
//! `land` calls a handler's code and remembers, in the border's record, the stack pointer from
//! which it can be left at once. [`cut`] goes back there: the frames above are gone, no destructor
//! of theirs runs, and `land` returns `false`. Who may be cut, and when, is decided by the domain's
//! owner; the rules stand in the design under "Termination".
//!
//! The System V x86-64 form saves the six callee-saved registers and nothing else: about a dozen
//! instructions more than the call itself. Where there is no such form (other processors, Miri,
//! loom) calls are plain and nothing can be cut.

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
use self::x86_64 as arch;

#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
mod plain;
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
use self::plain as arch;

use crate::{border::Border, handler::Code};

/// Calls `code(closure, args, result)` through `border`; `false` says that it was cut, and that
/// nothing was written that can be relied upon.
///
/// # Safety
///
/// `code` is callable with these three, as the [`Code`] of a handler of the event that is raised.
#[inline]
pub(crate) unsafe fn land(
    border: &Border,
    code: Code,
    closure: *const (),
    args: *const (),
    result: *mut (),
) -> bool {
    // SAFETY: passed on; the border outlives the call, since it is borrowed.
    unsafe { arch::land(core::ptr::from_ref(border), code, closure, args, result) == 0 }
}

/// Leaves the code that was entered through `border`, from anywhere above it on the same stack.
///
/// # Safety
///
/// - `border` is open on the running strand, with a landing in progress, and it is the innermost
///   one: [`Processor::top`](crate::Processor::top) points to it.
/// - No frame above the landing holds anything that must be released: they are all the domain's own,
///   or say so.
pub unsafe fn cut(border: *mut Border) -> ! {
    // SAFETY: passed on.
    unsafe { arch::cut(border) }
}
