//! Gang scheduling, after Ousterhout: the strands of a group run at the same time, each on a core of its own, or
//! none of them does.
//!
//! For strands that wait for each other every few microseconds. If each were scheduled for itself, one that is
//! away would make all others spin, or block, for as long as somebody else's slice is; run together, they wait for
//! no longer than their work differs.
//!
//! # How it works
//!
//! The package reserves half of every core: [`BUDGET_NS`] in each [`PERIOD_NS`]. Periods begin at the same time on all
//! cores, so its virtual processors come together, ahead of whatever else there is to run. Groups stand in a
//! slot table (see `table`): in each period one row has its turn, so each of *n* rows has a
//! *2n*th of the machine. Groups that fit into one row share it.
//!
//! Each virtual processor that comes, comes early: it finds that others of its group are missing, and idles. The
//! last to come starts the group and recalls the others. All stop at the same time by the clock, [`SLOT_NS`] after the
//! period began, which leaves what nobody has to watch: no budget runs out before.
//!
//! The group stops on all cores, and its virtual processors idle, when
//!
//! - a member blocks: the group waits as a whole, till that one can run. If no other group in the row can, the next
//!   row has the rest of the slot;
//! - one that was recalled has not come in [`GRACE_NS`].
//!
//! A member that ends leaves the group, and the others go on, at the next period at the latest if it was taken from the
//! package before it could run. One that yields goes on at once.
//!
//! # How exact
//!
//! Between the first member's start and the last one's lies an interrupt from core to core, and what the kernel needs to
//! answer it: where every core has a processor, which is where this was not measured. Under an emulator with fewer
//! processors than cores a recalled core comes when the host lets it, many milliseconds later, and those who were
//! started wait for it.
//!
//! If somebody as urgent takes a core, the package hears of it when that core is back, and not before: till then the
//! others run without that member.
//!
//! # Where it is bad
//!
//! Half of every core is all that there is, even when nobody wants the other half. Cores that a row leaves over idle as far
//! as the package is concerned, even if a member of another row would fit there. For strands that seldom wait for
//! each other it has nothing to offer: it only makes them wait for their turn.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod inbox;
mod table;

use alloc::vec::Vec;

use gang_interface::{Close, Join, NewGroup, Scheduler};
use inbox::Request;
use spindle::{
    Error, Strand, clock, export,
    package::{Builder, Next, Package, Reason, ThreadPackage, Why},
    processor,
};
use table::{Stage, Table};

/// How often a row has its turn, in nanoseconds.
const PERIOD_NS: u64 = 400_000_000;
/// What is reserved of it.
const BUDGET_NS: u64 = 200_000_000;
/// How long after the beginning of a period groups are stopped. Less than the budget: so that all stop by the
/// clock, and none by what it has used up.
const SLOT_NS: u64 = 190_000_000;
/// With less than that left of a slot it is not worth while to start a group.
const LEAST_NS: u64 = 200_000;
/// How long a group that was started waits for a virtual processor that was there, and does not come.
const GRACE_NS: u64 = 100_000_000;
/// When to ask again if somebody was just writing to the inbox, in nanoseconds.
const RETRY_NS: u64 = 20_000;
/// The core on which, in each period, groups that cannot run are looked at.
const WATCH: u32 = 0;
/// How often to try a lock before that.
const TRIES: u32 = 1_000;

/// What a virtual processor is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has no core, or is on its way to ask.
    Away,
    /// It idles, and has come in that period.
    Here { period: u64 },
    /// It runs this strand.
    Busy(Strand),
}

/// Everything there is.
struct State {
    table: Table,
    /// Of each core.
    places: [Place; 64],
    /// Strands of which nobody has said yet to which group they belong.
    strays: Vec<Strand>,
    /// Virtual processors that idle until they are recalled, since no group could run: bit *n* is core *n*.
    dormant: u64,
    period: u64,
}

