//! Running a plan of any kind, entry by entry.

use alloc::sync::Arc;
use core::{any::TypeId, mem::MaybeUninit, ptr};

use super::{Aside, Entry, EntryTest, Plan, Room, Traits, Word, is_narrow};
use crate::{
    border::Border,
    event::{Overrun, RaiseError},
    handler::BindingId,
    merge::Merge,
    post::{Full, Mailbox},
    processor::Processor,
};

/// Runs a plan: of the form of a plan's head.
///
/// # Safety
///
/// As for any [`Direct`](super::Direct); `head` is the head of a plan of an event of these types.
pub(crate) unsafe extern "C" fn general<A: 'static, R: Copy + 'static, P: Processor>(
    head: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract it is a plan's head, and covered.
    let plan = unsafe { &*head.cast::<Plan>() };
    // SAFETY: by the contract.
    let border = unsafe { &*border };
    let out = if const { is_narrow::<R>() } {
        MaybeUninit::uninit()
    } else {
        // SAFETY: the cell is this strand's, and nobody refers into it.
        unsafe { border.room.get().read() }
    };
    // SAFETY: the policy was made for this event.
    let merge = unsafe { plan.merge.typed::<R>() };
    let mut copy = MaybeUninit::uninit();
    let mut run = Run::<A, R>::new(plan, args, border, merge, &mut copy);
    match &plan.index {
        None => plan.entries.iter().for_each(|entry| run.step::<P>(entry)),
        Some(index) => {
            // SAFETY: the arguments are of the event's type.
            let ranks = unsafe { index.select(args) };
            ranks.for_each(|rank| run.step::<P>(&plan.entries[rank as usize]));
        }
    }
    // SAFETY: the raise has offered the border a room before it came here.
    unsafe { run.finish(out) }
}

/// Runs a plan of handlers without conditions of which the last one's result counts, narrow results: of
/// the form of a plan's head.
///
/// # Safety
///
/// As for [`general`].
pub(crate) unsafe extern "C" fn few<A: 'static, R: Copy + 'static, P: Processor>(
    head: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract it is a plan's head, and covered.
    let plan = unsafe { &*head.cast::<Plan>() };
    // SAFETY: by the contract.
    let border = unsafe { &*border };
    let mut last = Word::nothing();
    for entry in &plan.entries {
        border.set_entry(entry);
        // SAFETY: the entry is of this event, and nothing has happened on the way that could have let
        // its binding go.
        let word = unsafe { (entry.direct)(entry, args, border) };
        if !border.is_quiet() {
            // SAFETY: passed on; those before have delivered their results.
            return unsafe { go_on::<A, R, P>(plan, args, border, entry, last, word) };
        }
        last = word;
    }
    last
}

/// Something happened on the way through this entry: goes on from there with care.
///
/// # Safety
///
/// As for [`few`]; unless it is the first, `last` was delivered, and `word` too if the border does not
/// say otherwise.
#[cold]
unsafe fn go_on<A: 'static, R: Copy + 'static, P: Processor>(
    plan: &Plan,
    args: *const (),
    border: &Border,
    entry: &Entry,
    last: Word,
    word: Word,
) -> Word {
    let rank = (ptr::from_ref(entry).addr() - plan.entries.as_ptr().addr()) / size_of::<Entry>();
    let mut copy = MaybeUninit::uninit();
    let mut run = Run::<A, R>::new(plan, args, border, Merge::Last, &mut copy);
    if rank > 0 {
        run.fired = 1;
        // SAFETY: by the contract.
        run.merged = MaybeUninit::new(unsafe { last.take() });
    }
    if run.came_through::<P>() {
        // SAFETY: by the contract.
        run.take(entry, unsafe { word.take() });
    }
    plan.entries[rank + 1..].iter().for_each(|entry| run.step::<P>(entry));
    // SAFETY: results are narrow.
    unsafe { run.finish(MaybeUninit::uninit()) }
}

