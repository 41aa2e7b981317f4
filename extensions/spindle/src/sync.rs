//! To wait for each other in good order: [`Mutex`], [`Condition`], [`Semaphore`], [`Channel`], [`Barrier`].
//!
//! They are the kernel's own, over this spindle's strands. Whoever must wait sleeps, first come, first served;
//! what is granted is handed over. A place in line is all that is allocated.
//!
//! ```no_run
//! use spindle::{Error, println, strand, sync::{Channel, Mutex}};
//! extern crate alloc;
//! use alloc::sync::Arc;
//!
//! static SUM: Mutex<u64> = Mutex::new(0);
//!
//! pub fn start() -> Result<(), Error> {
//!     // At most four wait to be added: who sends more is made to wait.
//!     let numbers = Arc::new(Channel::new(4));
//!     let receiver = numbers.clone();
//!     let adder = strand::spawn(move || {
//!         while let Ok(number) = receiver.receive() {
//!             *SUM.lock() += number;
//!         }
//!     })?;
//!     for number in 1..=100_u64 {
//!         numbers.send(number).map_err(|_| Error::Failed)?;
//!     }
//!     numbers.close();
//!     adder.join()?;
//!     println!("{}", *SUM.lock())
//! }
//! ```
//!
//! # When the strand shall end
//!
//! Once a strand was asked to end, or its spindle is unloaded, the waits that are `interruptible` or have a
//! deadline end with [`WaitError::Terminated`]. The plain ones (`lock`, `wait`, `send`, `receive`) wait on for what
//! they wait for, and since the kernel puts no such strand to sleep any more they ask again and again, with pauses in which
//! others run: good enough to tidy up, no way to live. A spindle that can be unloaded takes the interruptible ones
//! wherever it may wait for long.
//!
//! # Where they may be used
//!
//! On any strand that runs this spindle's code, in handlers too. A wait where the strand must not wait, in a
//! guard or a handler with a time bound, is a failure of the spindle, like a panic. In such a handler take the `try_`
//! forms; in a guard none of them may be used.
//! A lock belongs to the strand that took it, not to the spindle: who keeps a lock while raising an event
//! or calling another spindle makes others wait for code that is not theirs. Priorities are not lent.

use core::hint;

use waiting::Strands;

use crate::{
    Error, clock,
    strand::{self, Strand},
};

pub use waiting::{Error as WaitError, Refused};

/// A lock that its waiters sleep on.
pub type Mutex<T> = waiting::Mutex<T, Here>;
/// Access to what a [`Mutex`] guards.
pub type MutexGuard<'a, T> = waiting::MutexGuard<'a, T, Here>;
/// What to wait for while a [`Mutex`] is given back.
pub type Condition = waiting::Condition<Here>;
/// Signals that are counted.
pub type Semaphore = waiting::Semaphore<Here>;
/// Values on their way, no more than fit.
pub type Channel<T> = waiting::Channel<T, Here>;
/// Nobody goes on before all have come.
pub type Barrier = waiting::Barrier<Here>;

/// So often an inner lock is tried anew at once, and so often after others had the core.
const SPINS: u32 = 64;
const YIELDS: u32 = 256;
/// For how long to sleep between two tries after that, in nanoseconds: a less urgent holder gets the core.
const NAP_NS: u64 = 100_000;

/// The strands that run this spindle's code.
#[derive(Debug)]
pub struct Here;

/// The strand must not wait where it does.
#[cold]
#[track_caller]
fn must_not_wait(error: Error) -> ! {
    panic!("a strand waits where it must not: {error}")
}

/// What became of an attempt to sleep.
#[track_caller]
fn slept(outcome: Result<(), Error>) {
    match outcome {
        Ok(()) => {}
        // It is put to sleep no more, but what it waits for may need others to run.
        Err(Error::Terminated | Error::Closed) => _ = strand::yield_now(),
        Err(error) => must_not_wait(error),
    }
}

// SAFETY: nothing is lent.
unsafe impl Strands for Here {
    type Strand = Strand;

    /// At their landing, when the spindle has failed.
    const CAN_BE_CUT: bool = true;

    /// Nothing to shield from: whoever interrupts runs none of this spindle's code on this strand.
    #[inline(always)]
    fn shielded<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    /// The holder may have lost its core, perhaps to this strand.
    fn relax(tries: u32) {
        if tries < SPINS {
            hint::spin_loop();
        } else if tries < YIELDS || strand::sleep(NAP_NS).is_err() {
            _ = strand::yield_now();
        }
    }

    #[track_caller]
    fn current() -> Strand {
        strand::current().unwrap_or_else(|error| must_not_wait(error))
    }

    fn is_same(one: &Strand, other: &Strand) -> bool {
        one == other
    }

    fn block() {
        slept(strand::block());
    }

    fn block_until(deadline_ns: u64) {
        slept(strand::block_until(deadline_ns));
    }

    /// A name can be called when its strand has ended, so all is left to [`resume`](Self::resume).
    fn call(_strand: &Strand) -> bool {
        true
    }

    fn resume(strand: Strand) {
        match strand::unblock(strand) {
            // It has told its name in this spindle's code, so it may be called by it; if it has ended, nobody is
            // left who waits.
            Ok(()) | Err(Error::BadArgument) => {}
            // Better loud than a strand that waits for ever.
            Err(error) => panic!("a strand could not be woken: {error}"),
        }
    }

    fn now_ns() -> u64 {
        // Without a clock every deadline is past.
        clock::now().unwrap_or(u64::MAX)
    }

    fn is_terminated() -> bool {
        strand::is_terminated().unwrap_or(false)
    }
}
