//! From bindings to plans.

use alloc::{
    alloc::{Layout, alloc},
    boxed::Box,
    sync::Arc,
    vec::Vec,
};
use core::ptr;

use hashbrown::HashMap;

use super::{Direct, Entry, EntryTest, Plan, PlanKind, Traits, keyed};
use crate::{
    binding::Binding,
    event::{InstallError, Overrun},
    guard::{GuardId, RawGuard, RawKey, Test},
    handler::BindingId,
    merge::RawMerge,
    observe::Observation,
    order::{self, Placing},
    post::Mailbox,
    references::References,
    retire::{RetireList, Retired},
};

/// How many handlers must be keyed alike before a probe is cheaper than looking at each.
const WORTH_AN_INDEX: usize = 3;

/// What an event's types come to, for code that knows none.
pub(crate) struct Shape {
    /// Runs any plan of this event.
    pub(crate) general: Direct,
    /// Runs a plan of handlers without conditions of which the last one's result counts.
    pub(crate) few: Option<Direct>,
    /// As `general`, and notes what it sees.
    pub(crate) observed: Direct,
    /// Calls the intrinsic handler, which is the entry's closure.
    pub(crate) intrinsic: Direct,
    /// Calls the intrinsic handler, which is the bare plan's.
    pub(crate) home: Direct,
    pub(crate) is_narrow: bool,
    pub(crate) args_size: usize,
}

/// One binding and what was decided about it.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) binding: Arc<Binding>,
    pub(crate) placing: Placing,
    /// By the owner: by name, or by the terms on which it came in.
    pub(crate) imposed: Vec<(Option<GuardId>, Arc<RawGuard>)>,
    pub(crate) mailbox: Option<Arc<Mailbox>>,
}

/// What an event comes to.
pub(crate) enum Compiled {
    /// Nothing stands there.
    Empty,
    /// Nothing but the intrinsic handler.
    Intrinsic,
    /// All else.
    Plan(*mut Plan),
}

/// All from which a plan is made.
pub(crate) struct Draft {
    /// In the order of installation.
    pub(crate) records: Vec<Record>,
    /// The intrinsic handler, or null.
    pub(crate) intrinsic: *const (),
    pub(crate) merge: RawMerge,
    /// What any handler may take at a time.
    pub(crate) bound_ns: Option<u64>,
    pub(crate) on_overrun: Option<fn(Overrun)>,
    pub(crate) observed: Option<Arc<Observation>>,
}

// SAFETY: the intrinsic handler is a procedure, which any core may call.
unsafe impl Send for Draft {}

impl Draft {
    /// A copy with room for one more record.
    pub(crate) fn try_clone(&self) -> Result<Self, InstallError> {
        let mut records = Vec::new();
        records.try_reserve_exact(self.records.len() + 1).map_err(|_| InstallError::OutOfMemory)?;
        records.extend(self.records.iter().cloned());
        Ok(Self { records, observed: self.observed.clone(), ..*self })
    }

    /// The order in which they run: indices of `records`, none for the intrinsic handler.
    pub(crate) fn arrange(&self) -> Result<impl Iterator<Item = Option<usize>>, InstallError> {
        let has_intrinsic = !self.intrinsic.is_null();
        let mut wishes = Vec::new();
        wishes.try_reserve_exact(self.records.len() + 1).map_err(|_| InstallError::OutOfMemory)?;
        wishes.extend(has_intrinsic.then(|| (BindingId::INTRINSIC, Placing::default())));
        wishes.extend(self.records.iter().map(|record| (record.binding.id, record.placing)));
        let skipped = usize::from(has_intrinsic);
        Ok(order::arrange(&wishes)?.into_iter().map(move |at| (at as usize).checked_sub(skipped)))
    }

