//! A carrier: the strand on which a package is asked, and on whose time its strands run.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{
    ExitReason, Next, Package, Reservation, Seat, Why,
    carried::{self, Claim},
    grant::OWN_GRACE_NS,
    hold::Held,
    seat,
};
use crate::{
    machine::Machine,
    strand::{State, Strand},
    switch,
    wait::{block, block_until, current},
};

/// How long a carrier waits, at first and at most, for a strand that is just leaving another core, in
/// nanoseconds.
const FIRST_PAUSE_NS: u64 = 20_000;
/// See [`FIRST_PAUSE_NS`].
const LONGEST_PAUSE_NS: u64 = 2_000_000;
/// And how long in all before it takes the package for a liar: longer than a host leaves a virtual core
/// without a processor.
const LONGEST_WAIT_NS: u64 = 1_000_000_000;

/// What the carrier of core `core` does all its life.
pub(super) fn carry<M: Machine>(package: &Arc<Package<M>>, core: usize) {
    let seat = package.seat(core).expect("a carrier has a seat");
    let (this, meter) = (current::<M>(), Meter::new(package.grant().reservation));
    // By itself: before it can sleep it can be called.
    seat.set_carrier(this.clone());
    Carrier { package, seat, this, meter, until: None, watched_ns: 0, lag: None, owed: 0 }.run();
    package.leave_seat(seat);
}

/// A wait for a strand that is on another core, in nanoseconds.
struct Lag {
    /// For how long it was seen to run there. One that waits there for its core, with all that it was about to do, is
    /// nobody's fault.
    ran_ns: u64,
    /// When it was looked at last.
    looked_ns: u64,
    /// How long the next pause is.
    pause_ns: u64,
}

struct Carrier<'a, M: Machine> {
    package: &'a Arc<Package<M>>,
    seat: &'a Seat<M>,
    this: Arc<Strand<M>>,
    meter: Meter,
    /// Until when the package wants whom it named last, and those to whom that one hands over, to run.
    until: Option<u64>,
    /// When it last looked who waits for too long.
    watched_ns: u64,
    /// That it waits for a strand that is leaving another core.
    lag: Option<Lag>,
    /// So many strands wait in the package for somebody to ask, and this carrier is the one who knows.
    owed: usize,
}

