//! A task that was left to others, for whoever waits for what comes of it.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use spindle::{Error, Strand, strand};

use crate::worker::Worker;

/// Who waits for a task.
#[derive(Clone, Copy)]
pub enum Owner {
    /// The worker of that number, whose own it was.
    Worker(usize),
    /// A strand that is none of the pool's.
    Outsider(Strand),
}

/// Where the result goes.
struct Slot<T> {
    is_done: AtomicBool,
    value: spin::Mutex<Option<Result<T, Error>>>,
    owner: Owner,
}

/// The result of a task, to come. If this is dropped, the task is done all the same.
pub struct Task<T> {
    slot: Arc<Slot<T>>,
    /// The task's number in its owner's deque.
    pub(crate) number: u64,
}

/// Where a task leaves its result.
pub struct Promise<T>(Arc<Slot<T>>);

impl<T: Send + 'static> Task<T> {
    /// A task of that number, and where its result goes.
    pub(crate) fn new(number: u64, owner: Owner) -> (Self, Promise<T>) {
        let slot = Slot { is_done: AtomicBool::new(false), value: spin::Mutex::new(None), owner };
        let slot = Arc::new(slot);
        (Self { slot: slot.clone(), number }, Promise(slot))
    }

    /// Is there a result?
    #[must_use]
    pub fn is_done(&self) -> bool {
        // SeqCst: pairs with the store in `keep`; whoever finds it not done after it has said that it sleeps is woken.
        self.slot.is_done.load(Ordering::SeqCst)
    }

    /// Was it left by the worker of that number?
    pub(crate) fn is_of(&self, worker: usize) -> bool {
        matches!(self.slot.owner, Owner::Worker(owner) if owner == worker)
    }

    /// The result, once.
    pub(crate) fn take(&self) -> Option<Result<T, Error>> {
        if self.is_done() { self.slot.value.lock().take() } else { None }
    }
}

impl<T> Promise<T> {
    /// This came of it, on that worker: tells who waits for it.
    pub fn keep(self, on: &Worker, value: Result<T, Error>) {
        *self.0.value.lock() = Some(value);
        self.0.is_done.store(true, Ordering::SeqCst);
        match self.0.owner {
            Owner::Worker(owner) if owner == on.index() => {}
            Owner::Worker(owner) => on.wake(owner),
            // If it has ended, nobody is left who waits.
            Owner::Outsider(strand) => _ = strand::unblock(strand),
        }
    }
}
