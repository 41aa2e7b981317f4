//! What is tormented.

use alloc::{boxed::Box, string::String};

/// How much of the kernel's memory is in use; equal before and after whatever came and went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// Free frames of 4 KiB, those in caches included.
    pub free_frames: usize,
    /// Bytes of the kernel's heap that are in use.
    pub heap_bytes: usize,
    /// Participants of the epoch that are in use.
    pub participants: usize,
    /// All that there are. The pool grows when many strands are preempted inside of raises at once, and
    /// keeps what it grew by.
    pub pool: usize,
}

/// What came of a raise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A handler's result.
    Got(u64),
    /// Nobody handles the event now.
    Nobody,
    /// A handler failed.
    Failed,
}

/// Waits for the end of a strand.
pub type Join = Box<dyn FnOnce() + Send>;

/// The kernel, as far as a torment must know it. All of it is called on strands.
pub trait Kernel: Sync {
    /// How many cores there are; their numbers begin with 0.
    fn cores(&self) -> u32;

    /// The core that runs the caller now.
    fn this_core(&self) -> u32;

    /// Runs `body` on a strand that stays on core `core`.
    ///
    /// # Errors
    ///
    /// Why there is no such strand.
    fn spawn_on(&self, core: u32, body: Box<dyn FnOnce() + Send>) -> Result<Join, String>;

    /// Raises `Demo.Hello` in the name of core `core`.
    fn raise_hello(&self, number: u64, core: u32) -> Answer;

    /// How often handlers have told, by `Demo.Heard`, of core `core`.
    fn heard_of(&self, core: u32) -> u64;

    /// Loads a spindle of the boot archive.
    ///
    /// # Errors
    ///
    /// Why it was not loaded.
    fn load(&self, spindle: &str) -> Result<(), String>;

    /// Unloads it.
    ///
    /// # Errors
    ///
    /// Why it was not unloaded.
    fn unload(&self, spindle: &str) -> Result<(), String>;

    /// Lets others run for a fraction of a millisecond. True if it is certain that the caller blocked:
    /// where time passes fast, it may be over before he could.
    fn pause(&self) -> bool;

    /// A point at which an interrupt may strike, on a machine where they are polled.
    fn breathe(&self) {}

    /// Waits until what was retired is gone, and takes the level.
    fn level(&self) -> Level;
}