impl<M: Machine> Carrier<'_, M> {
    fn run(&mut self) {
        while !self.package.is_ejected() {
            if self.seat.first() != 0 {
                // Before anything is told: the package may be locked until it has left the package's code. What it
                // takes too much of its budget it has less later, or it waits until most of that is made up for.
                let now = M::now_ns();
                match self.meter.left(now, self.this.run_ns()) {
                    Left::Nothing { until } if self.meter.is_overdrawn() => block_until::<M>(until),
                    Left::Nothing { .. } => self.go_on(Some(now)),
                    Left::Until(limit) => self.go_on(limit),
                }
                continue;
            }
            self.owed += self.seat.deliver(self.package);
            let now = M::now_ns();
            let limit = match self.meter.left(now, self.this.run_ns()) {
                Left::Nothing { until } => {
                    self.package.wake_some(core::mem::take(&mut self.owed));
                    block_until::<M>(until);
                    continue;
                }
                Left::Until(limit) => limit,
            };
            self.watch(now);
            let next = match self.seat.take_wanted() {
                0 => self.ask(),
                // Named before: what was said of it then holds still.
                handle => Some(self.until.map_or(Next::Run(handle), |until| Next::RunUntil(handle, until))),
            };
            match next {
                None => {}
                Some(Next::Idle) => self.rest(None),
                Some(Next::IdleUntil(deadline)) => self.rest(Some(deadline)),
                Some(Next::Run(handle)) => self.go(handle, None, limit),
                Some(Next::RunUntil(handle, until)) => self.go(handle, Some(until), limit),
            }
        }
    }

    fn ask(&mut self) -> Option<Next> {
        // Said before it is asked: whoever brings the package work after it has answered wakes this one.
        self.package.set_idle(self.seat.core());
        // Whoever recalled it before this has his wish.
        let _ = self.seat.take_recall();
        let next = M::raise_resume(self.package, self.seat.core());
        match next {
            Ok(Next::Run(_) | Next::RunUntil(..)) => {
                // For one of those of whom it has told it has asked itself.
                self.owed = self.owed.saturating_sub(1);
                // Who has taken that back since counts on this one, and it has asked too early.
                self.owed += usize::from(!self.package.take_idle(self.seat.core()));
            }
            Ok(_) => self.owed = 0,
            Err(_) => self.package.eject_for_silence(self.seat.core(), 0),
        }
        next.ok()
    }

    /// The package has nobody to run.
    fn rest(&mut self, deadline: Option<u64>) {
        // Notices that came while the package was asked have called this one, or are seen here. Those of other seats
        // would wait for whoever runs there, though this core has time for them.
        if !self.package.has_notices() && !self.package.is_ejected() {
            let watch =
                self.package.has_waiting().then(|| M::now_ns() + self.package.grant().patience_ns / 4);
            match [deadline, watch].into_iter().flatten().min() {
                Some(deadline) => block_until::<M>(deadline),
                None => block::<M>(),
            }
        }
        self.package.take_idle(self.seat.core());
        self.owed += self.package.deliver_elsewhere(self.seat.core());
    }

    fn go(&mut self, handle: u64, until: Option<u64>, limit: Option<u64>) {
        self.package.wake_some(core::mem::take(&mut self.owed));
        self.until = until;
        match carried::claim(self.package, handle) {
            Claim::Yours(strand) => {
                self.lag = None;
                self.carry(strand, limit);
            }
            // Asked again.
            Claim::Gone => self.lag = None,
            Claim::NotYet => self.lag(handle),
            Claim::Never(why) => self.package.eject(why, self.seat.core(), handle),
        }
    }

    /// Goes over to the strand that has lost the core in the package's own code, which has been this seat's since.
    fn go_on(&self, limit: Option<u64>) {
        if let Some(strand) = M::scheduler().directory().get(self.seat.take_first()) {
            self.carry(strand, limit);
        }
    }

    fn carry(&self, strand: Arc<Strand<M>>, limit: Option<u64>) {
        // One that is past means now: what goes on in the package's own code counts its grace from there.
        let limit = limit.into_iter().chain(self.until).min().map(|limit| limit.max(M::now_ns()));
        M::masked(|| {
            // What calls it off may have come already, while the package was asked, and found nobody to take the
            // core from. What comes later finds it, since interrupts are masked. For news it does not even begin;
            // but one that the package itself has recalled has a moment, or a package that recalls whenever it is
            // asked would never run anybody, nor seem to starve him.
            let has_news = self.package.grant().is_prompt && self.seat.has_notices();
            if (self.package.is_ejected() || has_news) && !carried::is_in_own(&strand) {
                seat::checkpointed(strand, Some(Why::Recalled), true);
            } else {
                switch::carry::<M>(strand, limit, self.seat.take_recall() || has_news);
            }
        });
    }

    /// The strand is on another core: just leaving it, if the package is honest.
    fn lag(&mut self, handle: u64) {
        let now = M::now_ns();
        let mut lag = self.lag.take().unwrap_or(Lag { ran_ns: 0, looked_ns: now, pause_ns: FIRST_PAUSE_NS });
        let strand = M::scheduler().directory().get(handle);
        if strand.is_some_and(|strand| strand.state() == State::Running) {
            lag.ran_ns += now - lag.looked_ns;
        }
        if lag.ran_ns > LONGEST_WAIT_NS {
            self.package.eject(ExitReason::RunsElsewhere, self.seat.core(), handle);
            return;
        }
        let pause = lag.pause_ns;
        self.lag = Some(Lag { looked_ns: now, pause_ns: (pause * 2).min(LONGEST_PAUSE_NS), ..lag });
        self.seat.want(handle);
        block_until::<M>(now + pause);
    }

    /// Looks, four times in the package's patience, whether somebody of whom it was told waits for too long.
    fn watch(&mut self, now: u64) {
        let patience = self.package.grant().patience_ns;
        if !self.package.has_waiting() || now - self.watched_ns < patience / 4 {
            return;
        }
        // The time without a core is not the package's fault.
        let is_first = self.watched_ns == 0 || now - self.watched_ns > patience;
        self.watched_ns = now;
        if is_first {
            return;
        }
        let mut starved = None;
        M::scheduler().directory().for_each(|strand| {
            let is_starved = |managed: &&crate::strand::Managed<M>| {
                let told_ns = managed.told_ns.load(Ordering::Relaxed);
                Arc::ptr_eq(&managed.package, self.package)
                    && managed.hold.get() == Held::Told
                    && now.saturating_sub(told_ns) > patience
            };
            if strand.managed.as_ref().filter(is_starved).is_some() {
                starved.get_or_insert(strand.handle().unwrap_or(0));
            }
        });
        if let Some(handle) = starved {
            self.package.eject(ExitReason::Starved, self.seat.core(), handle);
        }
    }
}

/// How much of its reservation a carrier has used.
struct Meter {
    reservation: Option<Reservation>,
    /// Which period it is; none before the first look.
    period: Option<u64>,
    /// What was used of this period's budget, with what was used too much before.
    used_ns: u64,
    /// When it last looked, and what the carrier had run by then.
    looked_ns: u64,
    run_ns: u64,
}

/// What is left of a period's budget.
#[derive(PartialEq, Eq, Debug)]
enum Left {
    /// Nothing, until then.
    Nothing { until: u64 },
    /// As much as lasts until then, if there is an end to it.
    Until(Option<u64>),
}

impl Meter {
    fn new(reservation: Option<Reservation>) -> Self {
        Self { reservation, period: None, used_ns: 0, looked_ns: 0, run_ns: 0 }
    }

