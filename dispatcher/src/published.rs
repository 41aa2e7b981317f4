//! What raises run now: the words that a change of an event replaces.
//!
//! While nothing but the intrinsic handler stands on an event, raises look at one flag and call it.
//! Otherwise they look at the plan, inside a border. A raise that has seen the flag set may be late: by the
//! time it looks at the plan the last handler may be gone. So there always is a plan for those: the event's
//! own *home*, which does what the flag would have said.
//!
//! Each change takes effect in one instant, for those too who are late: when the plan is stored. Before the
//! first handler comes the flag sends raises to the home, and after the last has gone the flag spares them
//! the way. Readers never see a mixture, because each runs one plan or none.

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

    /// Makes raises run `plan`, or what is at `home` if that is the plan. By one writer at a time, each of
    /// whom comes after the one before. What they ran until now comes back, if it was anything else.
    pub(crate) fn publish(&self, plan: *mut T, home: *mut T) -> Option<*mut T> {
        let goes_home = ptr::eq(plan, home);
        // Relaxed: it is written by writers alone.
        if !self.is_planned.load(Ordering::Relaxed) {
            if goes_home {
                return None;
            }
            // Relaxed: null at first and the home ever after. The home is there as long as the event.
            self.plan.store(home, Ordering::Relaxed);
            // Release: whoever finds it set (Acquire) finds the home or a later plan, and not null.
            self.is_planned.store(true, Ordering::Release);
        }
        // Release: the plan is complete when it can be found (Acquire in `plan`), and whoever has found it
        // finds the flag set from then on.
        let old = self.plan.swap(plan, Ordering::Release);
        if goes_home {
            // Release: whoever finds it unset (Acquire) finds the intrinsic handler that goes with that.
            self.is_planned.store(false, Ordering::Release);
        }
        (!ptr::eq(old, home)).then_some(old)
    }
}
