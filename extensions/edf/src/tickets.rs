//! Who was promised what: the tasks that were admitted.
//!
//! Upcalls never come here but for [`is_valid`] and [`give_back`], which take no lock: a strand of no urgency may
//! have lost its core while it holds the table, and the virtual processor that made it lose it must not wait for it.

use core::sync::atomic::{AtomicU64, Ordering};

use edf_interface::{Admission, Task, answer};
use spindle::{Error, clock, processor, strand};

use crate::{
    MOST_TASKS,
    admission::{self, Need},
};

/// The shortest and the longest period of a task, in nanoseconds.
const PERIODS: core::ops::RangeInclusive<u64> = 1_000_000..=1_000_000_000;
/// How long to sleep when the table is taken, in nanoseconds.
const NAP_NS: u64 = 100_000;
/// A ticket is a place, and above that how often a ticket was given out.
const PLACE_BITS: u32 = 8;
const _: () = assert!(MOST_TASKS <= 1 << PLACE_BITS);

/// An admitted task.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub ticket: u64,
    pub core: u32,
    pub need: Need,
}

struct Table {
    promises: [Option<Promise>; MOST_TASKS],
    given: u64,
}

static TABLE: spin::Mutex<Table> = spin::Mutex::new(Table { promises: [None; MOST_TASKS], given: 0 });
/// The ticket that is valid for each place; zero for none.
static VALID: [AtomicU64; MOST_TASKS] = [const { AtomicU64::new(0) }; MOST_TASKS];
/// The period of each place's task, in nanoseconds.
static PERIOD: [AtomicU64; MOST_TASKS] = [const { AtomicU64::new(0) }; MOST_TASKS];
/// When the share of the ticket that was valid last is free, in nanoseconds.
static FREE_AT: [AtomicU64; MOST_TASKS] = [const { AtomicU64::new(0) }; MOST_TASKS];

/// The place of a ticket.
pub fn place(ticket: u64) -> usize {
    (ticket & ((1 << PLACE_BITS) - 1)) as usize
}

/// Has the task not ended?
pub fn is_valid(ticket: u64) -> bool {
    VALID.get(place(ticket)).is_some_and(|valid| valid.load(Ordering::Relaxed) == ticket && ticket != 0)
}

/// The task is over. Its share is free when a period has passed: what it has had in this one it has had from that. Says
/// whether it was not over.
pub fn give_back(ticket: u64, now: u64) -> bool {
    if !is_valid(ticket) {
        return false;
    }
    let place = place(ticket);
    FREE_AT[place].store(now + PERIOD[place].load(Ordering::Relaxed), Ordering::Relaxed);
    // Release: who finds it invalid finds the time.
    VALID[place].compare_exchange(ticket, 0, Ordering::Release, Ordering::Relaxed).is_ok()
}

/// Works on the table, on a strand outside of upcalls. Nothing in it calls the kernel: whoever does may be cut.
fn with<T>(work: impl FnOnce(&mut Table) -> T) -> Result<T, Error> {
    loop {
        if let Some(mut table) = TABLE.try_lock() {
            return Ok(work(&mut table));
        }
        // Whoever has it may have lost the core to this one.
        strand::sleep(NAP_NS)?;
    }
}

/// What was promised for a ticket.
pub fn promise(ticket: u64) -> Result<Option<Promise>, Error> {
    let found = |table: &mut Table| table.promises.get(place(ticket)).copied().flatten();
    Ok(with(found)?.filter(|promise| promise.ticket == ticket && is_valid(ticket)))
}

impl Table {
    /// Forgets those that are over.
    fn sweep(&mut self, now: u64) {
        for (place, promise) in self.promises.iter_mut().enumerate() {
            let is_over = |promise: &mut Promise| {
                // Acquire: pairs with the Release of `give_back`.
                VALID[place].load(Ordering::Acquire) != promise.ticket
                    && FREE_AT[place].load(Ordering::Relaxed) <= now
            };
            promise.take_if(is_over);
        }
    }

    /// What was promised of a core: so many, and room for one more.
    fn of(&self, core: u32) -> ([Need; MOST_TASKS + 1], usize) {
        let mut needs = [Need { period: 1, cost: 0, deadline: 1 }; MOST_TASKS + 1];
        let mut count = 0;
        for promise in self.promises.iter().flatten().filter(|promise| promise.core == core) {
            needs[count] = promise.need;
            count += 1;
        }
        (needs, count)
    }

    /// Promises it on the first core that can take it.
    fn admit(&mut self, need: Need, cores: u32, now: u64) -> Admission {
        self.sweep(now);
        let mut refused = Admission { answer: answer::FULL, ticket: 0, core: 0, most_ns: 0, left: 0 };
        let Some(place) = self.promises.iter().position(Option::is_none) else { return refused };
        for core in 0..cores {
            let (mut needs, count) = self.of(core);
            needs[count] = need;
            if !admission::fit(&needs[..=count]) {
                continue;
            }
            self.given += 1;
            let ticket = self.given << PLACE_BITS | place as u64;
            self.promises[place] = Some(Promise { ticket, core, need });
            PERIOD[place].store(need.period, Ordering::Relaxed);
            VALID[place].store(ticket, Ordering::Relaxed);
            return Admission { answer: answer::DONE, ticket, core: core.into(), ..refused };
        }
        refused.answer = answer::NO_ROOM;
        for core in 0..cores {
            let (mut needs, count) = self.of(core);
            let left = admission::left(&needs[..count]);
            needs[count] = need;
            let most = admission::most(&mut needs[..=count]);
            refused.most_ns = refused.most_ns.max(most);
            refused.left = refused.left.max(left);
        }
        refused
    }
}

/// Admits a task, or says why not.
pub fn admit(task: &Task) -> Result<Admission, Error> {
    let Task { period_ns: period, cost_ns: cost, deadline_ns: deadline } = *task;
    if !PERIODS.contains(&period) || cost == 0 || cost > deadline || deadline > period {
        return Ok(Admission { answer: answer::BAD_TASK, ticket: 0, core: 0, most_ns: 0, left: 0 });
    }
    let (cores, now) = (processor::cores()?, clock::now()?);
    with(|table| table.admit(Need { period, cost, deadline }, cores, now))
}