/// A raise that is being run.
struct Run<'a, A, R> {
    plan: &'a Plan,
    border: &'a Border,
    /// The raiser's, or the copy once a filter was called.
    args: *const (),
    /// Room for the copy, which lies outside: filters write to it while this is borrowed.
    copy: *mut A,
    is_copied: bool,
    merge: Merge<R>,
    /// Set once something has fired.
    merged: MaybeUninit<R>,
    fired: u32,
    cut: u32,
    /// Handlers that will run elsewhere, and those whose queue had no room.
    posted: u32,
    refused: u32,
}

impl<'a, A: 'static, R: Copy + 'static> Run<'a, A, R> {
    #[inline(always)]
    fn new(
        plan: &'a Plan,
        args: *const (),
        border: &'a Border,
        merge: Merge<R>,
        copy: &'a mut MaybeUninit<A>,
    ) -> Self {
        Self {
            plan,
            border,
            args,
            copy: copy.as_mut_ptr(),
            is_copied: false,
            merge,
            merged: MaybeUninit::uninit(),
            fired: 0,
            cut: 0,
            posted: 0,
            refused: 0,
        }
    }

    #[inline(always)]
    fn step<P: Processor>(&mut self, entry: &Entry) {
        if entry.traits.is_plain() && self.border.is_quiet() {
            self.call::<P>(entry);
        } else {
            self.step_with_care::<P>(entry);
        }
    }

    #[inline(always)]
    fn call<P: Processor>(&mut self, entry: &Entry) {
        self.border.set_entry(entry);
        let mut room = Room::<R>::new();
        room.offer(self.border);
        // SAFETY: the entry is of this event, and its binding was not removed, or its removal's grace
        // period cannot end before this border closes.
        let word = unsafe { (entry.direct)(entry, self.args, self.border) };
        if !self.border.is_quiet() && !self.came_through::<P>() {
            return;
        }
        // SAFETY: it was delivered: nothing went wrong.
        self.take(entry, unsafe { room.take(word) });
    }

    /// Something happened on the way through an entry. Did it bring a result all the same?
    #[cold]
    fn came_through<P: Processor>(&mut self) -> bool {
        self.border.release_entry::<P>();
        match self.border.take_failure() {
            None => true,
            Some(why) => {
                self.cut += u32::from(why == RaiseError::Cut);
                false
            }
        }
    }

    fn take(&mut self, entry: &Entry, result: R) {
        let is_first = self.fired == 0;
        self.fired += 1;
        let merged = match self.merge {
            Merge::Last => result,
            Merge::First | Merge::Fold(_) if is_first => result,
            Merge::First => return,
            Merge::Fold(fold) => {
                // SAFETY: something has fired before.
                let so_far = unsafe { self.merged.assume_init() };
                self.border.set_entry(Aside::Policy.entry());
                fold(so_far, result)
            }
            Merge::Own(own) => {
                // SAFETY: as above.
                let so_far = (!is_first).then(|| unsafe { self.merged.assume_init() });
                self.border.set_entry(Aside::Policy.entry());
                own(so_far, result, entry.binding().map_or(BindingId::INTRINSIC, |binding| binding.id))
            }
        };
        self.merged = MaybeUninit::new(merged);
    }

    /// An entry with conditions, or one after something happened on the way.
    #[inline(never)]
    fn step_with_care<P: Processor>(&mut self, entry: &Entry) {
        // A raise that slept holds the plan, but not the domains behind its other bindings: one
        // that was removed meanwhile may be gone. From here on the core's epoch covers it again.
        if self.border.has_slept() && entry.is_removed() {
            return;
        }
        if !entry.tests.iter().all(|test| self.holds::<P>(test)) {
            return;
        }
        if entry.traits.has(Traits::FILTER) {
            self.copy_args();
        }
        if let Some(mailbox) = &entry.mailbox {
            self.post::<P>(mailbox);
        } else if entry.traits.has(Traits::BOUNDED) {
            self.call_bounded::<P>(entry);
        } else {
            self.call::<P>(entry);
        }
    }

