//! Termination: a strand is asked to end, and does so as soon as it can.
//!
//! Safe code cannot be stopped in the middle of something: what it borrowed, holds or has half done would be
//! left so. (A cut does that, and faults the whole domain.) So a strand that is terminated
//!
//! - never begins, if it has not begun: when its turn comes its entry is dropped, on its own stack;
//! - ends its waits here with [`Terminated`], the one that it is in and all that follow;
//! - computes on until it asks [`is_terminated`] or waits here.
//!
//! Waits that somebody else relies on are not ended: [`block`], [`sleep_ns`](crate::sleep_ns), a lock that is
//! waited for, a join. Whoever joins a strand hears of its end as ever.

use alloc::sync::Arc;
use core::fmt;

use crate::{
    machine::Machine,
    strand::Strand,
    wait::{block, block_until, unblock},
};

/// The strand was asked to end, and should: by returning from where it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terminated;

impl fmt::Display for Terminated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the strand was terminated: clean up and return")
    }
}

impl core::error::Error for Terminated {}

/// How a wait ended that was not cut short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// Somebody has called, and there is time left.
    Called,
    /// The time is over; somebody may have called as well.
    TimedOut,
}

/// Asks `strand` to end. From anywhere. Says whether this was the first time, and changes nothing for one
/// that is over.
pub fn terminate<M: Machine>(strand: &Arc<Strand<M>>) -> bool {
    let is_first = strand.attributes.terminate();
    // The flag is set before the call, and looked at after it: a wait that it does not end finds it set
    // before it begins.
    unblock(strand);
    is_first
}

/// Was the running strand asked to end?
pub fn is_terminated<M: Machine>() -> bool {
    M::masked(|| {
        // SAFETY: on this core, masked; the reference ends with the statement.
        unsafe { M::core().local() }.current.is_terminated()
    })
}

/// The running strand goes on, unless it was asked to end.
fn check<M: Machine>() -> Result<(), Terminated> {
    if is_terminated::<M>() { Err(Terminated) } else { Ok(()) }
}

/// As [`block`], unless the strand is terminated.
///
/// # Errors
///
/// [`Terminated`], at once if it was so before.
#[track_caller]
pub fn try_block<M: Machine>() -> Result<(), Terminated> {
    check::<M>()?;
    block::<M>();
    check::<M>()
}

/// As [`block_until`], unless the strand is terminated.
///
/// # Errors
///
/// [`Terminated`], at once if it was so before.
#[track_caller]
pub fn try_block_until<M: Machine>(deadline_ns: u64) -> Result<Woken, Terminated> {
    check::<M>()?;
    if M::now_ns() < deadline_ns {
        block_until::<M>(deadline_ns);
        check::<M>()?;
    }
    Ok(if M::now_ns() < deadline_ns { Woken::Called } else { Woken::TimedOut })
}

/// As [`sleep_ns`](crate::sleep_ns), unless the strand is terminated.
///
/// # Errors
///
/// [`Terminated`], at once if it was so before.
#[track_caller]
pub fn try_sleep_ns<M: Machine>(nanoseconds: u64) -> Result<(), Terminated> {
    let deadline = M::now_ns().saturating_add(nanoseconds);
    while try_block_until::<M>(deadline)? == Woken::Called {}
    Ok(())
}
