//! What there is to an event apart from its types: its plan, and the draft from which plans are made.

use alloc::{sync::Arc, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};

use super::{
    BindingInfo, EventInfo, InstallError,
    change::{Change, Edit, Replaced, State},
};
use crate::{
    merge::RawMerge,
    observe::Observation,
    plan::{BarePlan, Compiled, Draft, Plan, PlanKind, Shape},
    processor::Processor,
    published::Published,
};

/// The most handlers that one event takes, if its owner does not say otherwise.
pub const MOST_HANDLERS: usize = 16_384;

/// What there is to an event apart from its types.
pub struct AnyEvent {
    /// What raises run.
    pub(super) published: Published<Plan>,
    /// The plan for those who come after the last handler has gone.
    pub(super) home: BarePlan,
    name: &'static str,
    pub(super) shape: &'static Shape,
    merge: RawMerge,
    /// Guards what plans are made from; never held across a raise or a wait.
    draft: spin::Mutex<Option<State>>,
}

impl AnyEvent {
    pub(super) const fn new(
        name: &'static str,
        intrinsic: Option<*const ()>,
        shape: &'static Shape,
        merge: RawMerge,
    ) -> Self {
        let (intrinsic, plan) = match intrinsic {
            Some(intrinsic) => (intrinsic, ptr::null_mut()),
            None => (ptr::null(), Plan::empty()),
        };
        let home = BarePlan::intrinsic(shape.home, intrinsic);
        Self {
            published: Published { is_planned: AtomicBool::new(!plan.is_null()), plan: AtomicPtr::new(plan) },
            home,
            name,
            shape,
            merge,
            draft: spin::Mutex::new(None),
        }
    }

    pub(super) const fn set_merge(&mut self, merge: RawMerge) {
        self.merge = merge;
    }

    /// `Interface.Event`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many bytes the arguments have.
    pub const fn args_size(&self) -> usize {
        self.shape.args_size
    }

    fn first_state(&self) -> State {
        State {
            draft: Draft {
                records: Vec::new(),
                // Relaxed: it was declared so, and nobody has changed it yet.
                intrinsic: match self.published.is_planned.load(Ordering::Relaxed) {
                    true => ptr::null(),
                    false => self.home.intrinsic.load(Ordering::Relaxed),
                },
                merge: self.merge,
                bound_ns: None,
                on_overrun: None,
                observed: None,
            },
            most_handlers: MOST_HANDLERS,
        }
    }

    /// What is installed now.
    pub fn info<P: Processor>(&self) -> EventInfo {
        P::unpreempted(|| {
            let state = self.draft.lock();
            let first = self.first_state();
            let draft = &state.as_ref().unwrap_or(&first).draft;
            let plan = self.published.plan();
            let order: Vec<_> = draft.arrange().map(Iterator::collect).unwrap_or_default();
            EventInfo {
                name: self.name,
                kind: match () {
                    () if !self.published.is_planned.load(Ordering::Relaxed) => PlanKind::Intrinsic,
                    () if ptr::eq(plan, Plan::empty()) => PlanKind::Empty,
                    // SAFETY: it is not bare, and plans are replaced under the lock that is held here.
                    () => unsafe { Plan::kind_of(plan) },
                },
                merge: draft.merge.name(),
                bindings: order
                    .into_iter()
                    .map(|at| {
                        at.map_or_else(BindingInfo::intrinsic, |at| BindingInfo::of(&draft.records[at]))
                    })
                    .collect(),
                is_observed: draft.observed.is_some(),
            }
        })
    }

    /// Begins to watch the event, with fresh counts; each core is given counters.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    pub fn observe<P: Processor>(&self, cores: usize) -> Result<Arc<Observation>, InstallError> {
        let observation = Observation::new(cores)?;
        let seen = observation.clone();
        self.adjust::<P>(|edit| edit.observed = Some(seen))?;
        Ok(observation)
    }

    /// Watches it no more.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`: then it is watched still.
    pub fn unobserve<P: Processor>(&self) -> Result<(), InstallError> {
        self.adjust::<P>(|edit| {
            // Every draft has room for one more; what watching took goes back to the byte.
            edit.give_room_back();
            edit.observed = None;
        })
    }

    /// Changes what the plan is made from, all or nothing.
    pub(super) fn edit<P: Processor, T>(
        &self,
        edit: impl FnOnce(&mut Edit) -> Result<T, InstallError>,
    ) -> Result<T, InstallError> {
        // Declared out here: what was replaced is dropped after the lock was released.
        let mut replaced = Replaced::default();
        let result = P::unpreempted(|| {
            let mut change = self.begin()?;
            let result = edit(&mut change.edit)?;
            change.compile(P::retired())?;
            replaced = change.publish();
            Ok(result)
        });
        replaced.retire::<P>();
        result
    }

    /// As [`edit`](Self::edit), for what cannot fail by itself.
    pub(super) fn adjust<P: Processor>(&self, adjust: impl FnOnce(&mut Edit)) -> Result<(), InstallError> {
        self.edit::<P, _>(|edit| {
            adjust(edit);
            Ok(())
        })
    }

    /// Puts the intrinsic handler where raises take it from that find nothing else; one that was there stays
    /// when it is taken away, since raises may be on their way to it.
    fn settle_intrinsic(&self, intrinsic: *const ()) {
        let home = &self.home.intrinsic;
        // Relaxed: it is written under the lock, which the caller has.
        if !ptr::eq(home.load(Ordering::Relaxed), intrinsic) {
            // Release: pairs with the Acquire of the raise.
            home.store(intrinsic.cast_mut(), Ordering::Release);
        }
    }

    /// The instant at which the event changes. What raises ran until now comes back, if it is to be
    /// retired.
    pub(super) fn switch_to(&self, compiled: Compiled, intrinsic: *const ()) -> Option<*mut Plan> {
        let plan = match compiled {
            Compiled::Plan(plan) => plan,
            Compiled::Empty => Plan::empty(),
            Compiled::Intrinsic => {
                // Not before: a raise that has long seen that there was no plan, and is late, would find it
                // alone while it has never been that.
                self.settle_intrinsic(intrinsic);
                self.home.as_plan()
            }
        };
        let old = self.published.publish(plan, self.home.as_plan())?;
        (!ptr::eq(old, Plan::empty())).then_some(old)
    }

    /// Begins a change, with the lock. In [`Processor::unpreempted`].
    pub(super) fn begin(&self) -> Result<Change<'_>, InstallError> {
        let mut state = self.draft.lock();
        let old = state.get_or_insert_with(|| self.first_state());
        let edit = Edit::new(old, self.shape.args_size)?;
        Ok(Change::new(self, state, edit))
    }
}
