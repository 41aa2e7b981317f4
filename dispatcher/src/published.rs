//! What raises run now: the words that a change of an event replaces.
//!
//! While nothing but the intrinsic handler stands on an event, raises look at one flag and call it.
//! Otherwise they look at the plan, inside a border. A raise that has seen the flag set may be late: by the
//! time it looks at the plan the last handler may be gone. So there always is a plan for those: the event's
//! own *home*, which does what the flag would have said.
//!
//! Each change takes effect in one instant: the store of the flag where nothing was planned before, and the
//! store of the plan otherwise. Readers never see a mixture, because each uses one of the two and no more.

use core::ptr;

use crate::word::{AtomicBool, AtomicPtr, Ordering};

/// A flag and a plan.
pub(crate) struct Published<T> {
    /// Is there anything but the intrinsic handler?
    pub(crate) is_planned: AtomicBool,
    /// What raises run who find that there is.
    pub(crate) plan: AtomicPtr<T>,
}

impl<T> Published<T> {
    /// The plan, for a raise that has found that there is one, and is inside.
    #[inline(always)]
    pub(crate) fn plan(&self) -> *mut T {
        // Acquire: pairs with the Release in `publish`; the plan's contents are there.
        self.plan.load(Ordering::Acquire)
    }

    /// Makes raises run `plan`, or what is at `home` if that is the plan. By one writer at a time. What they
    /// ran until now comes back, if it was anything else.
    pub(crate) fn publish(&self, plan: *mut T, home: *mut T) -> Option<*mut T> {
        // Relaxed: it is written by the one writer.
        let was_planned = self.is_planned.load(Ordering::Relaxed);
        // Release: the plan is complete when it can be found (Acquire in `plan`).
        let old = self.plan.swap(plan, Ordering::AcqRel);
        // Release: whoever finds it set finds this plan or a later one.
        self.is_planned.store(!ptr::eq(plan, home), Ordering::Release);
        was_planned.then_some(old)
    }
}
