//! Sets of cores.

use core::fmt;
use core::ops::{BitAnd, BitOr, Sub};

/// As many cores as a [`CoreSet`] can name, and so as many as are brought up.
pub const MAX_CORES: usize = 64;

/// A set of core ids, one bit each.
///
/// ```
/// use smp::CoreSet;
/// let others = CoreSet::first(8) - CoreSet::only(3);
/// assert_eq!(others.len(), 7);
/// assert!(!others.contains(3));
/// assert_eq!(others.iter().next(), Some(0));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CoreSet(u64);

impl CoreSet {
    /// No core.
    pub const EMPTY: Self = Self(0);

    /// The set whose bits are `bits`; bit n is core n.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// One bit per core; bit n is core n.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The cores 0 to `count` - 1; all of them from [`MAX_CORES`] on.
    pub const fn first(count: usize) -> Self {
        if count >= MAX_CORES { Self(u64::MAX) } else { Self((1 << count) - 1) }
    }

    /// `core` alone; empty where there can be no such core.
    pub const fn only(core: usize) -> Self {
        if core < MAX_CORES { Self(1 << core) } else { Self(0) }
    }

    /// Whether `core` is in the set.
    pub const fn contains(self, core: usize) -> bool {
        self.0 & Self::only(core).0 != 0
    }

    /// This set and `core`.
    #[must_use]
    pub const fn with(self, core: usize) -> Self {
        Self(self.0 | Self::only(core).0)
    }

    /// This set without `core`.
    #[must_use]
    pub const fn without(self, core: usize) -> Self {
        Self(self.0 & !Self::only(core).0)
    }

    /// How many cores are in it.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether none is.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its cores in rising order.
    pub fn iter(self) -> Iter {
        Iter(self.0)
    }
}

impl BitAnd for CoreSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for CoreSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Sub for CoreSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for CoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<usize> for CoreSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cores: I) -> Self {
        cores.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl IntoIterator for CoreSet {
    type Item = usize;
    type IntoIter = Iter;
    fn into_iter(self) -> Iter {
        self.iter()
    }
}

/// The cores of a [`CoreSet`] in rising order.
#[derive(Clone, Debug)]
pub struct Iter(u64);

impl Iterator for Iter {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let core = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(core)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{CoreSet, MAX_CORES};

    #[test]
    fn goes_to_the_last_bit_and_not_beyond() {
        assert_eq!(CoreSet::first(MAX_CORES).len(), MAX_CORES);
        assert_eq!(CoreSet::first(MAX_CORES + 1), CoreSet::first(MAX_CORES));
        assert!(CoreSet::first(64).contains(63));
        assert!(!CoreSet::first(63).contains(63));
        assert!(CoreSet::only(64).is_empty());
        assert!(!CoreSet::first(64).contains(64));
    }

    #[test]
    fn iterates_in_rising_order() {
        let set: CoreSet = [63, 0, 7].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7, 63]);
        assert_eq!((set - CoreSet::only(7)).len(), 2);
        assert_eq!(set & CoreSet::first(8), CoreSet::only(0).with(7));
        assert_eq!(format!("{set:?}"), "{0, 7, 63}");
    }
}
