//! Earliest deadline first, with admission control: periodic tasks whose deadlines are promised, whatever else the machine
//! has to do, by a test that supposes that the kernel's own delays are within the margins in [`admission`]. That they
//! are was looked at in virtual time, on one core.
//!
//! The package has 1.6 ms reserved in every 2 ms of each core. A task is [admitted](tickets) on the first core on
//! which all tasks that were promised something still meet their deadlines by the test in [`admission`], and stays
//! there: partitioned, first fit. On each core the [member](members) runs whose deadline comes first, of those
//! that have a job and have not used up in this period what they said it costs.
//!
//! # How a promise is kept
//!
//! - Releases need no wake-up of the kernel's: a strand that has done its job is kept by the package, whose
//!   virtual processors are asked again when the next period of whoever is more urgent begins.
//! - Nobody takes more than was said: a strand runs until what is left of its cost is used up, by the kernel's own count
//!   of what it ran. After that it goes on in the background, until its next period: by turns with strands that do
//!   no task's jobs, when no member has a job that is promised. So does one that has blocked in the kernel.
//! - Periods go on, however late a job is. In each of them a task has no more than its cost, by its own deadline:
//!   that is all that the test supposes.
//! - A strand that does not come back (its application failed) is heard of by `block`, with [`Reason::Ended`]; one that
//!   was let go to end says so itself, by its interface. Its share is free one period later.
//!
//! # Locks
//!
//! The virtual processors are more urgent than ordinary strands. So nobody but them, and strands of the package's while
//! it runs them, takes the lock on the members: one that lost its core to a virtual processor could not give it
//! back. The table of promises is for the others.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod members;
mod tickets;

use edf_interface::{Admission, Admit, Join, Leave, Scheduler, Turn, Wait, answer};
use members::{Member, Members};
use spindle::{
    Error, Strand, clock, export,
    package::{Builder, Next, Package, Reason, ThreadPackage, Why},
    processor,
};

/// The most tasks at a time.
const MOST_TASKS: usize = 64;
/// As many strands as a spindle can have, without taking more memory for them.
const MOST_OTHERS: usize = 1_024;

static MEMBERS: spin::Mutex<Members> = spin::Mutex::new(Members::new());
/// The package, for its upcalls: the first may come before the call that registers it has returned.
static PACKAGE: spin::Once<Package> = spin::Once::new();

struct Edf;

impl ThreadPackage for Edf {
    fn resume(&self, core: u32) -> Next {
        match (PACKAGE.get(), clock::now()) {
            (Some(package), Ok(now)) => MEMBERS.lock().next(core, now, *package),
            _ => Next::Idle,
        }
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        let (now, used) = (now(), used(strand));
        MEMBERS.lock().left(strand, now, used);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        match reason {
            Reason::Blocked => MEMBERS.lock().blocked(strand),
            Reason::Yielded => {
                let (now, used) = (now(), used(strand));
                MEMBERS.lock().left(strand, now, used);
            }
            Reason::Ended => {
                let now = now();
                let ended = MEMBERS.lock().ended(strand);
                if let Some(ticket) = ended {
                    tickets::give_back(ticket, now);
                }
            }
        }
        // Whoever is next has a limit of its own, which is for `resume` to say.
        None
    }

    fn unblock(&self, strand: Strand) {
        let now = now();
        let idle = MEMBERS.lock().woken(strand, now);
        if let (Some(core), Some(package)) = (idle, PACKAGE.get()) {
            // If the package is no more there is nobody to recall.
            let _ = package.recall(core);
        }
    }
}

fn now() -> u64 {
    clock::now().unwrap_or(0)
}

fn used(strand: Strand) -> u64 {
    PACKAGE.get().and_then(|package| package.used(strand).ok()).unwrap_or(0)
}

const fn no_turn(answer: u64) -> Turn {
    Turn { answer, release_ns: 0, deadline_ns: 0, skipped: 0, was_met: false }
}

fn admit(package: Package, asked: &Admit) -> Admission {
    let refused = Admission { answer: answer::NOT_HERE, ticket: 0, core: 0, most_ns: 0, left: 0 };
    // It takes long, and in the package's code its strands cannot lose their core to others of the package's.
    if package.current().is_ok() {
        return refused;
    }
    tickets::admit(&asked.task).unwrap_or(Admission { answer: answer::OVER, ..refused })
}

fn join(package: Package, ticket: u64) -> Result<Turn, u64> {
    let me = package.current().map_err(|_| answer::NOT_HERE)?;
    let promise = tickets::promise(ticket).map_err(|_| answer::OVER)?.ok_or(answer::UNKNOWN)?;
    let (now, used) = (clock::now().map_err(|_| answer::OVER)?, used(me));
    let member = Member::new(&promise, me, now, used);
    if !MEMBERS.lock().join(member) {
        return Err(answer::UNKNOWN);
    }
    if processor::core() != Ok(promise.core) {
        // Whoever runs there may be less urgent.
        let _ = package.recall(promise.core);
    }
    give_way(package, ticket)?;
    Ok(member.turn(0, true))
}

fn wait(package: Package, ticket: u64) -> Result<Turn, u64> {
    let me = package.current().map_err(|_| answer::NOT_HERE)?;
    let (now, used) = (clock::now().map_err(|_| answer::OVER)?, used(me));
    let done = MEMBERS.lock().done(ticket, me, now, used);
    let (late, was_met) = done.ok_or(answer::UNKNOWN)?;
    if let Some(turn) = late {
        return Ok(turn);
    }
    give_way(package, ticket)?;
    let mut members = MEMBERS.lock();
    let member = members.by_ticket(ticket, me).ok_or(answer::UNKNOWN)?;
    Ok(member.turn(0, was_met))
}

/// The running strand gives its core up until it is run again.
fn give_way(package: Package, ticket: u64) -> Result<(), u64> {
    let handed = package.hand_off(Strand::NONE);
    if handed.is_ok() && package.current().is_ok() {
        return Ok(());
    }
    // It was let go to end, or all were: it must not touch the members any more.
    leave(ticket);
    Err(answer::OVER)
}

fn leave(ticket: u64) -> u64 {
    match clock::now() {
        Ok(now) if tickets::give_back(ticket, now) => answer::DONE,
        _ => answer::UNKNOWN,
    }
}

/// Registers the package, and exports its interface.
pub fn start() -> Result<(), Error> {
    MEMBERS.lock().reserve(MOST_OTHERS);
    let reserved = Builder::new("edf").reserve(admission::BUDGET_NS, admission::PERIOD_NS);
    let package = reserved.register(Edf)?;
    PACKAGE.call_once(|| package);
    export(move |_: &Scheduler| package)?;
    export(move |asked: &Admit| admit(package, asked))?;
    export(move |asked: &Join| join(package, asked.ticket).unwrap_or_else(no_turn))?;
    export(move |asked: &Wait| wait(package, asked.ticket).unwrap_or_else(no_turn))?;
    export(|asked: &Leave| leave(asked.ticket))
}
