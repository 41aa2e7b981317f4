//! What there is to an event apart from its types: its plan, and the draft from which plans are made.

use alloc::{sync::Arc, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
};

use super::InstallError;
use crate::{
    binding::Binding,
    handler::{BindingId, RawHandler},
    merge::RawMerge,
    observe::Observation,
    order::{Order, Placing},
    plan::{BarePlan, Compiled, Draft, Plan, PlanKind, Record, Shape},
    post::{Counts, Mailbox, Posting},
    processor::Processor,
    published::Published,
};

/// The most handlers that one event takes, if its owner does not say otherwise.
pub const MOST_HANDLERS: usize = 16_384;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An id that nothing else has: of a binding, or of an imposed guard.
pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// What there is to an event apart from its types.
pub struct AnyEvent {
    /// What raises run.
    pub(super) published: Published<Plan>,
    /// The plan for those who come after the last handler has gone.
    pub(super) home: BarePlan,
    name: &'static str,
    shape: &'static Shape,
    merge: RawMerge,
    /// Guards what plans are made from; never held across a raise or a wait.
    draft: spin::Mutex<Option<State>>,
}

/// What the lock guards, once somebody has changed something.
struct State {
    draft: Draft,
    most_handlers: usize,
}

/// One event, for people to read.
#[derive(Clone, Debug)]
pub struct EventInfo {
    /// `Interface.Event`.
    pub name: &'static str,
    /// What a raise runs now.
    pub kind: PlanKind,
    /// How results are merged: `last`, `first`, `fold` or `own`.
    pub merge: &'static str,
    /// The bindings in the order in which they run.
    pub bindings: Vec<BindingInfo>,
    /// Is it watched?
    pub is_observed: bool,
}

/// One binding, for people to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingInfo {
    /// Its id; [`BindingId::INTRINSIC`] is the event's own.
    pub id: BindingId,
    /// Whose it is: none is the core's.
    pub domain: Option<u32>,
    /// Its own guards and those imposed on it.
    pub guards: Vec<GuardInfo>,
    /// What it asked of its place.
    pub orders: Vec<Order>,
    /// How long it may run at a time, in nanoseconds.
    pub bound_ns: Option<u64>,
    /// How often it ran longer.
    pub overruns: u64,
    /// May it change the arguments?
    pub is_filter: bool,
    /// How many strands sleep in it.
    pub sleepers: usize,
    /// What became of what was posted to it, if it is asynchronous.
    pub posts: Option<Counts>,
}

/// One guard, for people to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardInfo {
    /// A field must have a value.
    Key(crate::guard::RawKey, u64),
    /// A procedure decides.
    Predicate,
}

impl GuardInfo {
    fn of(guard: &crate::guard::RawGuard) -> Self {
        match &guard.0 {
            crate::guard::Test::Key(key, value) => Self::Key(*key, *value),
            crate::guard::Test::Predicate(_) => Self::Predicate,
        }
    }
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
        self.adjust::<P>(|edit| edit.observed = None)
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

    /// The instant at which the event changes. What raises ran until now comes back, if it is to be
    /// retired.
    fn switch_to(&self, compiled: Compiled) -> Option<*mut Plan> {
        let plan = match compiled {
            Compiled::Plan(plan) => plan,
            Compiled::Empty => Plan::empty(),
            Compiled::Intrinsic => self.home.as_plan(),
        };
        let old = self.published.publish(plan, self.home.as_plan())?;
        (!ptr::eq(old, Plan::empty())).then_some(old)
    }

    /// Begins a change, with the lock. In [`Processor::unpreempted`].
    pub(super) fn begin(&self) -> Result<Change<'_>, InstallError> {
        let mut state = self.draft.lock();
        let old = state.get_or_insert_with(|| self.first_state());
        let edit = Edit {
            draft: old.draft.try_clone()?,
            most_handlers: old.most_handlers,
            args_size: self.shape.args_size,
            gone: Vec::new(),
            come: Vec::new(),
        };
        Ok(Change { event: self, state, edit, compiled: None })
    }
}

impl BindingInfo {
    fn intrinsic() -> Self {
        Self {
            id: BindingId::INTRINSIC,
            domain: None,
            guards: Vec::new(),
            orders: Vec::new(),
            bound_ns: None,
            overruns: 0,
            is_filter: false,
            sleepers: 0,
            posts: None,
        }
    }