    /// What is left at `now`, when the carrier has run for `run_ns` in its life.
    ///
    /// A carrier is not cut while it tells and asks its package, nor is a strand in the package's own code, for
    /// [`OWN_GRACE_NS`]: what they take too much is missing in the periods that follow, so that in the long run a
    /// package gets no more than it was promised.
    fn left(&mut self, now: u64, run_ns: u64) -> Left {
        let Some(Reservation { budget_ns, period_ns }) = self.reservation else {
            return Left::Until(None);
        };
        let ran = run_ns.saturating_sub(self.run_ns);
        let (period, looked_ns) = (now / period_ns, self.looked_ns);
        (self.looked_ns, self.run_ns) = (now, run_ns);
        let begun = period * period_ns;
        match self.period {
            // Nobody looked before: what it ran was its own beginning.
            None => {}
            Some(last) if last == period => self.used_ns += ran,
            Some(last) => {
                // So much of it at least was after the beginning; all that was, if it ran without a pause.
                let since = ran.saturating_sub(begun.saturating_sub(looked_ns));
                let before = self.used_ns + (ran - since);
                self.used_ns = before.saturating_sub(budget_ns.saturating_mul(period - last)) + since;
            }
        }
        self.period = Some(period);
        let end = begun + period_ns;
        match budget_ns.saturating_sub(self.used_ns) {
            0 => Left::Nothing { until: end },
            // The next period brings a new budget, so the end of this one is soon enough.
            left => Left::Until(Some((now + left).min(end))),
        }
    }

    /// Was so much taken too much, when it was looked at last, that not even a strand in the package's own code may
    /// go on?
    fn is_overdrawn(&self) -> bool {
        let budget_ns = self.reservation.map_or(u64::MAX, |reservation| reservation.budget_ns);
        self.used_ns > budget_ns.saturating_add(OWN_GRACE_NS)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Left, Meter, OWN_GRACE_NS, Reservation};

    fn meter() -> Meter {
        Meter::new(Some(Reservation { budget_ns: 40, period_ns: 100 }))
    }

    #[test]
    fn a_budget_lasts_for_a_period() {
        let mut meter = meter();
        assert_eq!(meter.left(1_000, 7), Left::Until(Some(1_040)));
        assert_eq!(meter.left(1_030, 37), Left::Until(Some(1_040)));
        assert_eq!(meter.left(1_050, 47), Left::Nothing { until: 1_100 });
        assert_eq!(meter.left(1_100, 47), Left::Until(Some(1_140)), "a new one");
        // It slept, and what it did not use is lost.
        assert_eq!(meter.left(1_390, 47), Left::Until(Some(1_400)));
        assert_eq!(meter.left(1_400, 57), Left::Until(Some(1_440)));
    }

    #[test]
    fn what_is_taken_too_much_is_missing_later() {
        let mut meter = meter();
        assert_eq!(meter.left(1_000, 0), Left::Until(Some(1_040)));
        assert_eq!(meter.left(1_070, 70), Left::Nothing { until: 1_100 });
        assert_eq!(meter.left(1_100, 70), Left::Until(Some(1_110)), "30 were paid");
        // Through the end of a period, without a pause.
        assert_eq!(meter.left(1_250, 220), Left::Nothing { until: 1_300 });
        assert_eq!(
            meter.left(1_300, 220),
            Left::Nothing { until: 1_400 },
            "190 in 140 of two, and 50 of its own"
        );
        assert_eq!(meter.left(1_900, 220), Left::Until(Some(1_940)), "paid");
    }

    #[test]
    fn a_pause_is_not_counted() {
        let mut meter = meter();
        assert_eq!(meter.left(1_050, 0), Left::Until(Some(1_090)));
        // It ran for 30 before the end, or a little after it; then slept.
        assert_eq!(meter.left(1_130, 30), Left::Until(Some(1_170)));
    }

    #[test]
    fn what_is_overdrawn_is_made_up_for() {
        let mut meter =
            Meter::new(Some(Reservation { budget_ns: OWN_GRACE_NS / 2, period_ns: OWN_GRACE_NS }));
        let _ = meter.left(0, 0);
        let _ = meter.left(OWN_GRACE_NS - 1, OWN_GRACE_NS - 1);
        assert!(!meter.is_overdrawn(), "that much is its grace");
        let _ = meter.left(2 * OWN_GRACE_NS, 2 * OWN_GRACE_NS);
        assert!(!meter.is_overdrawn(), "two halves were paid");
        let _ = meter.left(4 * OWN_GRACE_NS - 1, 4 * OWN_GRACE_NS - 1);
        assert!(meter.is_overdrawn());
        assert_eq!(
            meter.left(8 * OWN_GRACE_NS, 4 * OWN_GRACE_NS),
            Left::Until(Some(8 * OWN_GRACE_NS + OWN_GRACE_NS / 2))
        );
        assert!(!meter.is_overdrawn(), "it has slept");
    }

    #[test]
    fn without_a_reservation_there_is_no_end() {
        assert_eq!(Meter::new(None).left(5, 5), Left::Until(None));
    }
}
