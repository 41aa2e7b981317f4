//! C-Threads, a thread package in the manner of the one that gave it its name: strands that run first come, first
//! served, with mutexes and conditions. The first package to read.
//!
//! The kernel asks it whom to run ([`ThreadPackage`]), and applications use it by the events of its interface. Both
//! meet in one [`State`]. A strand that waits for a mutex is in the mutex's queue and nowhere else: the kernel
//! does not know that it waits, only that the package keeps it. So a hand-over costs one raise and one switch.
//!
//! On one core nobody who has not given up the core loses it to another of these strands: that is C-Threads' way. On
//! several, one queue feeds all; who has many short strands wants `forkjoin`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod table;

use alloc::{collections::VecDeque, vec::Vec};

use cthreads_interface::{
    Broadcast, Drop, Lock, NewCondition, NewMutex, Scheduler, Signal, Unlock, Wait, answer,
};
use spindle::{
    Error, Strand, export,
    package::{Builder, Next, Package, Reason, ThreadPackage, Why},
    strand,
};
use table::{Table, Thing};

/// How long a strand sleeps between two looks when the package was ejected and it waits for a mutex still, in
/// nanoseconds.
const LOOK_NS: u64 = 1_000_000;

/// Everything there is.
struct State {
    /// Who can run, in the order in which they came.
    ready: VecDeque<Strand>,
    /// Those among them who had lost a core. One of these may be in a mutex's queue, too: it was about to wait, and
    /// goes on to do so when it runs. Whoever gives it the mutex meanwhile must not make it ready twice.
    preempted: Vec<Strand>,
    /// Virtual processors that had nobody to run, when they asked last: bit *n* is core *n*.
    idle: u64,
    table: Table,
}

impl State {
    /// Who is next.
    fn pop(&mut self) -> Option<Strand> {
        let next = self.ready.pop_front()?;
        if !self.preempted.is_empty() {
            self.preempted.retain(|strand| *strand != next);
        }
        Some(next)
    }

    /// Who was next does not run yet after all, and stays the first. It stands in both lists, whether it had lost a
    /// core or not: so nobody makes it ready twice.
    fn put_back(&mut self, strand: Strand) {
        self.ready.push_front(strand);
        self.preempted.push(strand);
    }

    /// It has what it waited for: makes it ready, unless it is. Says whether it was made so.
    fn rouse(&mut self, strand: Strand) -> bool {
        let is_new = !self.preempted.contains(&strand);
        if is_new {
            self.ready.push_back(strand);
        }
        is_new
    }
}

static STATE: spin::Mutex<State> =
    spin::Mutex::new(State { ready: VecDeque::new(), preempted: Vec::new(), idle: 0, table: Table::new() });

struct CThreads;

impl ThreadPackage for CThreads {
    fn resume(&self, core: u32) -> Next {
        let mut state = STATE.lock();
        match state.pop() {
            Some(strand) => {
                state.idle &= !(1 << core);
                Next::Run(strand)
            }
            None => {
                state.idle |= 1 << core;
                Next::Idle
            }
        }
    }

    fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
        let mut state = STATE.lock();
        state.ready.push_back(strand);
        state.preempted.push(strand);
    }

    fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
        let mut state = STATE.lock();
        if reason == Reason::Yielded {
            state.ready.push_back(strand);
        }
        state.pop()
    }

    fn unblock(&self, strand: Strand) {
        STATE.lock().ready.push_back(strand);
    }
}

/// Takes a mutex for `me`; false if it has to wait, and is in the queue now.
fn take(state: &mut State, mutex: u64, me: Strand) -> Result<bool, u64> {
    match state.table.get(mutex) {
        Some(Thing::Mutex { owner, .. }) if *owner == me => Err(answer::NOT_YOURS),
        Some(Thing::Mutex { owner, .. }) if owner.is_none() => {
            *owner = me;
            Ok(true)
        }
        Some(Thing::Mutex { waiters, .. }) => {
            waiters.push_back(me);
            Ok(false)
        }
        _ => Err(answer::UNKNOWN),
    }
}

/// Gives a mutex of `me`'s to the first who waits for it, who can run then.
fn give(state: &mut State, mutex: u64, me: Strand) -> Result<(), u64> {
    match state.table.get(mutex) {
        Some(Thing::Mutex { owner, waiters, .. }) if *owner == me => {
            *owner = waiters.pop_front().unwrap_or(Strand::NONE);
            let next = *owner;
            if !next.is_none() {
                let is_roused = state.rouse(next);
                state.table.called(mutex, is_roused);
            }
            Ok(())
        }
        Some(Thing::Mutex { .. }) => Err(answer::NOT_YOURS),
        _ => Err(answer::UNKNOWN),
    }
}

/// Somebody was made ready: resumes a virtual processor that has nobody, if there is one.
fn tell(package: Package, has_idle: bool) {
    if has_idle {
        // If the package was ejected there is nobody to resume.
        let _ = package.wake();
    }
}

