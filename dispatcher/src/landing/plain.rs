//! Where frames cannot be dropped: a plain call, and a cut that cannot be made.

use crate::{border::Border, handler::Code};

/// # Safety
///
/// As for [`super::land`].
pub(super) unsafe fn land(
    _border: *const Border,
    code: Code,
    closure: *const (),
    args: *const (),
    result: *mut (),
) -> usize {
    // SAFETY: the caller vouches for the four of them.
    unsafe { code(closure, args, result) };
    0
}

/// # Safety
///
/// None is needed: it does nothing but stop.
pub(super) unsafe fn cut(_border: *mut Border) -> ! {
    unimplemented!("no landing for this processor can be cut")
}