static STATE: spin::Mutex<State> = spin::Mutex::new(State {
    table: Table::new(),
    places: [Place::Away; 64],
    strays: Vec::new(),
    dormant: 0,
    period: 0,
});

static PACKAGE: spin::Once<Package> = spin::Once::new();

/// Recalls these cores. If the package was ejected there is nobody to recall.
fn recall(cores: u64) {
    if let Some(package) = PACKAGE.get() {
        for core in (0..u64::BITS).filter(|core| cores >> core & 1 != 0) {
            let _ = package.recall(core);
        }
    }
}

impl State {
    /// The cores among these that run somebody.
    fn busy(&self, among: u64) -> u64 {
        let is_busy = |core: &u32| matches!(self.places[*core as usize], Place::Busy(_));
        bits(among).filter(is_busy).fold(0, |cores, core| cores | 1 << core)
    }

    /// Have all these come in this period, and are they idle?
    fn are_here(&self, cores: u64) -> bool {
        bits(cores).all(|core| self.places[core as usize] == Place::Here { period: self.period })
    }

    /// The strand's group must not go on: stops it, and says which cores are to be recalled.
    fn stop(&mut self, strand: Strand) -> u64 {
        let Some((group, _)) = self.table.find(strand) else { return 0 };
        if group.stage == Stage::Stopped {
            return 0;
        }
        group.stage = Stage::Stopped;
        let cores = group.cores();
        self.busy(cores)
    }

    /// A strand can run. Which cores are to be recalled for it?
    fn rouse(&mut self, strand: Strand) -> u64 {
        match self.table.find(strand) {
            Some((group, place)) => {
                group.members[place].is_ready = true;
                if group.is_whole() { group.cores() & !self.busy_all() } else { 0 }
            }
            None => {
                self.strays.push(strand);
                0
            }
        }
    }

    fn busy_all(&self) -> u64 {
        self.busy(u64::MAX)
    }

    /// Does what applications have asked for. Which cores are to be recalled?
    fn serve(&mut self, request: Request) -> u64 {
        match request {
            Request::New { group, size, cores } => self.table.add(group, size, cores),
            Request::Close { group } => self.table.close(group),
            Request::Join { group, strand } => {
                let stray = self.strays.iter().position(|stray| *stray == strand);
                if self.table.join(group, strand, false)
                    && let Some(stray) = stray
                {
                    self.strays.swap_remove(stray);
                    return self.rouse(strand);
                }
            }
        }
        0
    }

    /// A new period: the next row has its turn. Who is waiting is not forgotten, and the kernel shall know; who was taken
    /// from the package is.
    fn begin(&mut self, period: u64) {
        self.period = period;
        self.table.turn();
        let Some(package) = PACKAGE.get() else { return };
        self.strays.retain(|strand| package.keep(*strand).is_ok());
        self.table.sweep(|strand| package.keep(strand).is_ok());
        inbox::note(self.table.len());
    }

    /// Whom to run on that core, and which others are to be recalled.
    fn next(&mut self, core: u32, now: u64) -> (Next, u64) {
        let begun = now / PERIOD_NS * PERIOD_NS;
        if let Place::Busy(strand) = self.places[core as usize] {
            if PACKAGE.get().is_some_and(|package| package.keep(strand).is_ok()) {
                // Of its leaving one is just being told.
                return (Next::IdleUntil(now + RETRY_NS), 0);
            }
            // It is not there any more: the kernel takes strands whose spindle goes.
            self.table.leave(strand);
        }
        self.places[core as usize] = Place::Here { period: self.period };
        // If nobody can run, one looks all the same, whether who is waited for is there still.
        let is_watched = self.table.has_whole() || core == WATCH && self.table.len() > 0;
        let idle = if is_watched { Next::IdleUntil(begun + PERIOD_NS) } else { Next::Idle };
        let end = begun + SLOT_NS;
        let Some((group, place)) = self.table.at(core).filter(|_| now + LEAST_NS < end) else {
            return (idle, 0);
        };
        let (cores, strand, stage) = (group.cores(), group.members[place].strand, group.stage);
        let others = cores & !(1 << core);
        let (since_ns, arrived, recalled) = match stage {
            Stage::Running { since_ns, arrived } => (since_ns, arrived | 1 << core, 0),
            Stage::Stopped if self.are_here(others) => (now, 1 << core, others),
            Stage::Stopped => return (idle, 0),
        };
        if let Some((group, _)) = self.table.at(core) {
            group.stage = Stage::Running { since_ns, arrived };
        }
        self.places[core as usize] = Place::Busy(strand);
        let until = if cores & !arrived == 0 { end } else { end.min(since_ns + GRACE_NS) };
        (Next::RunUntil(strand, until), recalled)
    }
}

fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| set >> bit & 1 != 0)
}

struct Gang;

impl ThreadPackage for Gang {
    fn resume(&self, core: u32) -> Next {
        let now = clock::now().unwrap_or(0);
        // All come at the same time, and one who has the lock may be kept from his work by the host: nobody spins for long.
        let Some(mut state) = (0..TRIES).find_map(|_| STATE.try_lock()) else {
            return Next::IdleUntil(now + RETRY_NS);
        };
        let Some(requests) = inbox::take() else {
            return Next::IdleUntil(now + RETRY_NS);
        };
        let period = now / PERIOD_NS;
        if period > state.period {
            state.begin(period);
        }
        let mut recalled = requests.into_iter().fold(0, |cores, request| cores | state.serve(request));
        let (next, others) = state.next(core, now);
        recalled |= others;
        if next == Next::Idle {
            state.dormant |= 1 << core;
        } else if state.table.has_whole() {
            // Whatever it was that made a group whole: now all have to look at the clock.
            recalled |= core::mem::take(&mut state.dormant);
        }
        drop(state);
        recall(recalled & !(1 << core));
        next
    }

    fn checkpoint(&self, core: u32, strand: Strand, why: Why) {
        let now = clock::now().unwrap_or(0);
        let mut state = STATE.lock();
        state.places[core as usize] = Place::Away;
        let is_over = now % PERIOD_NS >= SLOT_NS;
        let mut others = 0;
        if is_over {
            // So it is on all cores, which know.
            state.stop(strand);
        } else if let Some((group, _)) = state.table.find(strand)
            && let Stage::Running { arrived, .. } = group.stage
            && (why == Why::Preempted || why == Why::Limit && group.cores() & !arrived != 0)
        {
            others = state.stop(strand);
        }
        drop(state);
        recall(others);
    }

    fn block(&self, core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        let mut state = STATE.lock();
        state.places[core as usize] = Place::Away;
        let mut others = 0;
        match reason {
            Reason::Yielded => {}
            Reason::Blocked => {
                if let Some((group, place)) = state.table.find(strand) {
                    group.members[place].is_ready = false;
                }
                others = state.stop(strand);
            }
            Reason::Ended => {
                state.table.leave(strand);
                inbox::note(state.table.len());
            }
        }
        drop(state);
        recall(others);
        None
    }

    fn unblock(&self, strand: Strand) {
        let cores = STATE.lock().rouse(strand);
        recall(cores);
    }
}

/// Registers the package, and exports its interface.
pub fn start() -> Result<(), Error> {
    let count = processor::cores()?;
    let package = Builder::new("gang").reserve(BUDGET_NS, PERIOD_NS).register(Gang)?;
    PACKAGE.call_once(|| package);
    export(move |_: &Scheduler| package)?;
    export(move |asked: &NewGroup| inbox::new_group(package, asked.size, count))?;
    export(move |asked: &Join| {
        inbox::post(package, Request::Join { group: asked.group, strand: asked.strand })
    })?;
    export(move |asked: &Close| inbox::post(package, Request::Close { group: asked.group }))
}
