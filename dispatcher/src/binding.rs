//! Bindings: handlers that are, or were, installed on one event.

use alloc::sync::Arc;

use crate::{
    domain::DomainState,
    guard::RawGuard,
    handler::{BindingId, Procedure},
    primitive::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// One handler on one event.
pub(crate) struct Binding {
    pub(crate) id: BindingId,
    pub(crate) procedure: Procedure,
    pub(crate) guards: alloc::vec::Vec<Arc<RawGuard>>,
    pub(crate) bound_ns: Option<u64>,
    pub(crate) is_filter: bool,
    removed: AtomicBool,
    sleepers: AtomicUsize,
    overruns: AtomicU64,
}

impl Binding {
    pub(crate) fn new(
        id: BindingId,
        procedure: Procedure,
        guards: alloc::vec::Vec<Arc<RawGuard>>,
        bound_ns: Option<u64>,
        is_filter: bool,
    ) -> Self {
        Self {
            id,
            procedure,
            guards,
            bound_ns,
            is_filter,
            removed: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            overruns: AtomicU64::new(0),
        }
    }

    pub(crate) fn domain(&self) -> Option<&Arc<DomainState>> {
        self.procedure.domain()
    }

    pub(crate) fn belongs_to(&self, domain: u32) -> bool {
        self.domain().is_some_and(|owner| owner.id() == domain)
    }

    /// Set before the plan without it is published.
    pub(crate) fn mark_removed(&self) {
        // Release: pairs with the Acquire below; a raise that slept and then finds it unset is
        // covered by its core's epoch from then on.
        self.removed.store(true, Ordering::Release);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// How many passages through it are asleep. As [`DomainState::sleepers`], for one handler.
    pub(crate) fn sleepers(&self) -> usize {
        // Acquire: pairs with the Release in `woke`.
        self.sleepers.load(Ordering::Acquire)
    }

    pub(crate) fn fell_asleep(&self) {
        // Relaxed: read after a grace period, which cannot pass before this core repins.
        self.sleepers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn woke(&self) {
        // Release: see `sleepers`.
        self.sleepers.fetch_sub(1, Ordering::Release);
    }

    /// It ran longer than it may.
    pub(crate) fn count_overrun(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }
}
