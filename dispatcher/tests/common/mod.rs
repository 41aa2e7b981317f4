//! What the tests of the dispatcher share.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use dispatcher::{BindingId, DomainState, Event, InstallError, handler::RawHandler, host::Host};

/// Counts what is alive of something.
#[derive(Clone, Default)]
pub struct Census(Arc<AtomicUsize>);

/// One that is counted while it lives.
pub struct Citizen(Arc<AtomicUsize>);

impl Census {
    pub fn citizen(&self) -> Citizen {
        self.0.fetch_add(1, Ordering::Relaxed);
        Citizen(self.0.clone())
    }

    pub fn alive(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// `procedure` as a domain's code, see [`install_foreign`].
pub fn foreign<A: 'static, R: Copy + 'static, F: Fn(&A) -> R + Sync>(
    domain: &Arc<DomainState>,
    procedure: &F,
) -> RawHandler {
    // SAFETY: the tests keep `procedure` until nothing can call it any more.
    unsafe { RawHandler::foreign(call::<A, R, F>, std::ptr::from_ref(procedure).cast(), domain.clone()) }
}

/// Installs `procedure` as a domain's code. It is borrowed, as code and closure of a domain are by the
/// core: it must outlive the binding and the grace period after its removal.
pub fn install_foreign<A: 'static, R: Copy + 'static, F: Fn(&A) -> R + Sync>(
    event: &Event<A, R, Host>,
    domain: &Arc<DomainState>,
    procedure: &F,
) -> Result<BindingId, InstallError> {
    let handler = foreign::<A, R, F>(domain, procedure);
    // SAFETY: `call` takes an `A` and writes an `R`.
    unsafe { event.install_raw(handler) }
}

/// The code of a domain's procedure, as its glue would have it.
///
/// # Safety
///
/// `closure` points to an `F`, `args` to an `A`, `result` to room for an `R`.
pub unsafe extern "C" fn call<A, R, F: Fn(&A) -> R>(closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract.
    let procedure = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<A>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<R>().write(procedure(args)) }
}

/// Runs `body` on a thread without a core, as another core's strand, and waits for it.
pub fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join().expect("it does not panic"))
}

/// A small seeded generator (xorshift64*), the same on every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}
