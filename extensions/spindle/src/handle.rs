//! What strands are called.

use crate::{interface::signature_hash, plain::Plain};

/// A strand that can be named: a capability, which no safe code can make up. It goes on naming that strand, and
/// nobody else, when that is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Strand(u64);

// SAFETY: a number, and zero, which names nobody, is one of its values.
unsafe impl Plain for Strand {
    const SHAPE: u64 = signature_hash("Strand", &[(u64::SHAPE as usize, 0)]);
}

impl Strand {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// The strand that the kernel knows by that word.
    pub(crate) const fn of(word: u64) -> Self {
        Self(word)
    }

    /// The word by which the kernel knows it.
    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    /// Is it nobody?
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
