//! A look at all strands and cores, and what changed from one look to the next.
//!
//! A look takes no lock for longer than it takes to copy a few references, and stops nobody: each number is
//! as it was when it was read, and two of them need not be of one moment.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

use dispatcher::{DomainState, Processor};
use sched::{Machine, State};
use shell::units::Share;

use crate::{
    cores, domains,
    strands::{Cpu, Strand},
};

/// All strands and cores at one time.
pub struct Look {
    pub at_ns: u64,
    /// All but the idle ones, by their numbers.
    pub strands: Vec<Seen>,
    /// By their numbers.
    pub cores: Vec<SeenCore>,
}

/// A strand at one time.
#[derive(Clone)]
pub struct Seen {
    pub strand: Arc<Strand>,
    pub state: State,
    pub core: usize,
    pub counts: Counts,
}

/// What only grows.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub run_ns: u64,
    pub switches: u64,
    pub preemptions: u64,
    pub steals: u64,
}

/// A core at one time.
pub struct SeenCore {
    pub id: usize,
    pub mode: Mode,
    /// What it runs; nothing if it is idle.
    pub runs: Option<String>,
    pub waiting: usize,
    /// Its `run_ns` is what its idle strand has had.
    pub counts: Counts,
    pub ticks: u64,
    pub kicks: u64,
    pub calls: u64,
}

/// What a core is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It has nothing to do.
    Idle,
    /// It runs a strand, and no timer will end that.
    Tickless,
    /// It runs a strand until its slice ends.
    Ticking,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Tickless => "tickless",
            Self::Ticking => "ticking",
        }
    }
}

impl Look {
    /// Takes one.
    pub fn take() -> Self {
        let strands = Cpu::scheduler().strands();
        let at_ns = Cpu::now_ns();
        let mut strands: Vec<_> = strands.into_iter().map(Seen::new).collect();
        strands.sort_unstable_by_key(Seen::id);
        let cores = Cpu::scheduler().cores().map(|core| SeenCore::new(core, &strands)).collect();
        Self { at_ns, strands, cores }
    }

    /// What a strand had by this look; nothing, if it was not there.
    pub fn counts_of(&self, id: u64) -> Counts {
        let at = self.strands.binary_search_by_key(&id, Seen::id);
        at.map_or(Counts::default(), |at| self.strands[at].counts)
    }

    /// What a core had by this look.
    fn core(&self, id: usize) -> Counts {
        let core = self.cores.iter().find(|core| core.id == id);
        core.map_or(Counts::default(), |core| core.counts)
    }

    /// The time since an earlier look, in nanoseconds.
    pub fn since(&self, earlier: &Self) -> u64 {
        self.at_ns.saturating_sub(earlier.at_ns)
    }

    /// What part of a core the strand has had since an earlier look.
    pub fn share(&self, seen: &Seen, earlier: &Self) -> Share {
        let ran_ns = seen.counts.since(earlier.counts_of(seen.id())).run_ns;
        Share::of(ran_ns, self.since(earlier))
    }

    /// What part of the time since an earlier look the core was idle.
    pub fn idle_share(&self, core: &SeenCore, earlier: &Self) -> Share {
        Share::of(core.counts.since(earlier.core(core.id)).run_ns, self.since(earlier))
    }

    /// A rate for each second of something that the core counts.
    pub fn switches_a_second(&self, core: &SeenCore, earlier: &Self) -> u64 {
        let switches = core.counts.since(earlier.core(core.id)).switches;
        (u128::from(switches) * 1_000_000_000 / u128::from(self.since(earlier).max(1))) as u64
    }
}

impl Seen {
    fn new(strand: Arc<Strand>) -> Self {
        let state = if strand.has_core() { State::Running } else { strand.state() };
        let counts = Counts {
            run_ns: strand.run_ns(),
            switches: strand.switches(),
            preemptions: strand.preemptions(),
            steals: strand.steals(),
        };
        Self { state, core: strand.core(), counts, strand }
    }

    pub fn id(&self) -> u64 {
        self.strand.id()
    }

    /// The name of its domain.
    pub fn domain(&self) -> String {
        domain_name(self.strand.domain())
    }

    /// The thread package that schedules it, if one does.
    pub fn package(&self) -> Option<&sched::package::Package<Cpu>> {
        self.strand.package().map(|package| &**package).filter(|package| !package.is_ejected())
    }
}

/// A domain's name, for people.
pub fn domain_name(domain: Option<&Arc<DomainState>>) -> String {
    match domain {
        None => "the core".into(),
        Some(domain) => domains::name_of(domain.id()).unwrap_or_else(|| "gone".into()),
    }
}

impl SeenCore {
    fn new(core: &sched::Core<Cpu>, strands: &[Seen]) -> Self {
        let id = core.id();
        // Of a carrier and the strand that it carries, both of which have the core, the latter.
        let runs_here = |seen: &&Seen| seen.state == State::Running && seen.core == id;
        let running = strands.iter().filter(runs_here).max_by_key(|seen| seen.package().is_some());
        let mode = match core.idle().has_core() {
            true => Mode::Idle,
            false if core.is_ticking() => Mode::Ticking,
            false => Mode::Tickless,
        };
        let count = |count: fn(&cores::Local) -> &core::sync::atomic::AtomicU64| {
            // Relaxed: for people.
            cores::area(id).map_or(0, |area| count(&area.local).load(Ordering::Relaxed))
        };
        Self {
            id,
            mode,
            runs: running.filter(|_| mode != Mode::Idle).map(|seen| seen.strand.name().into()),
            waiting: core.waiting(),
            counts: Counts {
                run_ns: core.idle().run_ns(),
                switches: core.switches(),
                preemptions: core.preemptions(),
                steals: core.steals(),
            },
            ticks: count(|local| &local.ticks),
            kicks: count(|local| &local.kicks),
            calls: count(|local| &local.calls),
        }
    }
}

impl Counts {
    /// What came since.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(earlier.run_ns),
            switches: self.switches.saturating_sub(earlier.switches),
            preemptions: self.preemptions.saturating_sub(earlier.preemptions),
            steals: self.steals.saturating_sub(earlier.steals),
        }
    }
}

/// In which order strands are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    Id,
    Name,
    /// Who has had most of the cores since the last look, first; then who has had most at all.
    Cpu,
}

impl core::str::FromStr for Sort {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "id" => Ok(Self::Id),
            "name" => Ok(Self::Name),
            "cpu" => Ok(Self::Cpu),
            _ => Err(()),
        }
    }
}

impl Sort {
    /// The ways, as people choose one.
    pub const CHOICES: &str = "cpu, name or id";

    /// Sorts those of `look`, which came after `earlier`.
    pub fn sort(self, strands: &mut [&Seen], earlier: &Look) {
        match self {
            Self::Id => strands.sort_unstable_by_key(|seen| seen.id()),
            Self::Name => strands
                .sort_by(|one, other| (one.strand.name(), one.id()).cmp(&(other.strand.name(), other.id()))),
            Self::Cpu => strands.sort_by_cached_key(|seen| {
                let lately = seen.counts.since(earlier.counts_of(seen.id())).run_ns;
                (!lately, !seen.counts.run_ns, seen.id())
            }),
        }
    }
}
