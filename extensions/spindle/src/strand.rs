//! Strands: those that a spindle makes for itself, and what the one that runs may do.
//!
//! [`spawn`] makes a strand that runs a closure, and [`JoinHandle::join`] waits for what that returns. There is no
//! scoped form: what a strand uses it owns, or shares by `Arc`, since a failure may end its maker at any time.
//!
//! ```
//! use spindle::{Error, println, strand};
//!
//! pub fn start() -> Result<(), Error> {
//!     let sum = strand::spawn(|| (1..=100).sum::<u64>())?;
//!     println!("{}", sum.join()?)
//! }
//! # // On this machine there is no kernel to make it.
//! # assert_eq!(start(), Err(Error::Unbound));
//! ```
//!
//! What a strand borrows must live as long as the spindle:
//!
//! ```compile_fail,E0373
//! fn start() -> Result<(), spindle::Error> {
//!     let number = 7;
//!     let strand = spindle::strand::spawn(|| number + 1)?;
//!     strand.join().map(|_| ())
//! }
//! ```
//!
//! # How a strand ends
//!
//! When its closure returns. Nothing else ends it and leaves its spindle as it was: [`JoinHandle::terminate`]
//! *asks*, and every wait of the strand is over from then on, with [`Error::Terminated`]; it should return. When
//! the spindle is unloaded its waits are over with [`Error::Closed`], and it has three seconds to return. One
//! that goes on is cut, and so are all when any code of the spindle panics or faults: no destructor runs then.
//!
//! # Waiting for each other
//!
//! [`block`] waits until somebody calls [`unblock`] with this strand's [name](current), and returns at once if that has
//! happened since the last time. So a wake-up is never lost, but one may be older than the question, or be meant
//! for something else: look at what you wait for in a loop.
//!
//! ```
//! use core::sync::atomic::{AtomicU64, Ordering};
//! use spindle::{Error, strand::{self, Strand}};
//!
//! static WAITER: AtomicU64 = AtomicU64::new(0);
//!
//! fn wait_for(is_done: impl Fn() -> bool) -> Result<(), Error> {
//!     WAITER.store(strand::current()?.to_word(), Ordering::SeqCst);
//!     while !is_done() {
//!         strand::block()?;
//!     }
//!     Ok(())
//! }
//!
//! fn tell() -> Result<(), Error> {
//!     strand::unblock(Strand::from_word(WAITER.load(Ordering::SeqCst)))
//! }
//! # assert_eq!(wait_for(|| true), Err(Error::Unbound));
//! # assert_eq!(tell(), Err(Error::Unbound));
//! ```

extern crate alloc;

use alloc::{boxed::Box, sync::Arc};
use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    Error,
    installation::NONE,
    interface::signature_hash,
    interfaces::{clock, strand as raw},
    package::Package,
    plain::{Plain, Text},
};

/// The longest name of a strand, in bytes: what is beyond it is left out.
pub const MOST_NAME: usize = 32;
/// The priority of a strand that asks for none, and the highest that a spindle's strand can have.
pub const NORMAL: u8 = 16;

/// The name of a strand: a word by which others can wake it. It can be stored, and sent in an event's
/// arguments; whoever makes one up has the name of nobody, or of somebody whom he may not touch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Strand(u64);

// SAFETY: a number, which the kernel takes for an allegation.
unsafe impl Plain for Strand {
    const SHAPE: u64 = signature_hash("Strand", &[(size_of::<Self>(), align_of::<Self>())]);
}

impl Strand {
    /// The name of no strand.
    pub const NONE: Self = Self(0);

    /// Is it the name of no strand?
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// As a word, for an atomic one.
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// From [`to_word`](Self::to_word).
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }
}

/// A set of cores: bit *n* is core *n*.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreSet(pub u64);

impl CoreSet {
    /// Every core.
    pub const ALL: Self = Self(u64::MAX);

    /// Just one, of a number below 64.
    #[must_use]
    pub const fn only(core: u32) -> Self {
        Self(1 << core)
    }
}

crate::plain! {
    /// How the wish for a strand crosses to the kernel, which takes it for an allegation and checks it.
    pub struct Spawning {
        /// [`LAYOUT`](Self::LAYOUT): a kit of another version is found out by it.
        pub shape: u64,
        /// The code that begins.
        pub code: usize,
        /// What goes with it.
        pub closure: usize,
        /// 0 to [`NORMAL`].
        pub priority: u64,
        /// Bit *n* is core *n*.
        pub cores: u64,
        /// The thread package that schedules it, or [`NONE`].
        pub package: u64,
    }
}

