//! Uses `edf`. `Demo.Hello` says what to do, by the core, and with which dice, by the number; the answer counts what came
//! of it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use edf_interface::{Jobs, Refusal, Task, spawn};
use spindle::{Error, clock, demo::Hello, handler, processor, strand, strand::JoinHandle};

/// What it does.
mod what {
    /// Random tasks, as many as are admitted, for a second. Counts: tasks (from bit 48), misses (from bit 24), jobs.
    pub const RUN: u32 = 0;
    /// As `RUN`, with one more that computes nine times as long as it said, more than there is: so it is late.
    pub const LIAR: u32 = 1;
    /// As `RUN`, for a fiftieth of that, with no more than two tasks for each core.
    pub const BRIEF: u32 = 2;
    /// Random tasks at the bound, which begin and end: what is beyond it is refused, what was given back is there
    /// again. Counts wrong answers.
    pub const BOUND: u32 = 3;
    /// Tasks that make no sense, or a task of a task. Counts refusals.
    pub const MISUSE: u32 = 4;
    /// Tasks that yield, sleep, and end without a word. Counts those that went well.
    pub const ODD: u32 = 5;
}

const MILLISECOND: u64 = 1_000_000;
/// After so long nothing is left of what tasks that have ended were promised: the longest period that there is here, and
/// what had to end.
const FREED_NS: u64 = 70 * MILLISECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
/// What a job needs besides what it computes: the call that waits for the next.
const CALLS_NS: u64 = 20_000;
/// The most tasks on a core that are tried.
const TRIES: u32 = 12;
/// The most tasks at a time: a few less than `edf` takes.
const MOST: usize = 56;

/// Installs one handler; it works on a strand of whoever raises, and makes others.
pub fn start() -> Result<(), Error> {
    handler(|hello: &Hello| {
        let dice = Dice::new(hello.number);
        let done = match hello.core {
            what::RUN => run(dice, SECOND, MOST, false),
            what::LIAR => run(dice, SECOND, MOST, true),
            what::BRIEF => run(dice, SECOND / 50, 2 * processor::cores().unwrap_or(1) as usize, false),
            what::BOUND => bound(dice),
            what::MISUSE => misuse(),
            what::ODD => odd(),
            _ => Err(Refusal::Failed(Error::BadArgument)),
        };
        done.unwrap_or(u64::MAX)
    })
    .install()?;
    Ok(())
}

/// Chance that can be repeated: xorshift64*.
struct Dice(u64);

impl Dice {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A task that a core might take several of.
    const fn task(&mut self) -> Task {
        let period_ns = self.between(5 * MILLISECOND, 60 * MILLISECOND);
        let deadline_ns = self.between(period_ns / 2, period_ns);
        Task { period_ns, cost_ns: self.between(MILLISECOND / 10, period_ns / 4), deadline_ns }
    }
}

fn turns(count: u64) {
    for turn in 0..count {
        black_box(turn);
    }
}

/// How many turns take a millisecond: the most that were seen in some tries, since others have the core in between.
fn calibrate() -> Result<u64, Error> {
    const TURNS: u64 = 2_000;
    let mut best = u64::MAX;
    for _ in 0..50 {
        let begun = clock::now()?;
        turns(TURNS);
        best = best.min(clock::now()? - begun);
    }
    Ok(TURNS * MILLISECOND / best.max(1))
}

/// Until when workers work.
static UNTIL: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Default)]
struct Counts {
    jobs: u64,
    misses: u64,
}

/// Does a task's jobs, of so many turns, for as long as [`UNTIL`] says.
fn work(jobs: &mut Jobs, per_job: u64) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    loop {
        turns(per_job);
        let next = jobs.wait_for_next()?;
        counts.jobs += 1 + next.skipped;
        counts.misses += u64::from(!next.was_met) + next.skipped;
        if next.release_ns >= UNTIL.load(SeqCst) {
            return Ok(counts);
        }
    }
}

type Worker = JoinHandle<Result<Result<Counts, Error>, Error>>;

/// Tries random tasks, and some at the very bound, with a worker for each. Each job takes all of what the task says,
/// or, if the dice say so, at least half.
fn fill(dice: &mut Dice, speed: u64, most_workers: usize) -> Result<Vec<Worker>, Refusal> {
    let is_full = dice.below(2) == 0;
    let mut workers = Vec::new();
    let add = |task: Task, dice: &mut Dice| {
        let computing = task.cost_ns.saturating_sub(CALLS_NS);
        let least = if is_full { computing } else { computing / 2 };
        let per_job = dice.between(least, computing) * speed / MILLISECOND;
        match spawn("worker", task, move |jobs| work(jobs, per_job)) {
            Ok(worker) => Ok((Some(worker), 0)),
            Err(Refusal::NoRoom { most_ns, .. }) => Ok((None, most_ns)),
            Err(refusal) => Err(refusal),
        }
    };
    for _ in 0..TRIES * processor::cores()? {
        if workers.len() >= most_workers {
            break;
        }
        let task = dice.task();
        let (worker, most) = add(task, dice)?;
        workers.extend(worker);
        if most > 2 * CALLS_NS && workers.len() < most_workers {
            workers.extend(add(Task { cost_ns: most, ..task }, dice)?.0);
        }
    }
    Ok(workers)
}

fn join(workers: Vec<Worker>) -> Result<Counts, Error> {
    let mut sum = Counts::default();
    for worker in workers {
        let Counts { jobs, misses } = worker.join()???;
        sum.jobs += jobs;
        sum.misses += misses;
    }
    Ok(sum)
}

