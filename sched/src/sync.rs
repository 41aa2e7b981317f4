//! Blocking primitives over this scheduler's strands: those of [`waiting`], where their laws are written.

use alloc::sync::Arc;
use core::{hint, marker::PhantomData};

use dispatcher::context::might_sleep;
use waiting::{Lending, Strands};

use crate::{
    change,
    machine::Machine,
    strand::{Priority, Strand},
    terminate,
    wait::{block, block_until, make_runnable},
};

/// A lock that its waiters sleep on: for what is held across waits. Whoever waits lends its priority to the
/// owner.
pub type Mutex<T, M> = waiting::Mutex<T, StrandsOf<M>>;
/// Access to what a [`Mutex`] guards.
pub type MutexGuard<'a, T, M> = waiting::MutexGuard<'a, T, StrandsOf<M>>;
/// What to wait for while a [`Mutex`] is given back.
pub type Condition<M> = waiting::Condition<StrandsOf<M>>;
/// Signals that are counted.
pub type Semaphore<M> = waiting::Semaphore<StrandsOf<M>>;
/// Values on their way, no more than fit.
pub type Channel<T, M> = waiting::Channel<T, StrandsOf<M>>;
/// Nobody goes on before all have come.
pub type Barrier<M> = waiting::Barrier<StrandsOf<M>>;

/// The strands of a machine, for [`waiting`].
pub struct StrandsOf<M>(PhantomData<fn() -> M>);

// SAFETY: what a strand lends is part of it, and an `Arc` keeps it where it is.
unsafe impl<M: Machine + 'static> Strands for StrandsOf<M> {
    type Strand = Arc<Strand<M>>;

    /// Masked, so that neither an interrupt nor, on this core, another strand comes in between.
    #[inline(always)]
    fn shielded<T>(body: impl FnOnce() -> T) -> T {
        M::masked(body)
    }

    fn relax(_tries: u32) {
        // Its holder is masked on another core, and about to give it back.
        hint::spin_loop();
    }

    #[inline(always)]
    fn current() -> Arc<Strand<M>> {
        // SAFETY: on this core, masked by `shielded`; the reference ends with the statement.
        unsafe { M::core().local() }.current.clone()
    }

    #[inline(always)]
    fn is_same(one: &Arc<Strand<M>>, other: &Arc<Strand<M>>) -> bool {
        Arc::ptr_eq(one, other)
    }

    #[inline(always)]
    fn might_block() {
        assert!(M::is_preemptible(), "a strand that must not be preempted cannot block");
        if let Err(why) = might_sleep::<M>() {
            panic!("{why}");
        }
    }

    #[inline(always)]
    fn block() {
        block::<M>();
    }

    fn block_until(deadline_ns: u64) {
        block_until::<M>(deadline_ns);
    }

    #[inline(always)]
    fn call(strand: &Arc<Strand<M>>) -> bool {
        strand.token.call()
    }

    #[inline(always)]
    fn resume(strand: Arc<Strand<M>>) {
        make_runnable(strand);
    }

    fn now_ns() -> u64 {
        M::now_ns()
    }

    fn is_terminated() -> bool {
        terminate::is_terminated::<M>()
    }

    #[inline(always)]
    fn lending(strand: &Arc<Strand<M>>) -> Option<&Lending<Self>> {
        Some(&strand.lending)
    }

    fn urgency(strand: &Arc<Strand<M>>) -> u8 {
        strand.priority().number()
    }

    fn own_urgency(strand: &Arc<Strand<M>>) -> u8 {
        strand.base_priority().number()
    }

    fn lend(strand: &Arc<Strand<M>>, urgency: u8) {
        change::lend(strand, Priority::new(urgency));
    }

    fn take_back(strand: &Arc<Strand<M>>, urgency: u8) {
        change::take_back(strand, Priority::new(urgency));
    }
}
