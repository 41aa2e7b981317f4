//! What the allocators need of a processor, and the lock built on it.

use core::marker::PhantomData;

/// Cores that have caches of their own. A power of two.
pub const MAX_CORES: usize = 64;

/// What the allocators need of a processor. The kernel implements it over its cores, a host test
/// over threads.
///
/// Safe to implement: a wrong answer costs speed or, where an interrupt handler allocates, a
/// deadlock, but never memory safety, because every cache has a lock.
pub trait Machine: 'static {
    /// The index of the core that this runs on, below [`MAX_CORES`]. Called with interrupts masked,
    /// so that the answer stays true until they are unmasked. Two cores that answer alike share a
    /// cache and wait for each other.
    fn core() -> usize;

    /// Runs `work` with interrupts masked on this core, and then puts the interrupt flag back as it
    /// was. Nests. Without it an interrupt handler that allocates could wait for a lock that the
    /// code it interrupted holds.
    fn masked<R>(work: impl FnOnce() -> R) -> R;
}

/// A spin lock that is held with interrupts masked: for a few instructions, and never across a call
/// into code that may wait.
pub struct Lock<M, T> {
    inner: spin::Mutex<T>,
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine, T> Lock<M, T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: spin::Mutex::new(value), machine: PhantomData }
    }

    /// Runs `work` on the guarded value. Spins while another core holds the lock.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        M::masked(|| work(&mut self.inner.lock()))
    }

    /// The guarded value of a lock that nobody else can see.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

/// Keeps what it holds on cache lines of its own: two lines, since processors prefetch in pairs.
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// One of these for each core.
pub(crate) type PerCore<T> = [Padded<T>; MAX_CORES];

/// This core's entry. Call it masked, so that it stays this core's.
pub(crate) fn mine<M: Machine, T>(all: &PerCore<T>) -> &T {
    &all[M::core() % MAX_CORES].0
}
