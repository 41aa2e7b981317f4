//! What an application of `cthreads` uses: strands that run first come, first served, mutexes and conditions.
//!
//! ```ignore
//! use cthreads_interface::{Condition, Mutex, fork};
//!
//! let (mutex, filled) = (Mutex::new()?, Condition::new()?);
//! let filler = fork("filler", move || {
//!     mutex.lock()?;
//!     filled.signal()?;
//!     mutex.unlock()
//! })?;
//! mutex.lock()?;
//! filled.wait(mutex)?;
//! mutex.unlock()?;
//! filler.join()??;
//! ```
//!
//! All of it is for strands that were [forked](fork); others get [`Error::Context`]. A mutex, or a condition, is a
//! number that whoever knows it can use, on any strand of `cthreads`.
#![no_std]
#![forbid(unsafe_code)]

use spindle::{
    Error,
    package::Package,
    raise,
    strand::{Builder, JoinHandle},
};

/// The raw events: an answer is one of these, or a number.
pub mod answer {
    /// Done.
    pub const DONE: u64 = 0;
    /// There is no mutex, or no condition, of that number.
    pub const UNKNOWN: u64 = 1;
    /// The strand that asks does not have the mutex, or has it already.
    pub const NOT_YOURS: u64 = 2;
    /// The strand that asks is none that was forked.
    pub const NO_THREAD: u64 = 3;
    /// There is no room for one more.
    pub const FULL: u64 = 4;
    /// The strand shall end: its waits are over.
    pub const TERMINATED: u64 = 5;
}

spindle::events! { "CThreads":
    /// Who schedules.
    pub event Scheduler { pub reserved: u64 } -> Package;
    /// Makes a mutex: its number, or zero.
    pub event NewMutex { pub reserved: u64 } -> u64;
    /// Makes a condition: its number, or zero.
    pub event NewCondition { pub reserved: u64 } -> u64;
    /// Takes a mutex back that nobody has or waits for, or a condition that nobody waits for.
    pub event Drop { pub number: u64 } -> u64;
    /// Takes a mutex.
    pub event Lock { pub mutex: u64 } -> u64;
    /// Gives it back.
    pub event Unlock { pub mutex: u64 } -> u64;
    /// Gives a mutex back, waits for a condition, and takes the mutex again.
    pub event Wait { pub condition: u64, pub mutex: u64 } -> u64;
    /// Lets the first go on who waits for a condition.
    pub event Signal { pub condition: u64 } -> u64;
    /// Lets all go on.
    pub event Broadcast { pub condition: u64 } -> u64;
}

fn done(answer: u64) -> Result<(), Error> {
    match answer {
        answer::DONE => Ok(()),
        answer::UNKNOWN => Err(Error::BadArgument),
        answer::NOT_YOURS => Err(Error::Denied),
        answer::FULL => Err(Error::Limit),
        answer::TERMINATED => Err(Error::Terminated),
        _ => Err(Error::Context),
    }
}

fn number(number: u64) -> Result<u64, Error> {
    if number == 0 { Err(Error::Limit) } else { Ok(number) }
}

/// Makes a strand that `cthreads` schedules; [`JoinHandle::join`] waits for what `closure` returns.
///
/// # Errors
///
/// As for [`Builder::spawn`]; [`Error::Unbound`] if `cthreads` is gone.
pub fn fork<T, F>(name: &str, closure: F) -> Result<JoinHandle<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let package = raise(&Scheduler { reserved: 0 })?;
    Builder::new(name).package(package).spawn(closure)
}

/// Only one at a time has it; who waits is served in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mutex(u64);

impl Mutex {
    /// A mutex that nobody has.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if there are too many; [`Error::Unbound`] if `cthreads` is gone, as for all below.
    pub fn new() -> Result<Self, Error> {
        number(raise(&NewMutex { reserved: 0 })?).map(Self)
    }

    /// Takes it, and waits if somebody else has it.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if the strand has it already; [`Error::Context`] if it was not forked.
    pub fn lock(self) -> Result<(), Error> {
        done(raise(&Lock { mutex: self.0 })?)
    }

    /// Gives it back.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if somebody else has it, or nobody.
    pub fn unlock(self) -> Result<(), Error> {
        done(raise(&Unlock { mutex: self.0 })?)
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if somebody has it.
    pub fn end(self) -> Result<(), Error> {
        done(raise(&Drop { number: self.0 })?)
    }
}

/// Something to wait for, that who has a mutex finds is not so yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition(u64);

impl Condition {
    /// A condition for which nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::new`].
    pub fn new() -> Result<Self, Error> {
        number(raise(&NewCondition { reserved: 0 })?).map(Self)
    }

    /// Gives `mutex` back and waits, in one step; has the mutex again when it returns. Look again whether it is so:
    /// somebody else may have had the mutex in between.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if the strand does not have the mutex; [`Error::Terminated`], without the mutex, if it
    /// shall end.
    pub fn wait(self, mutex: Mutex) -> Result<(), Error> {
        done(raise(&Wait { condition: self.0, mutex: mutex.0 })?)
    }

    /// Lets the first go on who waits; with nobody there it is lost.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] if there is no such condition any more.
    pub fn signal(self) -> Result<(), Error> {
        done(raise(&Signal { condition: self.0 })?)
    }

    /// Lets all go on who wait.
    ///
    /// # Errors
    ///
    /// As for [`signal`](Self::signal).
    pub fn broadcast(self) -> Result<(), Error> {
        done(raise(&Broadcast { condition: self.0 })?)
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if somebody waits.
    pub fn end(self) -> Result<(), Error> {
        done(raise(&Drop { number: self.0 })?)
    }
}