fn run(mut dice: Dice, length: u64, most_workers: usize, has_liar: bool) -> Result<u64, Refusal> {
    // What those before were promised is free again.
    strand::sleep(FREED_NS)?;
    let speed = calibrate()?;
    UNTIL.store(clock::now()? + length, SeqCst);
    let mut liar = None;
    if has_liar {
        let (period_ns, cost_ns) = (10 * MILLISECOND, MILLISECOND);
        let per_job = 9 * speed;
        let task = Task { period_ns, cost_ns, deadline_ns: period_ns };
        liar = Some(spawn("liar", task, move |jobs| work(jobs, per_job))?);
    }
    let workers = fill(&mut dice, speed, most_workers)?;
    let tasks = workers.len() as u64;
    let Counts { jobs, misses } = join(workers)?;
    if let Some(liar) = liar {
        // It must be late, or it did not lie.
        let Counts { jobs, misses } = liar.join()???;
        if misses * 2 < jobs {
            return Err(Refusal::Failed(Error::Failed));
        }
    }
    Ok(tasks << 48 | misses << 24 | jobs)
}

/// The most that a task of that period and deadline may cost now.
fn most(task: Task) -> Result<u64, Refusal> {
    match spawn("too much", Task { cost_ns: task.deadline_ns, ..task }, |_| ()) {
        Err(Refusal::NoRoom { most_ns, .. }) => Ok(most_ns),
        Ok(_) => Err(Refusal::Failed(Error::Failed)),
        Err(refusal) => Err(refusal),
    }
}

fn bound(mut dice: Dice) -> Result<u64, Refusal> {
    let mut wrong = 0;
    let probe = Task { period_ns: 20 * MILLISECOND, cost_ns: 0, deadline_ns: 20 * MILLISECOND };
    let empty = most(probe)?;
    for _ in 0..4 {
        UNTIL.store(u64::MAX, SeqCst);
        let workers = fill(&mut dice, 0, MOST)?;
        // What is left is admitted, and nothing beyond it.
        let left = most(probe)?;
        let beyond = spawn("beyond", Task { cost_ns: left + 2_000, ..probe }, |_| ());
        wrong += u64::from(!matches!(beyond, Err(Refusal::NoRoom { most_ns, .. }) if most_ns == left));
        // With so many cores that they were not enough, one may have nothing to do.
        wrong += u64::from(workers.len() < MOST && left >= empty);
        if left > 0 {
            let at =
                spawn("at the bound", Task { cost_ns: left, ..probe }, |jobs| jobs.wait_for_next().is_ok());
            // Other cores may have as much.
            wrong += u64::from(processor::cores()? == 1 && most(probe)? >= 2_000);
            wrong += u64::from(!at.is_ok_and(|at| matches!(at.join(), Ok(Ok(true)))));
        }
        UNTIL.store(0, SeqCst);
        join(workers)?;
        strand::sleep(FREED_NS)?;
        wrong += u64::from(most(probe)? != empty);
    }
    Ok(wrong)
}

/// What must be refused is refused: the answer counts what was.
fn misuse() -> Result<u64, Refusal> {
    let good = Task { period_ns: 20 * MILLISECOND, cost_ns: MILLISECOND, deadline_ns: 10 * MILLISECOND };
    let bad = [
        Task { cost_ns: 0, ..good },
        Task { cost_ns: good.deadline_ns + 1, ..good },
        Task { deadline_ns: good.period_ns + 1, ..good },
        Task { period_ns: MILLISECOND - 1, ..good },
        Task { period_ns: SECOND + 1, ..good },
    ];
    let is_bad = |task: &&Task| matches!(spawn("bad", **task, |_| ()), Err(Refusal::BadTask));
    let mut refused = bad.iter().filter(is_bad).count() as u64;
    let soon = Task { deadline_ns: MILLISECOND / 2, cost_ns: MILLISECOND / 10, ..good };
    refused += u64::from(matches!(spawn("soon", soon, |_| ()), Err(Refusal::NoRoom { most_ns: 0, .. })));
    let child = spawn("parent", good, move |_| {
        matches!(spawn("child", good, |_| ()), Err(Refusal::Failed(Error::Context)))
    })?;
    refused += u64::from(child.join()??);
    Ok(refused)
}

/// Strands that do other things than compute; the answer counts those that went on.
fn odd() -> Result<u64, Refusal> {
    // Shares that were given back last are free by then.
    strand::sleep(70 * MILLISECOND)?;
    let task = Task { period_ns: 20 * MILLISECOND, cost_ns: MILLISECOND, deadline_ns: 10 * MILLISECOND };
    let sleeper = spawn("sleeper", task, |jobs| -> Result<(), Error> {
        for _ in 0..3 {
            strand::sleep(2 * MILLISECOND)?;
            strand::yield_now()?;
            jobs.wait_for_next()?;
        }
        Ok(())
    })?;
    let brief = spawn("brief", task, |_| ())?;
    // One that shall end does so at its next job, or before its first.
    let endless = || spawn("endless", task, |jobs| while jobs.wait_for_next().is_ok() {});
    let (early, late) = (endless()?, endless()?);
    early.terminate()?;
    strand::sleep(50 * MILLISECOND)?;
    late.terminate()?;
    let mut well = u64::from(matches!(sleeper.join(), Ok(Ok(Ok(())))));
    well += u64::from(matches!(brief.join(), Ok(Ok(()))));
    well += u64::from(matches!(late.join(), Ok(Ok(()))));
    // It may have begun.
    let _ = early.join();
    Ok(well)
}