    fn of(record: &Record) -> Self {
        let binding = &record.binding;
        let imposed = record.imposed.iter().map(|(_, guard)| guard);
        Self {
            id: binding.id,
            domain: binding.domain().map(|domain| domain.id()),
            guards: binding.guards.iter().chain(imposed).map(|guard| GuardInfo::of(guard)).collect(),
            orders: record.placing.orders().collect(),
            bound_ns: binding.bound_ns,
            overruns: binding.overruns(),
            is_filter: binding.is_filter,
            sleepers: binding.sleepers(),
            posts: record.mailbox.as_ref().map(|mailbox| mailbox.counts()),
        }
    }
}

/// A change that is being made. Dropping it unpublished changes nothing.
pub(super) struct Change<'a> {
    event: &'a AnyEvent,
    state: spin::MutexGuard<'a, Option<State>>,
    pub(super) edit: Edit,
    compiled: Option<Compiled>,
}

/// What a change works on.
pub(super) struct Edit {
    pub(super) draft: Draft,
    pub(super) most_handlers: usize,
    args_size: usize,
    gone: Vec<Arc<Binding>>,
    come: Vec<Arc<Binding>>,
}

/// What a change leaves to be let go of, outside of the lock.
#[derive(Default)]
pub(super) struct Replaced {
    draft: Option<Draft>,
    gone: Vec<Arc<Binding>>,
    plan: Option<*mut Plan>,
}

impl Change<'_> {
    /// Makes the plan.
    pub(super) fn compile(
        &mut self,
        retired: &'static crate::retire::RetireList,
    ) -> Result<(), InstallError> {
        self.compiled = Some(self.edit.draft.compile(self.event.shape, retired)?);
        Ok(())
    }

    /// Makes raises run it. This is the instant at which the event changes.
    pub(super) fn publish(mut self) -> Replaced {
        let compiled = self.compiled.take().expect("it was compiled");
        self.edit.gone.iter().for_each(|binding| binding.mark_removed());
        self.edit.gone.iter().filter_map(|binding| binding.domain()).for_each(|domain| domain.lost_handler());
        // They were counted when they came; now they stay.
        self.edit.come.clear();
        let state = self.state.as_mut().expect("it was begun");
        state.most_handlers = self.edit.most_handlers;
        core::mem::swap(&mut state.draft, &mut self.edit.draft);
        let old = self.event.switch_to(compiled);
        let empty = Draft { records: Vec::new(), observed: None, ..self.edit.draft };
        Replaced {
            draft: Some(core::mem::replace(&mut self.edit.draft, empty)),
            gone: core::mem::take(&mut self.edit.gone),
            plan: old,
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let Some(Compiled::Plan(plan)) = self.compiled.take() {
            // SAFETY: it was compiled by this change and not published.
            unsafe { Plan::discard(plan) };
        }
    }
}

impl Drop for Edit {
    fn drop(&mut self) {
        // What came and was not published gives its place back.
        self.come.iter().filter_map(|binding| binding.domain()).for_each(|domain| domain.lost_handler());
    }
}

impl Replaced {
    /// Lets go of it.
    pub(super) fn retire<P: Processor>(self) {
        // The bindings first, which the plan still has: so the housekeeper is the last to have one, and
        // closures are dropped by him alone.
        drop(self.draft);
        drop(self.gone);
        if let Some(plan) = self.plan {
            // SAFETY: it was published until it was swapped out, and each change retires what it replaced.
            unsafe { Plan::retire(plan) };
            P::summon_keeper();
        }
    }
}

impl core::ops::Deref for Edit {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.draft
    }
}

impl core::ops::DerefMut for Edit {
    fn deref_mut(&mut self) -> &mut Draft {
        &mut self.draft
    }
}

impl Edit {
    fn position(&self, id: BindingId) -> Result<usize, InstallError> {
        let is_it = |record: &Record| record.binding.id == id;
        self.draft.records.iter().position(is_it).ok_or(InstallError::Unknown)
    }

    fn is_there(&self, id: BindingId) -> bool {
        let is_intrinsic = id == BindingId::INTRINSIC && !self.draft.intrinsic.is_null();
        is_intrinsic || self.position(id).is_ok()
    }

