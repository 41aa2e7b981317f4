//! How urgent a strand is, and where it may run; both can change while it lives.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// How urgent a strand is: 0 to 31, the greater the sooner. A runnable strand of higher priority
/// takes the core from one of lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Priority(u8);

impl Priority {
    /// The number of priorities.
    pub const COUNT: usize = 32;
    /// For work that nobody waits for.
    pub const LOW: Self = Self(8);
    /// For all that says nothing else.
    pub const NORMAL: Self = Self(16);
    /// For those whom people wait for.
    pub const HIGH: Self = Self(24);
    /// For the housekeeper, without whom memory does not come back.
    pub const HOUSEKEEPER: Self = Self(30);

    /// The priority of that number; what is too high becomes the highest.
    #[must_use]
    #[inline]
    pub const fn new(number: u8) -> Self {
        Self(if number < Self::COUNT as u8 { number } else { Self::COUNT as u8 - 1 })
    }

    /// Its number.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// For how long a strand keeps its core while equals wait, in nanoseconds. The urgent are short of
    /// breath, so that equals among them answer soon; those for whom nobody waits run long, so that the
    /// caches they have warmed are of use.
    ///
    /// | priority | quantum |
    /// | --- | --- |
    /// | 24 to 31, from [`HIGH`](Self::HIGH) on | 5 ms |
    /// | 16 to 23, from [`NORMAL`](Self::NORMAL) on | 10 ms |
    /// | 8 to 15, from [`LOW`](Self::LOW) on | 20 ms |
    /// | 0 to 7 | 40 ms |
    #[must_use]
    #[inline]
    pub const fn quantum_ns(self) -> u64 {
        40_000_000 >> (self.0 / 8)
    }
}

/// A set of cores: bit *n* is core *n*.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreSet(pub u64);

impl CoreSet {
    /// Every core.
    pub const ALL: Self = Self(u64::MAX);

    /// Just one.
    #[must_use]
    pub const fn only(core: usize) -> Self {
        Self(1 << core)
    }

    /// Is it in the set?
    #[must_use]
    #[inline]
    pub const fn has(self, core: usize) -> bool {
        self.0 >> core & 1 != 0
    }

    /// The lowest core in both sets.
    #[must_use]
    #[inline]
    pub const fn first_of(self, other: Self) -> Option<usize> {
        match self.0 & other.0 {
            0 => None,
            both => Some(both.trailing_zeros() as usize),
        }
    }

    /// The cores of the set, from the lowest on.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let rest = |cores: &u64| Some(cores & (cores - 1)).filter(|rest| *rest != 0);
        let first = Some(self.0).filter(|cores| *cores != 0);
        core::iter::successors(first, rest).map(|cores| cores.trailing_zeros() as usize)
    }
}

/// What of a strand can change. Whoever changes something then looks where the strand stands, and
/// whoever queues it then looks here again: see [`change`](crate::change).
pub(crate) struct Attributes {
    /// The number of the priority that counts, with what was lent. Written under the lock of `loans`.
    effective: AtomicU8,
    affinity: AtomicU64,
    is_terminated: AtomicBool,
    loans: spin::Mutex<Loans>,
}

/// What a strand has of its own, and what it was lent.
struct Loans {
    base: Priority,
    /// Bit *p* is set while something of priority *p* is lent.
    levels: u32,
    counts: [u16; Priority::COUNT],
}

impl Loans {
    #[inline]
    fn effective(&self) -> u8 {
        self.base.0.max((u32::BITS - 1).saturating_sub(self.levels.leading_zeros()) as u8)
    }
}

impl Attributes {
    pub(crate) const fn new(base: Priority, affinity: CoreSet) -> Self {
        Self {
            effective: AtomicU8::new(base.0),
            affinity: AtomicU64::new(affinity.0),
            is_terminated: AtomicBool::new(false),
            loans: spin::Mutex::new(Loans { base, levels: 0, counts: [0; Priority::COUNT] }),
        }
    }

    // Relaxed, here and below: the fences around queueing order it, see `change`.
    pub(crate) fn effective(&self) -> Priority {
        Priority(self.effective.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn affinity(&self) -> CoreSet {
        CoreSet(self.affinity.load(Ordering::Relaxed))
    }

    pub(crate) fn set_affinity(&self, affinity: CoreSet) {
        self.affinity.store(affinity.0, Ordering::Relaxed);
    }

    pub(crate) fn is_terminated(&self) -> bool {
        // Acquire: pairs with `terminate`.
        self.is_terminated.load(Ordering::Acquire)
    }

    /// Says whether it is the first time.
    pub(crate) fn terminate(&self) -> bool {
        // Release: whoever learns of it sees what came before.
        !self.is_terminated.swap(true, Ordering::AcqRel)
    }

    /// Interrupts masked, as for the next three.
    pub(crate) fn base(&self) -> Priority {
        self.loans.lock().base
    }

    pub(crate) fn set_base(&self, priority: Priority) {
        let mut loans = self.loans.lock();
        loans.base = priority;
        self.effective.store(loans.effective(), Ordering::Relaxed);
    }

    pub(crate) fn lend(&self, priority: Priority) {
        let mut loans = self.loans.lock();
        let level = usize::from(priority.0);
        loans.counts[level] = loans.counts[level].checked_add(1).expect("nobody lends so often");
        loans.levels |= 1 << level;
        self.effective.store(loans.effective(), Ordering::Relaxed);
    }

    pub(crate) fn take_back(&self, priority: Priority) {
        let mut loans = self.loans.lock();
        let level = usize::from(priority.0);
        loans.counts[level] = loans.counts[level].checked_sub(1).expect("what is taken back was lent");
        if loans.counts[level] == 0 {
            loans.levels &= !(1 << level);
        }
        self.effective.store(loans.effective(), Ordering::Relaxed);
    }
}