    /// Compiles a plan. Cost: O(n log n).
    pub(crate) fn compile(
        &self,
        shape: &Shape,
        retired: &'static RetireList,
    ) -> Result<Compiled, InstallError> {
        if self.records.is_empty() && self.observed.is_none() {
            let is_empty = self.intrinsic.is_null();
            return Ok(if is_empty { Compiled::Empty } else { Compiled::Intrinsic });
        }
        let mut entries = Vec::new();
        entries.try_reserve_exact(self.records.len() + 1).map_err(|_| InstallError::OutOfMemory)?;
        for at in self.arrange()? {
            entries.push(match at {
                Some(at) => Entry::handler(&self.records[at], self.bound_ns, shape)?,
                None => Entry::plain(shape.intrinsic, self.intrinsic),
            });
        }
        let index = index(&mut entries)?;
        // The intrinsic handler alone brings its own result, watched or not.
        let merge = if self.records.is_empty() { RawMerge::Last } else { self.merge };
        let (kind, head) = self.head(&mut entries, index.as_ref(), shape);
        let plan = Plan {
            head,
            header: Retired::new(Plan::finish),
            references: References::new(),
            retired,
            kind,
            merge,
            on_overrun: self.on_overrun,
            entries,
            index,
            observed: self.observed.clone(),
        };
        leak(plan).map(Compiled::Plan)
    }

    /// What a raise of the plan calls.
    fn head(
        &self,
        entries: &mut Vec<Entry>,
        index: Option<&keyed::Index>,
        shape: &Shape,
    ) -> (PlanKind, Entry) {
        let is_plain = entries.iter().all(|entry| entry.traits.is_plain());
        let wants_all = matches!(self.merge, RawMerge::Own(_));
        let kind = match index {
            Some(_) => PlanKind::Keyed,
            None if is_plain && entries.len() == 1 && !wants_all => PlanKind::Single,
            None if is_plain => PlanKind::Few,
            None => PlanKind::General,
        };
        let head = |direct| Entry::plain(direct, ptr::null());
        if self.observed.is_some() {
            return (kind, head(shape.observed));
        }
        if let [entry] = &mut entries[..]
            && !wants_all
            && entry.becomes_single()
        {
            return (PlanKind::Single, entries.remove(0));
        }
        if kind == PlanKind::Few
            && matches!(self.merge, RawMerge::Last)
            && let Some(few) = shape.few
        {
            return (kind, head(few));
        }
        let pure = index.filter(|index| index.is_pure() && is_plain && !wants_all);
        (kind, head(pure.map_or(shape.general, |index| keyed::keyed(index.key))))
    }
}

/// Takes the key that most entries have out of their tests and makes an index of it.
fn index(entries: &mut [Entry]) -> Result<Option<keyed::Index>, InstallError> {
    // A filter may change what the key says for those who come after it.
    if entries.len() < WORTH_AN_INDEX || entries.iter().any(|entry| entry.traits.has(Traits::FILTER)) {
        return Ok(None);
    }
    let mut counts: HashMap<RawKey, usize> = HashMap::new();
    for key in entries.iter().flat_map(|entry| entry.keys()) {
        if !counts.contains_key(&key) {
            counts.try_reserve(1).map_err(|_| InstallError::OutOfMemory)?;
        }
        *counts.entry(key).or_default() += 1;
    }
    // Of equals the one that stands foremost, so that the plan is the same each time.
    let best = counts.into_iter().max_by_key(|(key, count)| (*count, core::cmp::Reverse(*key)));
    let Some((key, _)) = best.filter(|(_, count)| *count >= WORTH_AN_INDEX) else { return Ok(None) };
    let mut wants = Vec::new();
    wants.try_reserve_exact(entries.len()).map_err(|_| InstallError::OutOfMemory)?;
    wants.extend(entries.iter_mut().map(|entry| entry.take_key(key)));
    keyed::Index::build(key, &wants).map(Some)
}

/// Puts a plan where it can be published from.
fn leak(plan: Plan) -> Result<*mut Plan, InstallError> {
    // SAFETY: a plan has a size.
    let room = unsafe { alloc(Layout::new::<Plan>()) }.cast::<Plan>();
    if room.is_null() {
        return Err(InstallError::OutOfMemory);
    }
    // SAFETY: it was allocated with the layout of a plan.
    unsafe { room.write(plan) };
    Ok(room)
}

impl Plan {
    /// Destroys a plan that was compiled and never published.
    ///
    /// # Safety
    ///
    /// Just that.
    pub(crate) unsafe fn discard(plan: *mut Self) {
        // SAFETY: it came from `leak`, whose layout is a box's.
        drop(unsafe { Box::from_raw(plan) });
    }
}

