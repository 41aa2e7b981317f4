//! Bindings: handlers that are, or were, installed on one event.

use alloc::sync::Arc;

use crate::{
    domain::DomainState,
    event::Overrun,
    guard::RawGuard,
    handler::{BindingId, Procedure},
    primitive::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
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
    /// For those who run it by way of no plan: the event's bound in nanoseconds, and who hears of overruns.
    event_bound_ns: AtomicU64,
    on_overrun: AtomicPtr<()>,
}

/// In `event_bound_ns`: there is none.
const UNBOUNDED: u64 = u64::MAX;

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
            event_bound_ns: AtomicU64::new(UNBOUNDED),
            on_overrun: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Notes what the event says of its handlers, for those who run this one by way of no plan.
    pub(crate) fn note_event(&self, bound_ns: Option<u64>, on_overrun: Option<fn(Overrun)>) {
        // Relaxed: two words that nothing else hangs on; an invocation may find the one new and not the other.
        self.event_bound_ns.store(bound_ns.unwrap_or(UNBOUNDED), Ordering::Relaxed);
        let report = on_overrun.map_or(core::ptr::null_mut(), |report| report as *mut ());
        self.on_overrun.store(report, Ordering::Relaxed);
    }

    /// How long it may run at a time, by its own bound and the event's.
    pub(crate) fn tightest_bound_ns(&self) -> Option<u64> {
        let event_bound_ns = self.event_bound_ns.load(Ordering::Relaxed);
        let event_bound_ns = (event_bound_ns != UNBOUNDED).then_some(event_bound_ns);
        [self.bound_ns, event_bound_ns].into_iter().flatten().min()
    }

    /// Who hears of it when it runs for too long.
    pub(crate) fn on_overrun(&self) -> Option<fn(Overrun)> {
        let report = self.on_overrun.load(Ordering::Relaxed);
        // SAFETY: null, which is none, or what `note_event` made of such a procedure.
        unsafe { core::mem::transmute::<*mut (), Option<fn(Overrun)>>(report) }
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
