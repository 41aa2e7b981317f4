//! Time bounds: who may run until when.
//!
//! A bounded handler's deadline stands in the border of the raise, and counts its strand's own time:
//! while the strand is off its core the deadline moves along. The machine looks at each tick
//! ([`is_late`]) and cuts foreign code that is; how long a tick is, is the granularity of all bounds.

use crate::{border::outwards, processor::Processor};

/// Does the running strand run anything with a bound? Also from an interrupt.
pub fn is_bounded<P: Processor>() -> bool {
    // SAFETY: the running strand's own borders; it is interrupted, or runs this.
    unsafe { outwards(P::top()) }.any(|border| border.deadline().is_some())
}

/// Has the time passed of what the running strand runs now, through its innermost border? Also from an
/// interrupt.
pub fn is_late<P: Processor>() -> bool {
    // SAFETY: as above.
    let innermost = unsafe { outwards(P::top()) }.next();
    innermost.and_then(|border| border.deadline()).is_some_and(|deadline_ns| P::now_ns() >= deadline_ns)
}

/// The strand was off its core for so long.
pub(crate) fn extend<P: Processor>(by_ns: u64) {
    // SAFETY: the running strand's own borders, and it runs this.
    unsafe { outwards(P::top()) }.for_each(|border| border.extend(by_ns));
}
