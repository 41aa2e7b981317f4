//! Places where a part that starts later puts a procedure of its own, so that
//! what must run before it (traps, panics, the log) need not know it.

use core::marker::PhantomData;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The type of a plain function pointer.
///
/// # Safety
/// The implementor is a `fn` type, so it has a pointer's size and every value
/// of it can pass through a raw pointer and back.
pub unsafe trait Procedure: Copy {}

// SAFETY: a function pointer.
unsafe impl Procedure for fn() {}
// SAFETY: a function pointer.
unsafe impl Procedure for fn() -> u32 {}
// SAFETY: a function pointer.
unsafe impl Procedure for fn() -> u64 {}

/// A place for one procedure. Reading and setting are lock-free, in any context.
#[derive(Debug)]
pub struct Hook<F> {
    procedure: AtomicPtr<()>,
    holds: PhantomData<F>,
}

impl<F: Procedure> Hook<F> {
    /// A place with nothing in it.
    pub const fn new() -> Self {
        const { assert!(size_of::<F>() == size_of::<*mut ()>()) };
        Self { procedure: AtomicPtr::new(ptr::null_mut()), holds: PhantomData }
    }

    /// Puts `procedure` in, in place of what was there.
    pub fn set(&self, procedure: F) {
        // SAFETY: by the contract of `Procedure` this turns a function pointer
        // into a raw pointer of the same size.
        let pointer = unsafe { mem::transmute_copy::<F, *mut ()>(&procedure) };
        // Release: synchronizes with the load in `get`; what the setter
        // prepared for the procedure is visible to those who call it.
        self.procedure.store(pointer, Ordering::Release);
    }

    /// The procedure, where one was set.
    pub fn get(&self) -> Option<F> {
        // Acquire: synchronizes with the store in `set`.
        let pointer = self.procedure.load(Ordering::Acquire);
        if pointer.is_null() {
            return None;
        }
        // SAFETY: not null, so `set` made it from a value of this same type F,
        // which by the contract of `Procedure` survives the way back.
        Some(unsafe { mem::transmute_copy::<*mut (), F>(&pointer) })
    }
}

static CORE_ID: Hook<fn() -> u32> = Hook::new();

/// Which core this is, counted from 0; 0 until [`set_core_id`] was called. Any context.
pub fn core_id() -> u32 {
    CORE_ID.get().map_or(0, |core_id| core_id())
}

/// Says how to find out which core this is. From then on every core that runs
/// Rust must be able to answer, in any context, NMI included: set it when the
/// boot core's own per-core state stands, and before any other core starts.
pub fn set_core_id(core_id: fn() -> u32) {
    CORE_ID.set(core_id);
}