impl Entry {
    /// A handler at the far end of its mailbox. Whoever runs it asks its binding for its bound.
    pub(crate) fn remote(binding: &Arc<Binding>, is_narrow: bool) -> Self {
        let procedure = &binding.procedure;
        Self {
            domain: procedure.domain().map_or(ptr::null(), Arc::as_ptr),
            code: procedure.code,
            binding: Some(binding.clone()),
            ..Self::plain(procedure.direct(is_narrow), procedure.closure)
        }
    }

    fn handler(record: &Record, event_bound_ns: Option<u64>, shape: &Shape) -> Result<Self, InstallError> {
        let binding = &record.binding;
        let procedure = &binding.procedure;
        let guards = binding.guards.iter().chain(record.imposed.iter().map(|(_, guard)| guard));
        let mut tests = Vec::new();
        let count = binding.guards.len() + record.imposed.len();
        tests.try_reserve_exact(count).map_err(|_| InstallError::OutOfMemory)?;
        let bound_ns = [binding.bound_ns, event_bound_ns].into_iter().flatten().min();
        tests.extend(guards.map(|guard| EntryTest::new(guard, binding, bound_ns)));
        let mut traits = 0;
        traits |= if tests.is_empty() { 0 } else { Traits::GUARDED };
        traits |= if binding.is_filter { Traits::FILTER } else { 0 };
        traits |= if bound_ns.is_some() { Traits::BOUNDED } else { 0 };
        traits |= if record.mailbox.is_some() { Traits::POSTED } else { 0 };
        Ok(Self {
            domain: procedure.domain().map_or(ptr::null(), Arc::as_ptr),
            code: procedure.code,
            traits: Traits(traits),
            bound_ns: bound_ns.unwrap_or_default(),
            tests,
            mailbox: record.mailbox.clone(),
            binding: Some(binding.clone()),
            ..Self::plain(procedure.direct(shape.is_narrow), procedure.closure)
        })
    }

    fn keys(&self) -> impl Iterator<Item = RawKey> {
        self.tests.iter().filter_map(|test| match test {
            EntryTest::Key(key, _) => Some(*key),
            EntryTest::Predicate(..) => None,
        })
    }

    /// Takes the first test of that key out; says what it wants.
    fn take_key(&mut self, key: RawKey) -> Option<u64> {
        let at = self.tests.iter().position(|test| matches!(test, EntryTest::Key(own, _) if *own == key))?;
        let EntryTest::Key(_, wanted) = self.tests.remove(at) else { unreachable!("it was just found") };
        if self.tests.is_empty() {
            self.traits.0 &= !Traits::GUARDED;
        }
        Some(wanted)
    }

    /// Makes it the head of a plan if it can be: without conditions, or with one key.
    fn becomes_single(&mut self) -> bool {
        if !self.traits.is_plain() {
            if self.traits != Traits(Traits::GUARDED) || self.tests.len() > 1 {
                return false;
            }
            let Some(key) = self.keys().next() else { return false };
            let wanted = self.take_key(key).expect("it has that key");
            self.key = (key, wanted);
            self.then = self.direct;
            self.direct = keyed::matched(key);
        }
        self.traits = Traits(Traits::SINGLE);
        true
    }
}

impl EntryTest {
    fn new(guard: &Arc<RawGuard>, binding: &Arc<Binding>, bound_ns: Option<u64>) -> Self {
        let predicate = match &guard.0 {
            Test::Key(key, wanted) => return Self::Key(*key, *wanted),
            Test::Predicate(predicate) => predicate,
        };
        // A domain's guard may take no longer than its handler; an owner knows what he imposes.
        let bound_ns = bound_ns.filter(|_| predicate.domain().is_some());
        let bounded = if bound_ns.is_some() { Traits::BOUNDED } else { 0 };
        let entry = Entry {
            domain: predicate.domain().map_or(ptr::null(), Arc::as_ptr),
            code: predicate.code,
            traits: Traits(Traits::PREDICATE | bounded),
            bound_ns: bound_ns.unwrap_or_default(),
            binding: Some(binding.clone()),
            // A truth is a byte, whatever the event's own results are.
            ..Entry::plain(predicate.direct(true), predicate.closure)
        };
        Self::Predicate(Box::new(entry), guard.clone())
    }
}