impl Spawning {
    /// What [`shape`](Self::shape) must be.
    pub const LAYOUT: u64 = <Self as Plain>::SHAPE;
}

/// Makes a strand of [`NORMAL`] priority, on any core, that runs `closure`: see [`Builder`] for others.
///
/// # Errors
///
/// As for [`Builder::spawn`].
pub fn spawn<T, F>(closure: F) -> Result<JoinHandle<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new("strand").spawn(closure)
}

/// What a new strand shall be like.
///
/// ```
/// use spindle::strand::{Builder, CoreSet};
///
/// let strand = Builder::new("sweeper").priority(8).cores(CoreSet::only(1)).spawn(|| ());
/// # assert_eq!(strand.err(), Some(spindle::Error::Unbound));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Builder<'a> {
    name: &'a str,
    priority: u8,
    cores: CoreSet,
    package: Option<Package>,
}

impl<'a> Builder<'a> {
    /// A strand of [`NORMAL`] priority, on any core. The name is for people.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self { name, priority: NORMAL, cores: CoreSet::ALL, package: None }
    }

    /// How urgent it is: the greater, the sooner, up to [`NORMAL`].
    #[must_use]
    pub const fn priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    /// The cores on which it may run; of those, one must exist.
    #[must_use]
    pub const fn cores(self, cores: CoreSet) -> Self {
        Self { cores, ..self }
    }

    /// The thread package that schedules it: then priority and cores are the package's.
    #[must_use]
    pub const fn package(self, package: Package) -> Self {
        Self { package: Some(package), ..self }
    }

    /// Makes the strand and lets it run. It has a stack of 64 KiB. What the closure captures, and what it
    /// returns, lie in the spindle's own heap.
    ///
    /// Cost: a stack of the kernel's, often one that was used before; no wait.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the spindle has 1,024 strands, or for a priority above [`NORMAL`];
    /// [`Error::OutOfMemory`] if there is no memory for a stack; [`Error::BadArgument`] if none of the cores
    /// exists, or no such package; [`Error::Closed`] if the spindle is being unloaded; [`Error::Context`] in a
    /// guard. The closure is dropped then.
    pub fn spawn<T, F>(self, closure: F) -> Result<JoinHandle<T>, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let slot = Arc::new(Slot { is_filled: AtomicBool::new(false), value: UnsafeCell::new(None) });
        let body = Box::into_raw(Box::new(Body { closure, slot: slot.clone() }));
        let wanted = Spawning {
            shape: Spawning::LAYOUT,
            code: run::<T, F> as *const () as usize,
            closure: body.expose_provenance(),
            priority: u64::from(self.priority),
            cores: self.cores.0,
            package: self.package.map_or(NONE, |package| package.number().into()),
        };
        match raw::spawn(&wanted, Text::new(self.name)) {
            Ok(name) => Ok(JoinHandle { strand: Strand(name), slot }),
            Err(error) => {
                // SAFETY: it came from a box, and there is no strand that uses it.
                drop(unsafe { Box::from_raw(body) });
                Err(error)
            }
        }
    }
}

/// What a strand takes along.
struct Body<T, F> {
    closure: F,
    slot: Arc<Slot<T>>,
}

/// Where the result goes.
struct Slot<T> {
    is_filled: AtomicBool,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by the strand before the flag is set, and taken by the one who has the handle
// after the flag was seen.
unsafe impl<T: Send> Sync for Slot<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Slot<T> {}

/// The form in which the kernel begins a strand.
///
/// # Safety
///
/// `body` came from a box of such a body, and is used by nobody else.
unsafe extern "C" fn run<T, F: FnOnce() -> T>(body: *const (), _: *const (), _: *mut ()) {
    // SAFETY: by the contract.
    let body = unsafe { Box::from_raw(body.cast_mut().cast::<Body<T, F>>()) };
    if raw::is_terminated() == Ok(true) {
        // Nobody wants it any more.
        return;
    }
    let Body { closure, slot } = *body;
    let value = closure();
    // SAFETY: nobody looks there before the flag is set.
    unsafe { *slot.value.get() = Some(value) };
    // Release: pairs with the Acquire in `take`.
    slot.is_filled.store(true, Ordering::Release);
}

impl<T> Slot<T> {
    /// By the one who has the handle.
    fn take(&self) -> Option<T> {
        if !self.is_filled.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the strand wrote it before the flag, and does so once; there is one handle.
        unsafe { (*self.value.get()).take() }
    }
}

/// A strand that was made, for whoever waits for its end. If this is dropped, the strand goes on alone.
pub struct JoinHandle<T> {
    strand: Strand,
    slot: Arc<Slot<T>>,
}

impl<T> JoinHandle<T> {
    /// The strand's name.
    #[must_use]
    pub fn strand(&self) -> Strand {
        self.strand
    }

