//! A carrier: the strand on which a package is asked, and on whose time its strands run.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{
    ExitReason, Next, Package, Reservation, Seat, Why,
    carried::{self, Claim},
    hold::Held,
    seat,
};
use crate::{
    machine::Machine,
    strand::Strand,
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
    Carrier { package, seat, this: current::<M>(), meter: Meter::new(package), watched_ns: 0, lag: None }
        .run();
    package.leave_seat(seat);
}

struct Carrier<'a, M: Machine> {
    package: &'a Arc<Package<M>>,
    seat: &'a Seat<M>,
    this: Arc<Strand<M>>,
    meter: Meter,
    /// When it last looked who waits for too long.
    watched_ns: u64,
    /// Since when it waits for a strand that is leaving another core, and how long the next pause is.
    lag: Option<(u64, u64)>,
}

impl<M: Machine> Carrier<'_, M> {
    fn run(&mut self) {
        while !self.package.is_ejected() {
            let first = self.seat.take_first();
            if first != 0 {
                // Before anything is told, and for as long as it takes to leave the package's code: the package
                // may be locked till then. What it takes too much of its budget it has less in the next round.
                self.go(first, None);
                continue;
            }
            self.seat.deliver(self.package);
            let now = M::now_ns();
            let limit = match self.meter.left(now, self.this.run_ns()) {
                Left::Nothing { until } => {
                    block_until::<M>(until);
                    continue;
                }
                Left::Until(limit) => limit,
            };
            self.watch(now);
            let next = match self.seat.take_wanted() {
                0 => self.ask(),
                handle => Some(Next::Run(handle)),
            };
            match next {
                None => {}
                Some(Next::Idle) => self.rest(None),
                Some(Next::IdleUntil(deadline)) => self.rest(Some(deadline)),
                Some(Next::Run(handle)) => self.go(handle, limit),
                Some(Next::RunUntil(handle, until)) => {
                    self.go(handle, Some(limit.map_or(until, |limit| limit.min(until))));
                }
            }
        }
    }

    fn ask(&self) -> Option<Next> {
        // Said before it is asked: whoever brings the package work after it has answered wakes this one.
        self.package.set_idle(self.seat.core());
        let next = M::raise_resume(self.package, self.seat.core());
        if next.is_err() {
            self.package.eject_for_silence(self.seat.core(), 0);
        }
        next.ok()
    }

    /// The package has nobody to run.
    fn rest(&self, deadline: Option<u64>) {
        // Notices that came while the package was asked have called this one, or are seen here. Those of other seats
        // would wait for whoever runs there, though this core has time for them.
        if self.package.has_notices() {
            self.package.deliver_elsewhere(self.seat.core());
        } else if !self.package.is_ejected() {
            let watch =
                self.package.has_waiting().then(|| M::now_ns() + self.package.grant().patience_ns / 4);
            match [deadline, watch].into_iter().flatten().min() {
                Some(deadline) => block_until::<M>(deadline),
                None => block::<M>(),
            }
        }
        self.package.take_idle(self.seat.core());
    }

    fn go(&mut self, handle: u64, limit: Option<u64>) {
        self.package.take_idle(self.seat.core());
        match carried::claim(self.package, handle) {
            Claim::Yours(strand) => {
                self.lag = None;
                M::masked(|| {
                    if self.is_called_off(&strand) {
                        seat::checkpointed(strand, Some(Why::Recalled));
                    } else {
                        switch::carry::<M>(strand, limit);
                    }
                });
            }
            // Asked again.
            Claim::Gone => {}
            Claim::NotYet => self.lag(handle),
            Claim::Never(why) => self.package.eject(why, self.seat.core(), handle),
        }
    }

    /// Would it be recalled at once? The interrupt may have come already, while the package was asked, and found
    /// nobody to take the core from. Interrupts masked: one that comes later finds it.
    fn is_called_off(&self, strand: &Strand<M>) -> bool {
        let has_news = self.package.grant().is_prompt && self.seat.has_notices();
        self.package.is_ejected() || has_news && !carried::is_in_own(strand)
    }

    /// The strand is on another core: just leaving it, if the package is honest.
    fn lag(&mut self, handle: u64) {
        let now = M::now_ns();
        let (since, pause) = self.lag.unwrap_or((now, FIRST_PAUSE_NS));
        if now - since > LONGEST_WAIT_NS {
            self.package.eject(ExitReason::RunsElsewhere, self.seat.core(), handle);
            return;
        }
        self.lag = Some((since, (pause * 2).min(LONGEST_PAUSE_NS)));
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
    /// Which period it is, and what the carrier had run when it began.
    period: u64,
    mark_ns: u64,
}

/// What is left of a period's budget.
enum Left {
    /// Nothing, until then.
    Nothing { until: u64 },
    /// As much as lasts until then, if there is an end to it.
    Until(Option<u64>),
}

impl Meter {
    fn new<M: Machine>(package: &Package<M>) -> Self {
        Self { reservation: package.grant().reservation, period: u64::MAX, mark_ns: 0 }
    }

    fn left(&mut self, now: u64, run_ns: u64) -> Left {
        let Some(Reservation { budget_ns, period_ns }) = self.reservation else {
            return Left::Until(None);
        };
        let period = now / period_ns;
        if period != self.period {
            (self.period, self.mark_ns) = (period, run_ns);
        }
        let end = (period + 1) * period_ns;
        match budget_ns.saturating_sub(run_ns - self.mark_ns) {
            0 => Left::Nothing { until: end },
            // The next period brings a new budget, so the end of this one is soon enough.
            left => Left::Until(Some((now + left).min(end))),
        }
    }
}
