//! The tasks whose strands are there, and which of them has a core when.

use alloc::collections::VecDeque;

use edf_interface::{Turn, answer};
use spindle::{
    Strand,
    package::{Next, Package},
};

use crate::{
    MOST_TASKS,
    admission::Need,
    tickets::{self, Promise},
};

/// A strand that could go on and has not for so long, in nanoseconds, gets a little of a core, whoever else wants it. It
/// happens where the machine gives less than was reserved, and where the promised jobs leave nothing; else the
/// kernel would take the package for one that forgets its strands.
const LONGEST_WAIT_NS: u64 = 1_000_000_000;
/// So little, in nanoseconds: part of what `admission` allows for.
const LITTLE_NS: u64 = 50_000;

/// What a member's strand does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// It has its core, or had when last heard of.
    Running,
    /// It could go on.
    Ready,
    /// It has done its job, and waits for its next period.
    Waiting,
    /// It waits in the kernel.
    Blocked,
}

/// A task and its strand.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    ticket: u64,
    core: u32,
    need: Need,
    strand: Strand,
    standing: Standing,
    /// When the present period of the task began.
    begun: u64,
    /// What the strand had used by then, and what is left of the cost that it was promised in this period.
    mark: u64,
    left: u64,
    /// It has blocked in this period: what is left is forfeit.
    is_forfeit: bool,
    /// When the job was released that it is at.
    release: u64,
    /// When it was last run in the background.
    turn: u64,
    /// Since when it could go on.
    since: u64,
}

impl Member {
    pub fn new(promise: &Promise, strand: Strand, now: u64, used: u64) -> Self {
        let Promise { ticket, core, need } = *promise;
        let (standing, left) = (Standing::Ready, need.cost);
        Self {
            ticket,
            core,
            need,
            strand,
            standing,
            begun: now,
            mark: used,
            left,
            is_forfeit: false,
            release: now,
            turn: 0,
            since: now,
        }
    }

    /// When the next period begins.
    const fn end(&self) -> u64 {
        self.begun + self.need.period
    }

    const fn deadline(&self) -> u64 {
        self.begun + self.need.deadline
    }

    fn is_promised(&self) -> bool {
        self.left > 0 && !self.is_forfeit
    }

    /// Begins another period, if it is time: with a new budget, and a new job if it waits for one.
    fn advance(&mut self, now: u64, used: impl FnOnce(Strand) -> u64) {
        if now < self.end() {
            return;
        }
        self.begun += (now - self.begun) / self.need.period * self.need.period;
        self.mark = used(self.strand);
        self.left = self.need.cost;
        self.is_forfeit = false;
        if self.standing == Standing::Waiting {
            self.standing = Standing::Ready;
            self.since = now;
            self.release = self.begun;
        }
    }

    /// It has left its core.
    fn charge(&mut self, used: u64) {
        self.left = self.need.cost.saturating_sub(used.saturating_sub(self.mark));
    }

    /// The job that it is at.
    pub const fn turn(&self, skipped: u64, was_met: bool) -> Turn {
        let (release_ns, deadline_ns) = (self.release, self.release + self.need.deadline);
        Turn { answer: answer::DONE, release_ns, deadline_ns, skipped, was_met }
    }
}

/// All of it. Taken in upcalls and by strands of the package's in its procedures, for a short time.
pub struct Members {
    places: [Option<Member>; MOST_TASKS],
    /// Strands of the package's that do no task's jobs, and since when they could go on: run when nobody else wants to.
    others: VecDeque<(Strand, u64)>,
    /// Counts background turns.
    turns: u64,
    /// Virtual processors that had nobody to run, when they asked last: bit *n* is core *n*.
    idle: u64,
}

impl Members {
    pub const fn new() -> Self {
        Self { places: [None; MOST_TASKS], others: VecDeque::new(), turns: 0, idle: 0 }
    }

    /// Room for so many, so that upcalls take no memory.
    pub fn reserve(&mut self, others: usize) {
        self.others.reserve(others);
    }

    fn of(&mut self, strand: Strand) -> Option<&mut Member> {
        self.places.iter_mut().flatten().find(|member| member.strand == strand)
    }

    /// The strand's member, if that is its ticket.
    pub fn by_ticket(&mut self, ticket: u64, strand: Strand) -> Option<&mut Member> {
        let member = self.places.get_mut(tickets::place(ticket))?.as_mut()?;
        (member.ticket == ticket && member.strand == strand).then_some(member)
    }

    /// A strand comes to do its task's jobs; false if another does, or if it does another's.
    pub fn join(&mut self, member: Member) -> bool {
        if self.of(member.strand).is_some() {
            return false;
        }
        let place = tickets::place(member.ticket);
        if self.places[place].is_some_and(|other| other.ticket == member.ticket) {
            return false;
        }
        self.forget(place);
        self.places[place] = Some(member);
        true
    }

    /// The task there is over, and its strand has still to end. One that is blocked comes when it is woken.
    fn forget(&mut self, place: usize) {
        if let Some(Member { strand, since, standing, .. }) = self.places[place].take()
            && let Standing::Ready | Standing::Waiting = standing
        {
            self.others.push_back((strand, since));
        }
    }