/// The running strand, which is in the mutex's queue, gives its core up until it has the mutex.
///
/// From the moment at which it stands in the queue, another core may give it the mutex and make it ready, and a
/// third may want to run it, while it is still on its way out: then it must go out all the same, so that
/// whoever wants it gets it. Only if it has not been made ready may it just go on.
fn wait_for(package: Package, mutex: u64, me: Strand) -> u64 {
    let mut is_alone = false;
    loop {
        let mut state = STATE.lock();
        let Some(Thing::Mutex { owner, is_called, .. }) = state.table.get(mutex) else {
            state.table.forget(me);
            return answer::UNKNOWN;
        };
        if *owner == me && (is_alone || !*is_called) {
            return answer::DONE;
        }
        let next = state.pop();
        if next == Some(me) {
            // Nobody else wants it any more.
            state.table.ran(mutex, me);
            continue;
        }
        drop(state);
        match package.hand_off(next.unwrap_or(Strand::NONE)) {
            Ok(()) => STATE.lock().table.ran(mutex, me),
            // Nobody runs strands for it any more: the kernel runs them all, and this one has to look.
            Err(Error::Closed) => {
                is_alone = true;
                // A strand that shall end does not sleep, and is told so below.
                if strand::sleep(LOOK_NS).is_err() {
                    return forget(package, me, mutex);
                }
            }
            // That one was let go meanwhile: somebody else, then.
            Err(Error::BadArgument) => {}
            // It was let go to end, and has no core to hand to anybody.
            Err(_) => {
                if let Some(next) = next {
                    STATE.lock().put_back(next);
                }
                return forget(package, me, mutex);
            }
        }
    }
}

/// The strand does not wait for the mutex any more, since it must not; if it has got it, the next one gets it.
fn forget(package: Package, me: Strand, mutex: u64) -> u64 {
    let mut state = STATE.lock();
    if give(&mut state, mutex, me).is_err() {
        state.table.forget(me);
    }
    let has_idle = state.idle != 0 && !state.ready.is_empty();
    drop(state);
    tell(package, has_idle);
    if strand::is_terminated() == Ok(true) { answer::TERMINATED } else { answer::NO_THREAD }
}

fn lock(package: Package, mutex: u64) -> u64 {
    let Ok(me) = package.current() else { return answer::NO_THREAD };
    let taken = take(&mut STATE.lock(), mutex, me);
    match taken {
        Ok(true) => answer::DONE,
        Ok(false) => wait_for(package, mutex, me),
        Err(why) => why,
    }
}

fn unlock(package: Package, mutex: u64) -> u64 {
    // One that was let go to end gives back what it has.
    let Ok(me) = package.current().or_else(|_| strand::current()) else { return answer::NO_THREAD };
    let mut state = STATE.lock();
    let given = give(&mut state, mutex, me);
    let has_idle = state.idle != 0 && !state.ready.is_empty();
    drop(state);
    tell(package, has_idle);
    given.err().unwrap_or(answer::DONE)
}

fn wait(package: Package, condition: u64, mutex: u64) -> u64 {
    let Ok(me) = package.current() else { return answer::NO_THREAD };
    let mut state = STATE.lock();
    if !matches!(state.table.get(condition), Some(Thing::Condition(_))) {
        return answer::UNKNOWN;
    }
    if let Err(why) = give(&mut state, mutex, me) {
        return why;
    }
    if let Some(Thing::Condition(waiters)) = state.table.get(condition) {
        waiters.push_back((me, mutex));
    }
    let has_idle = state.idle != 0 && state.ready.len() > 1;
    drop(state);
    tell(package, has_idle);
    wait_for(package, mutex, me)
}

/// Whoever waited for the condition waits for the mutex from now on, or has it.
fn wake(state: &mut State, (strand, mutex): (Strand, u64)) {
    match take(state, mutex, strand) {
        Ok(true) => {
            let is_roused = state.rouse(strand);
            state.table.called(mutex, is_roused);
        }
        Ok(false) => {}
        // The mutex was dropped meanwhile, as the strand will see.
        Err(_) => _ = state.rouse(strand),
    }
}

fn signal(package: Package, condition: u64, most: usize) -> u64 {
    let mut state = STATE.lock();
    for _ in 0..most {
        let waiter = match state.table.get(condition) {
            Some(Thing::Condition(waiters)) => waiters.pop_front(),
            _ => return answer::UNKNOWN,
        };
        match waiter {
            Some(waiter) => wake(&mut state, waiter),
            None => break,
        }
    }
    let has_idle = state.idle != 0 && !state.ready.is_empty();
    drop(state);
    tell(package, has_idle);
    answer::DONE
}

/// Registers the package, and exports its interface.
pub fn start() -> Result<(), Error> {
    let package = Builder::new("cthreads").register(CThreads)?;
    export(move |_: &Scheduler| package)?;
    export(|_: &NewMutex| STATE.lock().table.add(Thing::new_mutex()))?;
    export(|_: &NewCondition| STATE.lock().table.add(Thing::Condition(VecDeque::new())))?;
    export(|drop: &Drop| STATE.lock().table.remove(drop.number))?;
    export(move |asked: &Lock| lock(package, asked.mutex))?;
    export(move |asked: &Unlock| unlock(package, asked.mutex))?;
    export(move |asked: &Wait| wait(package, asked.condition, asked.mutex))?;
    export(move |asked: &Signal| signal(package, asked.condition, 1))?;
    export(move |asked: &Broadcast| signal(package, asked.condition, usize::MAX))
}
