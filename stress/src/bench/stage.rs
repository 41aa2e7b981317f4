//! The machine, as far as a case must know it.

use alloc::boxed::Box;

use dispatcher::{BindingId, Event, InstallError, Processor};

use crate::Kernel;

/// The arguments of the events that are raised: two words, as a packet's port and its number are.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// What keys compare.
    pub key: u64,
    /// What handlers add one to.
    pub number: u64,
}

/// An event that is raised for the sake of it.
pub type Tried<P> = Event<Args, u64, P>;

/// The events that are raised. Statics, as events are: each machine has one of this.
pub struct Events<P> {
    /// Has its intrinsic handler, and never another.
    pub intrinsic: Tried<P>,
    /// Has none of its own; takes what a case installs.
    pub bare: Tried<P>,
    /// Has nothing to answer; takes asynchronous handlers.
    pub told: Event<Args, (), P>,
}

impl<P: Processor> Events<P> {
    /// Nothing is installed on any.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            intrinsic: Event::new("Bench.Intrinsic", Some(add_one)),
            bare: Event::new("Bench.Bare", None).open(),
            told: Event::new("Bench.Told", None).open(),
        }
    }
}

impl<P: Processor> Default for Events<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// What every handler does: next to nothing. Part of the code by which it is called, as small handlers
/// are; the call that all are compared with hides behind a pointer what it calls.
#[inline]
pub fn add_one(args: &Args) -> u64 {
    args.number.wrapping_add(1)
}

/// Goes on beside a measurement until it is dropped.
pub type Meanwhile = Box<dyn Send + Sync>;

/// A machine on which cases run: the booted kernel, or threads of a host.
pub trait Stage: Sync + 'static {
    /// Its processor.
    type Processor: Processor;

    /// Its events: of a static, so that the address is known where they are raised.
    fn events() -> &'static Events<Self::Processor>;

    /// Installs the equivalent of [`add_one`] as the code of a domain that is not the core's: behind a
    /// landing.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    fn install_foreign(&self, event: &'static Tried<Self::Processor>) -> Result<BindingId, InstallError>;

    /// Runs `body` over and over on other cores, if there are any, until the result is dropped.
    fn meanwhile(&'static self, body: fn(&'static Self)) -> Meanwhile;

    /// Waits until what was posted is delivered. Nobody measures meanwhile.
    fn rest(&self);

    /// Waits until what was retired is gone. Nobody measures meanwhile.
    fn settle(&self);
}

/// A place in the stream of a core's instructions that a recorder outside of the machine can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// On one core, while no other records: the next phase begins.
    Phase,
    /// This core's record of the phase begins, or begins anew.
    Begin,
    /// It ends.
    End,
}

/// A kernel that can be measured from within.
pub trait Instrument: Kernel + Stage {
    /// What the time-stamp counter says: time, or instructions where the machine counts those.
    fn ticks(&self) -> u64;

    /// Runs `body` with this core's interrupts masked. For milliseconds.
    fn undisturbed(&self, body: &mut dyn FnMut());

    /// Sets a mark. Cost: one instruction without effect.
    fn mark(&self, mark: Mark);

    /// Raises `Demo.Hello` so many times, in a loop of the shape that all cases have.
    fn raise_hello_times(&self, times: u64);

    /// Raises `Demo.Hello` once, with that number; the answer, if there is one.
    fn raise_hello_with(&self, number: u64) -> Option<u64>;
}