    fn holds<P: Processor>(&mut self, test: &EntryTest) -> bool {
        let entry = match test {
            // SAFETY: the key was checked against the size of the arguments when it was installed.
            EntryTest::Key(key, wanted) => return unsafe { key.load(self.args) } == *wanted,
            EntryTest::Predicate(entry, _) => entry,
        };
        self.border.set_entry(&raw const **entry);
        // A predicate's result is a byte, so it needs no room but the border's own.
        // SAFETY: as in `call`.
        let (word, _) = unsafe { entry.invoke::<P>(self.args, self.border) };
        if !self.border.is_quiet() {
            self.border.release_entry::<P>();
            if self.border.take_failure().is_some() {
                return false;
            }
        }
        // SAFETY: it ran to its end, so it has written a byte.
        unsafe { word.is_true() }
    }

    fn copy_args(&mut self) {
        if !self.is_copied {
            // SAFETY: `args` is an `A`, and those who install filters vouch that it may be copied.
            let args = unsafe { self.args.cast::<A>().read() };
            // SAFETY: it is room for that, and nobody refers into it.
            unsafe { self.copy.write(args) };
            self.is_copied = true;
            // As something to be written to: the filters come to it this way.
            self.args = self.copy.cast_const().cast();
        }
    }

    fn call_bounded<P: Processor>(&mut self, entry: &Entry) {
        // The tick must find the right entry once it finds a bound.
        self.border.set_entry(entry);
        let mut room = Room::<R>::new();
        room.offer(self.border);
        // SAFETY: as in `call`.
        let (word, is_late) = unsafe { entry.invoke::<P>(self.args, self.border) };
        let cut_before = self.cut;
        if self.border.is_quiet() || self.came_through::<P>() {
            // SAFETY: it was delivered: nothing went wrong.
            self.take(entry, unsafe { room.take(word) });
        }
        if is_late
            && let Some(binding) = entry.binding()
            && let Some(report) = self.plan.on_overrun
        {
            self.border.set_entry(Aside::Report.entry());
            report(Overrun {
                binding: binding.id,
                domain: binding.domain().map(|domain| domain.id()),
                was_cut: self.cut > cut_before,
            });
        }
    }

    /// Leaves it to others.
    fn post<P: Processor>(&mut self, mailbox: &Arc<Mailbox>) {
        // SAFETY: the mailbox was made for arguments of this event, which may be copied and sent.
        match unsafe { mailbox.post::<P>(self.args) } {
            Ok(_) => self.posted += 1,
            Err(Full) => self.refused += 1,
        }
    }

    /// # Safety
    ///
    /// If results are wide, `out` is where the raise wants its result.
    unsafe fn finish(self, out: MaybeUninit<*mut ()>) -> Word {
        let is_unit = TypeId::of::<R>() == TypeId::of::<()>();
        let failure = match self.fired {
            _ if self.refused > 0 => Some(RaiseError::QueueFull),
            0 if self.posted > 0 && is_unit => return Word::nothing(),
            0 if self.posted > 0 => Some(RaiseError::Posted),
            0 if self.cut > 0 => Some(RaiseError::Cut),
            0 => Some(RaiseError::NoHandler),
            _ => None,
        };
        if let Some(why) = failure {
            self.border.fail(why);
            return Word::nothing();
        }
        // SAFETY: something has fired.
        let merged = unsafe { self.merged.assume_init() };
        if const { !is_narrow::<R>() } {
            // SAFETY: by the contract.
            self.border.set_room(unsafe { out.assume_init() });
        }
        // SAFETY: the room is the raise's again.
        unsafe { Word::deliver(merged, self.border) }
    }
}
