//! Plans: what a raise runs, compiled from an event's bindings and never changed afterwards.
//!
//! | kind | when | a raise |
//! | --- | --- | --- |
//! | intrinsic | nothing but the intrinsic handler | calls it, and looks at no plan |
//! | empty | nothing at all | fails |
//! | single | one handler without conditions, or with one key | calls it straight |
//! | few | some handlers without conditions | calls one after the other |
//! | keyed | many handlers under values of one key | finds those that hold by one probe, among any others |
//! | general | anything else | looks at each: guards, filters, bounds |
//!
//! A plan begins with an `Entry`, and running a plan is to call that entry's code: that of the
//! only handler, or one that runs the list (`general`, `keyed`).

mod aside;
mod build;
mod general;
mod keyed;
mod word;

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{mem::offset_of, ptr, sync::atomic::AtomicPtr};

use crate::{
    binding::Binding,
    border::Border,
    domain::DomainState,
    event::{Overrun, RaiseError},
    guard::RawKey,
    handler::{Code, nothing},
    merge::RawMerge,
    observe::Observation,
    post::Mailbox,
    processor::Processor,
    references::References,
    retire::{RetireList, Retired},
};

pub use crate::processor::LEAST_STACK;
pub use aside::Aside;
pub(crate) use build::{Compiled, Draft, Record, Shape};
pub(crate) use general::{few, general};
pub(crate) use word::{Room, Word, is_narrow};

/// The form in which entries are called: with themselves, the event's arguments, and the border of the
/// raise. The result comes back as a word, or goes where the border's room points if it is wider than
/// that. If there is none, the border says so.
pub(crate) type Direct =
    unsafe extern "C" fn(entry: *const Entry, args: *const (), border: *const Border) -> Word;

/// What kind of plan an event has, for people to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanKind {
    /// No handler but the intrinsic one: a plain call.
    Intrinsic,
    /// No handler at all.
    Empty,
    /// One handler.
    Single,
    /// Several, without conditions.
    Few,
    /// Handlers under values of a key, found by a probe.
    Keyed,
    /// Any mixture, looked at one by one.
    General,
}

/// The immutable list of what a raise runs.
#[repr(C, align(64))]
pub(crate) struct Plan {
    head: Entry,
    header: Retired,
    references: References,
    retired: &'static RetireList,
    kind: PlanKind,
    merge: RawMerge,
    /// In the order in which they run.
    entries: Vec<Entry>,
    index: Option<keyed::Index>,
    /// What is observed, if the event is.
    observed: Option<Arc<Observation>>,
    on_overrun: Option<fn(Overrun)>,
}

/// One handler as the raise needs it, or a predicate, or a procedure outside of events.
#[repr(C)]
pub(crate) struct Entry {
    direct: Direct,
    pub(crate) closure: *const (),
    /// Null for trusted code. Kept alive by `binding`.
    pub(crate) domain: *const DomainState,
    /// Of foreign code, for its landing.
    pub(crate) code: Code,
    /// Of a single with a key: what is called if it holds.
    then: Direct,
    key: (RawKey, u64),
    traits: Traits,
    bound_ns: u64,
    tests: Vec<EntryTest>,
    /// Where invocations go, if they are run by others.
    mailbox: Option<Arc<Mailbox>>,
    /// Keeps what stands above alive; none for the intrinsic handler, whose code never goes.
    binding: Option<Arc<Binding>>,
}

/// One condition of an entry.
enum EntryTest {
    Key(RawKey, u64),
    Predicate(
        Box<Entry>,
        #[allow(dead_code, reason = "keeps the predicate alive")] Arc<crate::guard::RawGuard>,
    ),
}

/// What is special about an entry. Without any of it, it is just called.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traits(u8);

impl Traits {
    /// It has guards.
    const GUARDED: u8 = 1;
    /// It may change the arguments.
    const FILTER: u8 = 2;
    /// It has a time bound.
    const BOUNDED: u8 = 4;
    /// It is a predicate.
    const PREDICATE: u8 = 8;
    /// It is run by others.
    const POSTED: u8 = 16;
    /// It is a plan by itself, with nothing behind it.
    const BARE: u8 = 32;
    /// It is no handler, but somebody whom the dispatcher asks.
    const ASIDE: u8 = 64;
    /// It is the head of its plan, and all that is run of it.
    const SINGLE: u8 = 128;

    const fn has(self, any: u8) -> bool {
        self.0 & any != 0
    }

    const fn is_plain(self) -> bool {
        self.0 == 0
    }
}

// SAFETY: entries are only read after the plan was published, and what they point to may be used
// from any core: see `Procedure`.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

