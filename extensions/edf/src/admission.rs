//! Which tasks one core can take: a sufficient test, in whole numbers.
//!
//! Of each core the package has a budget Q in each period P, and does not know when in the period. In the worst case
//! it has had all of one period's at its beginning, and has that of the next at its end: after a blackout of
//! 2(P - Q) it has Q in each P. That is the periodic resource model of Shin and Lee (Periodic resource model for
//! compositional real-time guarantees, RTSS 2003), whose supply bound function is [`supply`]. Tasks of costs C,
//! periods T and deadlines D no longer than T demand, in any interval of length t, at most the sum of
//! (floor((t - D) / T) + 1) C over those whose D is at most t (Baruah, Rosier and Howell, RTSS 1990). Earliest
//! deadline first meets all deadlines if the demand is never more than the supply (theorem 1 of Shin and Lee).
//!
//! # What a machine takes that the model does not know
//!
//! Three margins, which were chosen and not derived. Under them no admitted set has missed a deadline in the tests in
//! virtual time (`cargo xtask test in_virtual_time --ring kernel`); how much narrower they could be was not measured:
//!
//! - [`JOB_NS`] is added to each cost: its release interrupts another, who is told of and resumed later.
//! - [`CUT_NS`] is taken from each budget: at the end of a budget, and of a period, whoever runs is told of and resumed.
//! - [`LATE_NS`] is added to the blackout: timers go off late, where interrupts are masked, or where the strand that
//!   runs is in the package's code or in a part of the kernel that is not preempted; and now and then 50 us go to one that
//!   was forgotten.

/// What is reserved of each core.
pub const PERIOD_NS: u64 = 2_000_000;
/// See [`PERIOD_NS`].
pub const BUDGET_NS: u64 = 1_600_000;
/// See the head of this file.
pub const JOB_NS: u64 = 40_000;
/// See the head of this file.
pub const CUT_NS: u64 = 40_000;
/// See the head of this file.
pub const LATE_NS: u64 = 110_000;

/// What can be counted on in each period.
const SURE_NS: u64 = BUDGET_NS - CUT_NS;
/// Shares of a core are counted in so many parts.
const WHOLE: u64 = 1 << 20;
/// What can be promised of a core in all.
const MOST: u64 = SURE_NS * WHOLE / PERIOD_NS;
/// For how long there may be nothing.
const BLACKOUT_NS: u64 = 2 * (PERIOD_NS - SURE_NS) + LATE_NS;
/// More points in time than these are not looked at: the set is refused.
const MOST_POINTS: u64 = 4_096;

/// A task: in each period a cost, within a deadline no longer than the period. In nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    pub period: u64,
    pub cost: u64,
    pub deadline: u64,
}

impl Need {
    /// With what it costs besides.
    const fn gross(&self) -> u64 {
        self.cost + JOB_NS
    }

    /// Its part of a core, rounded up.
    const fn share(&self) -> u64 {
        (self.gross() * WHOLE).div_ceil(self.period)
    }

    /// The most that it demands in an interval of that length.
    const fn demand(&self, length: u64) -> u64 {
        match length.checked_sub(self.deadline) {
            Some(rest) => (rest / self.period + 1) * self.gross(),
            None => 0,
        }
    }
}

/// The least that the package has of a core in any interval of that length.
pub const fn supply(length: u64) -> u64 {
    match length.checked_sub(BLACKOUT_NS) {
        Some(rest) => {
            let last = rest % PERIOD_NS;
            rest / PERIOD_NS * SURE_NS + if last < SURE_NS { last } else { SURE_NS }
        }
        None => 0,
    }
}

/// What is promised to nobody beside these, in thousandths of a core.
pub fn left(needs: &[Need]) -> u64 {
    MOST.saturating_sub(needs.iter().map(Need::share).sum()) * 1_000 / WHOLE
}

/// Do these meet their deadlines on one core?
pub fn fit(needs: &[Need]) -> bool {
    let share: u64 = needs.iter().map(Need::share).sum();
    if share >= MOST {
        return false;
    }
    // The supply is at least MOST (t - blackout - what of a period its steps are behind), the demand at most
    // share t + the sum of its tasks' shares of (period - deadline): from where these lines meet there is no miss.
    let behind = BLACKOUT_NS * MOST;
    let ahead: u64 = needs.iter().map(|need| need.share() * (need.period - need.deadline)).sum();
    let end = (behind + ahead) / (MOST - share) + 1;
    let points: u64 = needs.iter().map(|need| end / need.period + 1).sum();
    if points > MOST_POINTS {
        return false;
    }
    // Demand grows at deadlines only.
    needs.iter().all(|need| {
        (need.deadline..=end.max(need.deadline))
            .step_by(need.period as usize)
            .all(|length| needs.iter().map(|need| need.demand(length)).sum::<u64>() <= supply(length))
    })
}

/// The highest cost that `need`, which comes last of these, could have beside the others; zero for none.
pub fn most(needs: &mut [Need]) -> u64 {
    let Some(last) = needs.len().checked_sub(1) else { return 0 };
    let (mut low, mut high) = (0, needs[last].deadline);
    // To a microsecond.
    while high - low > 1_000 {
        let middle = low + (high - low) / 2;
        needs[last].cost = middle;
        if fit(needs) { low = middle } else { high = middle }
    }
    low
}
