//! Strands with guarded stacks.

use alloc::sync::Arc;
use core::fmt;

use sched::{Builder, CoreSet};

use super::{Cpu, Handle, Package, stacks};
use crate::memory::MapError;

/// The stack of a strand, in bytes: four times what a foreign handler must find at least.
pub const STACK_SIZE: usize = 64 * 1024;

/// Why there is no new strand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpawnError {
    /// No stack for it.
    Stack(MapError),
    /// The scheduler's reason.
    Scheduler(sched::SpawnError),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack(error) => write!(out, "no stack for a new strand: {error}"),
            Self::Scheduler(error) => error.fmt(out),
        }
    }
}

impl core::error::Error for SpawnError {}

/// A strand as `builder` says, with a guarded stack of [`STACK_SIZE`]. On a strand.
///
/// # Errors
///
/// See [`SpawnError`].
#[inline]
pub fn spawn(builder: Builder, entry: impl FnOnce() + Send + 'static) -> Result<Handle, SpawnError> {
    spawn_sized(builder, STACK_SIZE, entry)
}

/// As [`spawn`], with a stack of so many bytes, rounded up to pages. A strand that raises needs what a
/// foreign handler must find and its own frames beside; one of the kernel's own that does not, and the
/// interrupts upon it, get by with 16 KiB.
///
/// # Errors
///
/// See [`SpawnError`].
pub fn spawn_sized(
    builder: Builder,
    stack_bytes: usize,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Handle, SpawnError> {
    let stack = stacks::take(stack_bytes).map_err(SpawnError::Stack)?;
    builder.spawn::<Cpu>(stack, entry).map_err(SpawnError::Scheduler)
}

/// A strand of a thread package's, as [`spawn`].
///
/// # Errors
///
/// See [`SpawnError`].
pub fn spawn_managed(
    package: &Arc<Package>,
    builder: Builder,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Handle, SpawnError> {
    let stack = stacks::take(STACK_SIZE).map_err(SpawnError::Stack)?;
    builder.spawn_managed::<Cpu>(package, stack, entry).map_err(SpawnError::Scheduler)
}

/// A strand of normal priority that stays on core `core`.
///
/// # Errors
///
/// See [`SpawnError`].
pub fn spawn_on(
    core: usize,
    name: &str,
    entry: impl FnOnce() + Send + 'static,
) -> Result<Handle, SpawnError> {
    spawn(Builder::new(name).affinity(CoreSet::only(core)), entry)
}