/// A plan that is an entry and nothing else. Whoever has a plan's address must not look further before
/// he knows that it is another.
#[repr(C, align(64))]
pub(crate) struct BarePlan {
    entry: Entry,
    /// The event's intrinsic handler, if it has one.
    pub(crate) intrinsic: AtomicPtr<()>,
}

impl BarePlan {
    /// The plan of an event that has gone back to its intrinsic handler, for those who have seen that it
    /// had a plan a moment ago. `direct` takes the handler from here.
    pub(crate) const fn intrinsic(direct: Direct, intrinsic: *const ()) -> Self {
        Self { entry: Entry::bare(direct), intrinsic: AtomicPtr::new(intrinsic.cast_mut()) }
    }

    /// Its address as a plan.
    pub(crate) const fn as_plan(&self) -> *mut Plan {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// The plan of every event on which nothing stands.
static EMPTY: BarePlan = BarePlan::intrinsic(fail, ptr::null());

/// # Safety
///
/// As for any [`Direct`].
unsafe extern "C" fn fail(_entry: *const Entry, _args: *const (), border: *const Border) -> Word {
    // SAFETY: by the contract.
    unsafe { &*border }.fail(RaiseError::NoHandler);
    Word::nothing()
}

impl Plan {
    /// The plan of an event without any handler.
    pub(crate) const fn empty() -> *mut Self {
        (&raw const EMPTY).cast_mut().cast()
    }

    /// Is there nothing behind its head?
    ///
    /// # Safety
    ///
    /// The plan is covered.
    pub(crate) unsafe fn is_bare(plan: *const Self) -> bool {
        // SAFETY: every plan begins with an entry.
        unsafe { &*plan.cast::<Entry>() }.traits.has(Traits::BARE)
    }

    /// Runs it.
    ///
    /// # Safety
    ///
    /// `plan` was loaded from an event inside `border`, and is not null; `args` is of that event's type,
    /// and the border's room points to room for a result if that is wide.
    #[inline(always)]
    pub(crate) unsafe fn run(plan: *const Self, args: *const (), border: &Border) -> Word {
        let head = plan.cast::<Entry>();
        // SAFETY: a plan, the empty one too, begins with an entry, and the border covers it.
        let direct = unsafe { (*head).direct };
        // SAFETY: passed on.
        unsafe { direct(head, args, ptr::from_ref(border)) }
    }

    /// The entry that alone is run, if so.
    ///
    /// # Safety
    ///
    /// The plan is covered, or null.
    #[inline]
    pub(crate) unsafe fn only_entry<'a>(plan: *const Self) -> Option<&'a Entry> {
        // SAFETY: every plan begins with an entry, and this one is covered.
        let head = unsafe { plan.cast::<Entry>().as_ref() }?;
        head.traits.has(Traits::BARE | Traits::SINGLE).then_some(head)
    }

    /// Hands a plan that was replaced to the housekeeper, who gives up the publisher's reference
    /// after a grace period.
    ///
    /// # Safety
    ///
    /// `plan` is not bare; it was published and is no longer; it is retired once.
    pub(crate) unsafe fn retire(plan: *mut Self) {
        // SAFETY: the publisher's reference keeps it alive; nobody can newly reach it, and it was
        // not retired before.
        unsafe { Self::send(plan) }
    }

    /// # Safety
    ///
    /// It is alive, on no list, and nobody can newly reach it.
    unsafe fn send(plan: *mut Self) {
        // SAFETY: alive.
        let list = unsafe { &*plan }.retired;
        // SAFETY: within the plan.
        let header = unsafe { &raw mut (*plan).header };
        // SAFETY: by the contract.
        unsafe { list.push(header) }
    }

    /// Takes a counted reference.
    ///
    /// # Safety
    ///
    /// `plan` is not bare, is alive, and stays so until this returns.
    pub(crate) unsafe fn hold(plan: *const Self) {
        // SAFETY: by the contract.
        unsafe { &*plan }.references.hold();
    }

    /// Gives up a counted reference. The last one sends the plan to the housekeeper again, since he
    /// alone destroys, and who must then be summoned: it says whether it was.
    ///
    /// # Safety
    ///
    /// The reference is the caller's and is given up once.
    #[must_use]
    pub(crate) unsafe fn release(plan: *mut Self) -> bool {
        // SAFETY: the caller's reference keeps it alive.
        let is_last = unsafe { &*plan }.references.release();
        if is_last {
            // SAFETY: the publisher's reference is gone too, so a grace period has passed since it
            // was reachable and it is on no list.
            unsafe { Self::send(plan) }
        }
        is_last
    }

    /// # Safety
    ///
    /// A grace period has passed since `object`, the header of a plan, was retired or released.
    unsafe fn finish(object: *mut Retired) {
        // SAFETY: the header lies in a plan, at this offset.
        let plan = unsafe { object.byte_sub(offset_of!(Self, header)) }.cast::<Self>();
        // SAFETY: alive until it is dropped below.
        if unsafe { &*plan }.references.finish() {
            // SAFETY: no reference is left, and no raise can find it.
            drop(unsafe { Box::from_raw(plan) });
        }
    }

    /// For people.
    ///
    /// # Safety
    ///
    /// It is not bare, and cannot go meanwhile.
    pub(crate) unsafe fn kind_of(plan: *const Self) -> PlanKind {
        // SAFETY: by the contract.
        unsafe { &*plan }.kind
    }
}

impl Entry {
    /// An entry with that code and nothing else.
    const fn plain(direct: Direct, closure: *const ()) -> Self {
        Self {
            direct,
            closure,
            domain: ptr::null(),
            code: nothing,
            then: fail,
            key: (RawKey { offset: 0, width: 1 }, 0),
            traits: Traits(0),
            bound_ns: 0,
            tests: Vec::new(),
            mailbox: None,
            binding: None,
        }
    }

    const fn bare(direct: Direct) -> Self {
        let mut entry = Self::plain(direct, ptr::null());
        entry.traits = Traits(Traits::BARE);
        entry
    }

    /// The entry of a domain's procedure outside of events.
    pub(crate) fn procedure(domain: &DomainState, code: Code, closure: *const ()) -> Self {
        Self { domain, code, ..Self::plain(fail, closure) }
    }

    /// Whose code it is, if it is not trusted.
    #[inline]
    pub(crate) fn domain(&self) -> Option<&DomainState> {
        // SAFETY: the binding keeps the domain's state alive, and whoever has the entry the binding;
        // or it was passed in by `enter`, whose caller has it.
        unsafe { self.domain.as_ref() }
    }

    /// Runs it, within its bound if it has one. Says whether it ran longer than that.
    ///
    /// # Safety
    ///
    /// As for any [`Direct`]; the border is open, and names this entry.
    #[inline]
    pub(crate) unsafe fn invoke<P: Processor>(&self, args: *const (), border: &Border) -> (Word, bool) {
        let bound_ns = self.traits.has(Traits::BOUNDED).then_some(self.bound_ns);
        // SAFETY: passed on.
        unsafe { self.invoke_within::<P>(bound_ns, args, border) }
    }

    /// [`invoke`](Self::invoke) within that bound, whatever its own is.
    ///
    /// # Safety
    ///
    /// As for [`invoke`](Self::invoke).
    #[inline]
    pub(crate) unsafe fn invoke_within<P: Processor>(
        &self,
        bound_ns: Option<u64>,
        args: *const (),
        border: &Border,
    ) -> (Word, bool) {
        let Some(bound_ns) = bound_ns else {
            // SAFETY: passed on.
            return (unsafe { (self.direct)(self, args, border) }, false);
        };
        let until = P::now_ns().saturating_add(bound_ns);
        border.bound(until);
        P::keep_ticking();
        // SAFETY: passed on.
        let word = unsafe { (self.direct)(self, args, border) };
        // It may have been extended meanwhile.
        let is_late = border.deadline().is_some_and(|until| P::now_ns() >= until);
        border.unbound();
        if is_late && let Some(binding) = &self.binding {
            binding.count_overrun();
        }
        (word, is_late)
    }

    pub(crate) fn binding(&self) -> Option<&Arc<Binding>> {
        self.binding.as_ref()
    }

    /// Is it something that only looks: a predicate, or somebody whom the dispatcher asks?
    #[inline]
    pub(crate) fn only_looks(&self) -> bool {
        self.traits.has(Traits::PREDICATE | Traits::ASIDE)
    }

    /// Is it a predicate, which only looks?
    pub(crate) fn is_predicate(&self) -> bool {
        self.traits.has(Traits::PREDICATE)
    }

    fn is_removed(&self) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.is_removed())
    }

    /// A strand blocks in it: counted in its binding and in its domain.
    pub(crate) fn fell_asleep(&self) {
        if let Some(binding) = &self.binding {
            binding.fell_asleep();
        }
        if let Some(domain) = self.domain() {
            domain.fell_asleep();
        }
    }

    /// It has left. The domain comes last: it may be gone then.
    pub(crate) fn woke(&self) {
        if let Some(binding) = &self.binding {
            binding.woke();
        }
        if let Some(domain) = self.domain() {
            domain.woke();
        }
    }
}

/// What is observed of the plan with this head, if the event is.
///
/// # Safety
///
/// It is the head of a plan which is covered.
pub(crate) unsafe fn observation<'a>(head: *const Entry) -> Option<&'a Arc<Observation>> {
    // SAFETY: by the contract.
    unsafe { &*head.cast::<Plan>() }.observed.as_ref()
}
