//! Changes of an event: made beside what there is, and published at once or not at all.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use super::{AnyEvent, GuardInfo, InstallError};
use crate::{
    binding::Binding,
    domain::DomainState,
    guard::{GuardId, RawGuard},
    handler::{BindingId, RawHandler},
    order::{Placing, Rank},
    plan::{Compiled, Draft, Plan, Record},
    post::{Mailbox, Posting},
    processor::Processor,
    retire::RetireList,
};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An id that nothing else has: of a binding, or of an imposed guard.
pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// What the lock guards, once somebody has changed something.
pub(super) struct State {
    pub(super) draft: Draft,
    pub(super) most_handlers: usize,
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

impl<'a> Change<'a> {
    /// One that has changed nothing yet.
    pub(super) fn new(event: &'a AnyEvent, state: spin::MutexGuard<'a, Option<State>>, edit: Edit) -> Self {
        Self { event, state, edit, compiled: None }
    }

    /// Makes the plan.
    pub(super) fn compile(&mut self, retired: &'static RetireList) -> Result<(), InstallError> {
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
        if self.edit.draft.records.is_empty() {
            // No room is kept for a handler that has not come.
            self.edit.draft.records = Vec::new();
        }
        core::mem::swap(&mut state.draft, &mut self.edit.draft);
        let (bound_ns, on_overrun) = (state.draft.bound_ns, state.draft.on_overrun);
        let posted = state.draft.records.iter().filter(|record| record.mailbox.is_some());
        posted.for_each(|record| record.binding.note_event(bound_ns, on_overrun));
        let old = self.event.switch_to(compiled, state.draft.intrinsic);
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
    /// One that begins with what there is.
    pub(super) fn new(state: &State, args_size: usize) -> Result<Self, InstallError> {
        Ok(Self {
            draft: state.draft.try_clone()?,
            most_handlers: state.most_handlers,
            args_size,
            gone: Vec::new(),
            come: Vec::new(),
        })
    }

    fn position(&self, id: BindingId) -> Result<usize, InstallError> {
        let is_it = |record: &Record| record.binding.id == id;
        self.draft.records.iter().position(is_it).ok_or(InstallError::Unknown)
    }

    /// In which rank a binding stands, if it is there.
    fn rank_of(&self, id: BindingId) -> Option<Rank> {
        if id == BindingId::INTRINSIC {
            return (!self.draft.intrinsic.is_null()).then(Rank::default);
        }
        self.position(id).ok().map(|at| self.draft.records[at].placing.rank())
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
        // The draft has room for one more than there were; a transaction may bring several.
        self.draft.records.try_reserve(1).map_err(|_| InstallError::OutOfMemory)?;
        let record = self.admit(id, handler, None)?;
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
        let leaving = self.draft.records[at].binding.clone();
        let mut record = self.admit(id, handler, leaving.domain())?;
        let was = &self.draft.records[at];
        if record.placing == Placing::default() {
            // It stands where the other stood.
            record.placing = was.placing;
        }
        // The owner's terms are those of now; what he imposed on the other by himself stays.
        record.imposed.try_reserve(was.imposed.len()).map_err(|_| InstallError::OutOfMemory)?;
        record.imposed.extend(was.imposed.iter().filter(|(name, _)| name.is_some()).cloned());
        let was = core::mem::replace(&mut self.draft.records[at], record);
        self.draft.records.iter_mut().for_each(|record| record.placing.rename(old, id));
        self.gone.push(was.binding);
        Ok(())
    }

    /// Lets a handler in. Of the domain `leaving` one goes at the same time.
    fn admit(
        &mut self,
        id: BindingId,
        handler: &mut Option<Incoming>,
        leaving: Option<&Arc<DomainState>>,
    ) -> Result<Record, InstallError> {
        let incoming = handler.as_ref().expect("it is taken out once");
        let placing = incoming.placing.settle(|neighbour| self.rank_of(neighbour))?;
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
            // Both are counted until the change is published.
            let is_exchange = leaving.is_some_and(|leaving| Arc::ptr_eq(leaving, domain));
            if is_exchange {
                domain.exchanges_handler();
            } else if !domain.takes_handler() {
                return Err(InstallError::Quota);
            }
            self.come.push(incoming.binding.clone());
        }
        let incoming = handler.take().expect("it is still there");
        debug_assert_eq!(incoming.binding.id, id, "its own id");
        Ok(Record {
            binding: incoming.binding,
            placing,
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
        self.give_room_back();
        Ok(count)
    }

    /// Gives back what room is left in the draft. Where there is none to move to, it stays until the next
    /// change. (Shrinking would abort there.)
    pub(super) fn give_room_back(&mut self) {
        let mut kept = Vec::new();
        if kept.try_reserve_exact(self.draft.records.len()).is_ok() {
            kept.append(&mut self.draft.records);
            self.draft.records = kept;
        }
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
    /// By the owner's terms, which have no names.
    pub(super) imposed: Vec<(Option<GuardId>, Arc<RawGuard>)>,
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