    /// Who shall run on `core`, where nobody of the package's does.
    pub fn next(&mut self, core: u32, now: u64, package: Package) -> Next {
        self.idle &= !(1 << core);
        let used = |strand| package.used(strand).unwrap_or(0);
        for place in 0..MOST_TASKS {
            let Some(member) = self.places[place].as_mut().filter(|member| member.core == core) else {
                continue;
            };
            if !tickets::is_valid(member.ticket) {
                self.forget(place);
                continue;
            }
            if member.standing == Standing::Running {
                // It was let go, to end, or blocked where there was no room to say so.
                member.standing = Standing::Blocked;
                member.is_forfeit = true;
            }
            member.advance(now, used);
        }
        if let Some(strand) = self.forgotten(core, now) {
            return Next::RunUntil(strand, now + LITTLE_NS);
        }
        let ours = || self.places.iter().flatten().filter(move |member| member.core == core);
        let first = ours()
            .filter(|member| member.standing == Standing::Ready && member.is_promised())
            .min_by_key(|member| member.deadline());
        if let Some(&Member { strand, left, .. }) = first {
            let deadline = first.map_or(0, Member::deadline);
            // Whoever will be more urgent, and the end of what it may use.
            let sooner =
                |other: &&Member| other.strand == strand || other.end() + other.need.deadline < deadline;
            let until = ours().filter(sooner).map(Member::end).min().unwrap_or(u64::MAX);
            self.run(strand);
            return Next::RunUntil(strand, until.min(now + left));
        }
        let until = ours().map(Member::end).min();
        match self.background(core) {
            Some(strand) => until.map_or(Next::Run(strand), |until| Next::RunUntil(strand, until)),
            None => {
                self.idle |= 1 << core;
                until.map_or(Next::Idle, Next::IdleUntil)
            }
        }
    }

    fn run(&mut self, strand: Strand) {
        let turn = self.turns;
        if let Some(member) = self.of(strand) {
            member.standing = Standing::Running;
            member.turn = turn;
        }
    }

    /// Who has waited for too long.
    fn forgotten(&mut self, core: u32, now: u64) -> Option<Strand> {
        let is_long = |since: u64| since + LONGEST_WAIT_NS < now;
        if self.others.front().is_some_and(|(_, since)| is_long(*since)) {
            return self.others.pop_front().map(|(strand, _)| strand);
        }
        let is_ready = |member: &&Member| member.core == core && member.standing == Standing::Ready;
        let member = self.places.iter().flatten().find(|member| is_ready(member) && is_long(member.since))?;
        let strand = member.strand;
        self.run(strand);
        Some(strand)
    }

    /// Who is late and has used up what it was promised, and those who were promised nothing, by turns.
    fn background(&mut self, core: u32) -> Option<Strand> {
        self.turns += 1;
        let late = self.places.iter().flatten();
        let late = late
            .filter(|member| member.core == core && member.standing == Standing::Ready)
            .min_by_key(|member| member.turn)
            .map(|member| member.strand);
        let is_other = late.is_none() || self.turns.is_multiple_of(2);
        let other = if is_other { self.others.pop_front() } else { None };
        let strand = other.map(|(strand, _)| strand).or(late)?;
        self.run(strand);
        Some(strand)
    }

    /// A strand has lost its core, or yields it, and can go on; `used` is what it has used.
    pub fn left(&mut self, strand: Strand, now: u64, used: u64) {
        match self.of(strand) {
            Some(member) => {
                (member.standing, member.since) = (Standing::Ready, now);
                member.charge(used);
            }
            None => self.others.push_back((strand, now)),
        }
    }

    /// A strand waits in the kernel.
    pub fn blocked(&mut self, strand: Strand) {
        if let Some(member) = self.of(strand) {
            member.standing = Standing::Blocked;
            member.is_forfeit = true;
        }
    }

    /// A strand is over: the ticket that it had.
    pub fn ended(&mut self, strand: Strand) -> Option<u64> {
        let is_its = |member: &mut Member| member.strand == strand;
        let member = self.places.iter_mut().find_map(|place| place.take_if(is_its))?;
        Some(member.ticket)
    }

    /// A strand can go on after a wait in the kernel, or begin: the core that should hear of it, if that is idle.
    pub fn woken(&mut self, strand: Strand, now: u64) -> Option<u32> {
        let Some(member) = self.of(strand) else {
            self.others.push_back((strand, now));
            return None;
        };
        (member.standing, member.since) = (Standing::Ready, now);
        member.is_forfeit = true;
        let core = member.core;
        (self.idle >> core & 1 != 0).then_some(core)
    }

    /// The running strand has done its job: the next one, if it should have begun already; or none, and then it
    /// waits from now on. And whether the job was in time, in either case.
    pub fn done(&mut self, ticket: u64, strand: Strand, now: u64, used: u64) -> Option<(Option<Turn>, bool)> {
        let member = self.by_ticket(ticket, strand)?;
        let was_met = now <= member.release + member.need.deadline;
        member.advance(now, |_| used);
        if member.release == member.begun {
            member.standing = Standing::Waiting;
            return Some((None, was_met));
        }
        let skipped = (member.begun - member.release) / member.need.period - 1;
        member.release = member.begun;
        Some((Some(member.turn(skipped, was_met)), was_met))
    }
}