    /// Adds a handler, which is taken out of `handler` if it is.
    pub(super) fn install(
        &mut self,
        id: BindingId,
        handler: &mut Option<Incoming>,
    ) -> Result<(), InstallError> {
        if self.draft.records.len() >= self.most_handlers {
            return Err(InstallError::TooMany);
        }
        let record = self.admit(id, handler)?;
        self.draft.records.push(record);
        Ok(())
    }

    /// Puts a handler in the place of another.
    pub(super) fn replace(
        &mut self,
        old: BindingId,
        id: BindingId,
        handler: &mut Option<Incoming>,
    ) -> Result<(), InstallError> {
        let at = self.position(old)?;
        let mut record = self.admit(id, handler)?;
        let was = &self.draft.records[at];
        if record.placing == Placing::default() {
            // It stands where the other stood.
            record.placing = was.placing;
        }
        record.imposed = was.imposed.clone();
        let was = core::mem::replace(&mut self.draft.records[at], record);
        self.draft.records.iter_mut().for_each(|record| record.placing.rename(old, id));
        self.gone.push(was.binding);
        Ok(())
    }

    fn admit(&mut self, id: BindingId, handler: &mut Option<Incoming>) -> Result<Record, InstallError> {
        let incoming = handler.as_ref().expect("it is taken out once");
        incoming.placing.check(|neighbour| self.is_there(neighbour))?;
        let args_size = self.args_size;
        let mut guards =
            incoming.binding.guards.iter().chain(incoming.imposed.iter().map(|(_, guard)| guard));
        if guards.any(|guard| matches!(GuardInfo::of(guard), GuardInfo::Key(key, _) if !key.fits(args_size)))
        {
            return Err(InstallError::BadKey);
        }
        if let Some(domain) = incoming.binding.domain() {
            // Asked under the lock, by way of which a domain that was closed is cleared away.
            if !domain.is_open() {
                return Err(InstallError::Closed);
            }
            self.come.try_reserve(1).map_err(|_| InstallError::OutOfMemory)?;
            if !domain.takes_handler() {
                return Err(InstallError::Quota);
            }
            self.come.push(incoming.binding.clone());
        }
        let incoming = handler.take().expect("it is still there");
        debug_assert_eq!(incoming.binding.id, id, "its own id");
        Ok(Record {
            binding: incoming.binding,
            placing: incoming.placing,
            imposed: incoming.imposed,
            mailbox: incoming.mailbox,
        })
    }

    /// Takes every binding out for which `goes` says so.
    ///
    /// # Errors
    ///
    /// [`InstallError::Unknown`] if there is none: no new plan for nothing, or a domain could keep the
    /// housekeeper busy with that.
    pub(super) fn remove(&mut self, goes: impl Fn(&Binding) -> bool) -> Result<usize, InstallError> {
        let count = self.draft.records.iter().filter(|record| goes(&record.binding)).count();
        if count == 0 {
            return Err(InstallError::Unknown);
        }
        self.gone.try_reserve(count).map_err(|_| InstallError::OutOfMemory)?;
        let gone = self.draft.records.extract_if(.., |record| goes(&record.binding));
        self.gone.extend(gone.map(|record| record.binding));
        self.draft.records.shrink_to_fit();
        Ok(count)
    }

    /// The record of a binding.
    pub(super) fn record(&mut self, id: BindingId) -> Result<&mut Record, InstallError> {
        let at = self.position(id)?;
        Ok(&mut self.draft.records[at])
    }
}

/// A handler on its way in.
pub(super) struct Incoming {
    pub(super) binding: Arc<Binding>,
    placing: Placing,
    pub(super) imposed: Vec<(crate::guard::GuardId, Arc<crate::guard::RawGuard>)>,
    pub(super) posting: Option<Posting>,
    pub(super) mailbox: Option<Arc<Mailbox>>,
}

impl Incoming {
    pub(super) fn new(handler: RawHandler) -> (BindingId, Self) {
        let id = BindingId(next_id());
        let RawHandler { procedure, options } = handler;
        let binding = Binding::new(id, procedure, options.guards, options.bound_ns, options.is_filter);
        let incoming = Self {
            binding: Arc::new(binding),
            placing: options.placing,
            imposed: Vec::new(),
            posting: options.posting,
            mailbox: None,
        };
        (id, incoming)
    }
}
