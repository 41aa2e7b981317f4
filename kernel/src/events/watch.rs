//! Watching an event: one at a time may, since watching begins with counts of its own.

#[cfg(feature = "ktest")]
mod tests;

use alloc::{sync::Arc, vec::Vec};
use core::{fmt, ptr};

use dispatcher::{
    InstallError, Processor,
    event::AnyEvent,
    observe::{Observation, Seen},
};
use sched::Machine;

use super::{EventRef, KernelEvent, exported::Exported};
use crate::strands::{Cpu, Mutex};

/// The events that somebody watches. Also what takes turns: whoever begins or ends holds it throughout.
static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

/// An event that stays while it is watched.
#[derive(Clone)]
pub enum Watched {
    /// One that stays for ever.
    Static(&'static AnyEvent),
    /// A spindle's.
    Exported(Arc<Exported>),
}

impl Watched {
    fn any(&self) -> &AnyEvent {
        match self {
            Self::Static(event) => event,
            Self::Exported(event) => event.any(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Static(event) => event.name(),
            Self::Exported(event) => event.name(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        ptr::eq(self.any(), other.any())
    }
}

impl From<&'static AnyEvent> for Watched {
    fn from(event: &'static AnyEvent) -> Self {
        Self::Static(event)
    }
}

impl From<&EventRef> for Watched {
    fn from(event: &EventRef) -> Self {
        match event {
            EventRef::Own(event) => Self::Static(event.any()),
            EventRef::Exported(event) => Self::Exported(event.clone()),
        }
    }
}

/// An event that is watched, until this is dropped.
pub struct Watch {
    event: Watched,
    observation: Arc<Observation>,
    since_ns: u64,
}

/// Why an event cannot be watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchError {
    /// Somebody else does. Its text is to follow the event's name.
    Busy,
    /// No memory for the counters.
    OutOfMemory,
    /// The event's reason.
    Event(InstallError),
}

impl fmt::Display for WatchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => {
                out.write_str("is watched already, and two would share their counts: let the other end")
            }
            Self::OutOfMemory => out.write_str("no memory for the counters: unload a spindle"),
            Self::Event(error) => error.fmt(out),
        }
    }
}

impl core::error::Error for WatchError {}

impl Watch {
    /// Begins. Raises that begin from now on are counted. Cost: a new plan, and some 2 KiB for each core.
    /// On a strand, since it may wait.
    ///
    /// # Errors
    ///
    /// See [`WatchError`]; the event is as it was.
    pub fn begin(event: impl Into<Watched>) -> Result<Self, WatchError> {
        let event = event.into();
        let mut watched = WATCHED.lock();
        if watched.iter().any(|other| other.is(&event)) {
            return Err(WatchError::Busy);
        }
        watched.try_reserve(1).map_err(|_| WatchError::OutOfMemory)?;
        let cores = Cpu::scheduler().cores().map(|core| core.id() + 1).max().unwrap_or(1);
        let observation = event.any().observe::<Cpu>(cores).map_err(WatchError::Event)?;
        watched.push(event.clone());
        Ok(Self { event, observation, since_ns: Cpu::now_ns() })
    }

    /// What has been seen: for each core, by its number.
    pub fn seen(&self) -> Vec<Seen> {
        self.observation.seen().collect()
    }

    /// How often it was raised, as far as those raises are over.
    pub fn raises(&self) -> u64 {
        self.observation.seen().map(|seen| seen.raises).sum()
    }

    /// The raises one by one.
    pub fn observation(&self) -> &Observation {
        &self.observation
    }

    /// For how long it has been watched.
    pub fn elapsed_ns(&self) -> u64 {
        Cpu::now_ns() - self.since_ns
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = WATCHED.lock();
        if let Err(error) = self.event.any().unobserve::<Cpu>() {
            // It goes on to count, in memory that stays; the next to watch it replaces that.
            ::log::error!("{} is watched still, and slower for it: {error}", self.event.name());
        }
        watched.retain(|other| !other.is(&self.event));
        watched.shrink_to_fit();
    }
}
