//! Counted references on what is published: the publisher's, and one for each border that sleeps.
//!
//! The publisher's is given up by the housekeeper after a grace period, so nobody takes a new one from
//! then on; whoever gives up the last after that hands the object to the housekeeper again, who alone
//! destroys.

use crate::primitive::{AtomicUsize, Ordering};

/// The count.
pub(crate) struct References(AtomicUsize);

impl References {
    /// The publisher's alone.
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(1))
    }

    /// Takes one. The object is kept alive meanwhile: by an epoch, or by another reference.
    pub(crate) fn hold(&self) {
        // Relaxed: whoever counts down to zero got here through a reference of ours, or after a grace
        // period.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up one that `hold` took; true says that it was the last of all, and that the object must
    /// go to the housekeeper.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // AcqRel: the last one to release sees all that the others did with the object.
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The housekeeper has the object, a grace period after it was retired or released by the last:
    /// should he destroy it now? If not, the last of those who hold it will send it again.
    #[must_use]
    pub(crate) fn finish(&self) -> bool {
        // Zero already: the last sleeper sent it here. Otherwise the publisher's is given up.
        // Acquire and AcqRel: as in `release`.
        self.0.load(Ordering::Acquire) == 0 || self.release()
    }
}