    /// Waits until the strand has ended, and returns what its closure returned. From then on it does not count
    /// among the spindle's strands.
    ///
    /// # Errors
    ///
    /// [`Error::Terminated`] if it was asked to end before it had begun, as all are when the spindle is unloaded, or
    /// if the strand that calls was asked to end; [`Error::Closed`] if it has not ended and the spindle is being
    /// unloaded; [`Error::Context`] for the strand itself, and
    /// where nobody may wait. The strand goes on alone then.
    pub fn join(self) -> Result<T, Error> {
        wait_for(self.strand)?;
        self.slot.take().ok_or(Error::Terminated)
    }

    /// Asks the strand to end: its waits are over, and it sees by [`is_terminated`] that it should return. If it
    /// has not begun, its closure is dropped instead of being run. No harm if it has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Context`] in a guard.
    pub fn terminate(&self) -> Result<(), Error> {
        terminate(self.strand)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("JoinHandle").field("strand", &self.strand).finish_non_exhaustive()
    }
}

/// Waits until a strand of this spindle's has ended; returns at once if it has, or if that is the name of no strand.
///
/// # Errors
///
/// [`Error::BadArgument`] for a strand that is not this spindle's; [`Error::Context`] for the one that calls, for
/// one for which somebody waits already, and where nobody may wait; else as for [`block`].
pub fn wait_for(strand: Strand) -> Result<(), Error> {
    raw::join(strand.0)
}

/// Asks a strand of this spindle's to end: see [`JoinHandle::terminate`].
///
/// # Errors
///
/// [`Error::BadArgument`] for a strand that is not this spindle's; [`Error::Context`] in a guard.
pub fn terminate(strand: Strand) -> Result<(), Error> {
    raw::terminate(strand.0)
}

/// The name of the strand that runs the caller: one of its own, or, in a handler, that of whoever raised. Code
/// in which a strand has told its name can wake it.
///
/// # Errors
///
/// [`Error::Limit`] if so many strands have names that there are no more.
pub fn current() -> Result<Strand, Error> {
    raw::current().map(Strand)
}

/// Was the running strand asked to end, or is its spindle being unloaded? For those who compute for long.
///
/// # Errors
///
/// [`Error::OutOfStack`] where hardly any is left.
pub fn is_terminated() -> Result<bool, Error> {
    raw::is_terminated()
}

/// Waits until somebody calls [`unblock`] on the running strand; returns at once if that has happened since the
/// last time. May return for no reason: look at what you wait for in a loop.
///
/// # Errors
///
/// [`Error::Context`] where the strand must not wait; [`Error::Closed`] if the spindle whose code waits is being
/// unloaded; [`Error::Terminated`] if the strand was asked to end, or its own spindle is being unloaded.
pub fn block() -> Result<(), Error> {
    raw::block()
}

/// As [`block`], but no longer than until `deadline_ns`, on the clock of [`clock::now`].
///
/// # Errors
///
/// As for [`block`].
pub fn block_until(deadline_ns: u64) -> Result<(), Error> {
    raw::block_until(deadline_ns)
}

/// Lets a strand go on: now if it waits in [`block`], else the next time that it would. No harm if it has ended.
///
/// # Errors
///
/// [`Error::BadArgument`] for a strand that is another spindle's, and has not told its name in this one's code.
pub fn unblock(strand: Strand) -> Result<(), Error> {
    raw::unblock(strand.0)
}

/// Sleeps for so many nanoseconds, at least. Others run on this core meanwhile.
///
/// # Errors
///
/// As for [`block`].
pub fn sleep(nanoseconds: u64) -> Result<(), Error> {
    raw::sleep(nanoseconds)
}

/// Sleeps until `deadline_ns`, on the clock of [`clock::now`]; not at all if that is past.
///
/// # Errors
///
/// As for [`block`].
pub fn sleep_until(deadline_ns: u64) -> Result<(), Error> {
    match deadline_ns.saturating_sub(clock::now()?) {
        0 => Ok(()),
        nanoseconds => raw::sleep(nanoseconds),
    }
}

/// Lets others run on this core first.
///
/// # Errors
///
/// [`Error::Context`] where the strand must not give way.
pub fn yield_now() -> Result<(), Error> {
    raw::yield_now()
}
