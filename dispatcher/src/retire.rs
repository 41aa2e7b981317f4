//! The way to the housekeeper: a list of what may be destroyed after the next grace period.
//!
//! Linking is one compare-and-swap on a word inside the object itself: it allocates nothing, runs
//! nothing, and can be done anywhere.

use alloc::boxed::Box;
use core::{mem, ptr};

use crate::primitive::{AtomicPtr, AtomicUsize, Ordering};

/// What a retired object starts with.
#[repr(C)]
pub struct Retired {
    next: AtomicPtr<Retired>,
    /// Trusted code, run by the housekeeper once, after a grace period.
    finish: unsafe fn(*mut Retired),
}

impl Retired {
    /// A header whose object is finished off by `finish`.
    pub(crate) fn new(finish: unsafe fn(*mut Self)) -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()), finish }
    }
}

/// All that waits for a grace period. One in a kernel.
pub struct RetireList {
    head: AtomicPtr<Retired>,
    length: AtomicUsize,
}

impl RetireList {
    /// An empty list.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), length: AtomicUsize::new(0) }
    }

    /// An empty list; loom's atomics cannot be made at compile time.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), length: AtomicUsize::new(0) }
    }

    /// How many objects wait, for people to read.
    pub fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire).is_null()
    }

    /// Hands `object` to the housekeeper.
    ///
    /// # Safety
    ///
    /// `object` is the header of a live object which nobody can newly reach, whose `finish` may run
    /// on any core, and which is not on the list already.
    pub(crate) unsafe fn push(&self, object: *mut Retired) {
        // Relaxed: the count is for people.
        self.length.fetch_add(1, Ordering::Relaxed);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the object is ours until it is linked.
            unsafe { &*object }.next.store(head, Ordering::Relaxed);
            // Release: whoever takes the list (Acquire in `take`) sees the object as it was left,
            // and that it was unlinked from where it could be reached.
            match self.head.compare_exchange_weak(head, object, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Runs `action` on the housekeeper's strand after every raise that is now in progress has ended.
    pub fn after_grace(&self, action: impl FnOnce() + Send + 'static) {
        let deferred =
            Box::new(Deferred { header: Retired::new(Deferred::finish), action: Box::new(action) });
        // SAFETY: the object was just made, so it is on no list, and `finish` takes it apart.
        unsafe { self.push(Box::into_raw(deferred).cast()) }
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> Batch {
        Batch { head: self.head.swap(ptr::null_mut(), Ordering::Acquire) }
    }
}

impl Default for RetireList {
    fn default() -> Self {
        Self::new()
    }
}

#[repr(C)]
struct Deferred {
    header: Retired,
    action: Box<dyn FnOnce() + Send>,
}

impl Deferred {
    /// # Safety
    ///
    /// `object` was leaked by `after_grace` and is finished once.
    unsafe fn finish(object: *mut Retired) {
        // SAFETY: by the contract; the header is the first field.
        let deferred = unsafe { Box::from_raw(object.cast::<Self>()) };
        (deferred.action)();
    }
}

/// Retired objects that wait for the same grace period. Dropping it unfinished leaks them, which is
/// the safe side.
#[must_use]
pub(crate) struct Batch {
    head: *mut Retired,
}

// SAFETY: the objects are reached by the batch alone, and may be finished on any core.
unsafe impl Send for Batch {}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Finishes every object, in the order in which they were retired; says how many.
    ///
    /// # Safety
    ///
    /// A grace period has passed since the batch was taken.
    pub(crate) unsafe fn finish(mut self, list: &RetireList) -> usize {
        let mut head = self.oldest_first();
        let mut count = 0;
        while !head.is_null() {
            // SAFETY: linked objects are live until they are finished, which happens below, once.
            let object = unsafe { &*head };
            let (next, finish) = (object.next.load(Ordering::Relaxed), object.finish);
            // SAFETY: nobody can reach the object any more: the caller vouches for the grace period.
            unsafe { finish(head) };
            head = next;
            count += 1;
        }
        list.length.fetch_sub(count, Ordering::Relaxed);
        count
    }

    fn oldest_first(&mut self) -> *mut Retired {
        let mut reversed = ptr::null_mut();
        let mut head = mem::replace(&mut self.head, ptr::null_mut());
        while !head.is_null() {
            // SAFETY: linked objects are live, and reached by this batch alone.
            let next = unsafe { &*head }.next.swap(reversed, Ordering::Relaxed);
            reversed = head;
            head = next;
        }
        reversed
    }
}
