//! What a package gets.

use core::fmt;

use dispatcher::epoch::MOST_CORES;

use crate::strand::{CoreSet, Priority};

/// How long a strand of which the package was told may wait while the package's virtual processors have cores, in
/// nanoseconds: after that the package is ejected.
pub const PATIENCE_NS: u64 = 4_000_000_000;

/// Of each core so much may be reserved, in thousandths: the rest is for those who have reserved nothing,
/// the kernel's own strands among them.
pub const MOST_RESERVED: u64 = 900;

/// The shortest and the longest period of a reservation, in nanoseconds.
pub const SHORTEST_PERIOD_NS: u64 = 1_000_000;
/// See [`SHORTEST_PERIOD_NS`].
pub const LONGEST_PERIOD_NS: u64 = 1_000_000_000;

/// So long may a strand in its package's own code, where it may have a lock of the package's, keep the core after its
/// budget was used up, in nanoseconds. Then it loses it all the same, and goes on when all but that much of what it took
/// was made up for.
pub const OWN_GRACE_NS: u64 = 100_000_000;

/// Time on a core that a virtual processor can count on: so much in each period. Periods begin at multiples
/// of their length since boot, on all cores alike; what is not used up in one is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Nanoseconds in each period.
    pub budget_ns: u64,
    /// The length of a period, in nanoseconds.
    pub period_ns: u64,
}

impl Reservation {
    /// Its part of a core in thousandths, rounded up.
    #[must_use]
    pub fn share(&self) -> u64 {
        (self.budget_ns * 1_000).div_ceil(self.period_ns.max(1))
    }
}

/// What a package asks for, and then has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The cores on which it has virtual processors.
    pub cores: CoreSet,
    /// The priority of its carriers. With a reservation it is [`Priority::HIGH`], so that the time that was
    /// promised is there; that is safe because it is bounded.
    pub priority: Priority,
    /// Time that it can count on, on each of its cores.
    pub reservation: Option<Reservation>,
    /// A notice takes the core from the strand that is running there, if no virtual processor is idle, instead of
    /// waiting until that one blocks or its slice ends.
    pub is_prompt: bool,
    /// [`PATIENCE_NS`], or less.
    pub patience_ns: u64,
}

impl Grant {
    /// Virtual processors on these cores, of normal priority, with nothing reserved.
    #[must_use]
    pub const fn on(cores: CoreSet) -> Self {
        Self {
            cores,
            priority: Priority::NORMAL,
            reservation: None,
            is_prompt: false,
            patience_ns: PATIENCE_NS,
        }
    }

    /// With so much reserved on each core.
    #[must_use]
    pub const fn reserving(self, reservation: Reservation) -> Self {
        Self { reservation: Some(reservation), priority: Priority::HIGH, ..self }
    }

    /// Is it in itself sound, for the cores that there are?
    pub(super) fn check(&self, has_core: impl Fn(usize) -> bool) -> Result<(), GrantError> {
        if !(0..MOST_CORES).any(|core| self.cores.has(core) && has_core(core)) {
            return Err(GrantError::NoSuchCore);
        }
        match self.reservation {
            None => Ok(()),
            Some(reservation) => {
                let period = SHORTEST_PERIOD_NS..=LONGEST_PERIOD_NS;
                if !period.contains(&reservation.period_ns)
                    || reservation.budget_ns == 0
                    || reservation.budget_ns > reservation.period_ns
                {
                    return Err(GrantError::BadReservation);
                }
                Ok(())
            }
        }
    }
}

/// Why it was not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantError {
    /// None of the cores exists.
    NoSuchCore,
    /// The period is too short or too long, or the budget none or more than it.
    BadReservation,
    /// So much of this core is not left.
    Exhausted {
        /// The core.
        core: usize,
        /// What is left of it, in thousandths.
        left: u64,
    },
}

impl fmt::Display for GrantError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCore => {
                out.write_str("none of the cores that were asked for exists: `cores` lists those that do")
            }
            Self::BadReservation => write!(
                out,
                "a reservation's period is {} to {} ms, and its budget some of that",
                SHORTEST_PERIOD_NS / 1_000_000,
                LONGEST_PERIOD_NS / 1_000_000
            ),
            Self::Exhausted { core, left } => {
                write!(out, "of core {core} only {left} thousandths are left to reserve: ask for less")
            }
        }
    }
}

impl core::error::Error for GrantError {}
