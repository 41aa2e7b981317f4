//! Where frames cannot be dropped: a plain call, and a cut that cannot be made.

use core::{
    mem::MaybeUninit,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};

use crate::{
    border::Border,
    plan::{Entry, Word},
};

/// # Safety
///
/// As for any [`Direct`](crate::plan::Direct): the entry is foreign and covered by the border.
pub(crate) unsafe extern "C" fn land(entry: *const Entry, args: *const (), border: *const Border) -> Word {
    // SAFETY: by the contract.
    let room = unsafe { &*border }.room.get();
    // SAFETY: passed on.
    unsafe { call(entry, args, border, room.cast()) };
    // SAFETY: the room is this strand's, and nobody refers into it.
    let value = unsafe { room.cast::<MaybeUninit<u64>>().read() };
    Word::from_bits(value)
}

/// # Safety
///
/// As for [`land`]; the border's room points to where the result goes.
pub(crate) unsafe extern "C" fn land_wide(
    entry: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract.
    let room = unsafe { &*border }.room.get();
    // SAFETY: by the contract it was set.
    let result = unsafe { room.read().assume_init() };
    // SAFETY: passed on.
    unsafe { call(entry, args, border, result) };
    Word::nothing()
}

/// # Safety
///
/// As for [`land`]; `result` is where the result goes.
unsafe fn call(entry: *const Entry, args: *const (), border: *const Border, result: *mut ()) {
    // SAFETY: by the contract.
    let (entry, border) = unsafe { (&*entry, &*border) };
    if entry.domain().is_some_and(|domain| !domain.is_open()) {
        return super::refuse(border);
    }
    border.landing.set(MaybeUninit::new(0));
    // SAFETY: the code of a handler of this event, by the contract.
    unsafe { (entry.code)(entry.closure, args, result) }
}

/// # Safety
///
/// None is needed: it does nothing but stop.
pub(super) unsafe fn cut(_border: *mut Border) -> ! {
    unimplemented!("no landing for this processor can be cut")
}

pub(crate) fn is_clear<const WORD: usize, const BITS: usize>(border: &Border) -> bool {
    // Relaxed: read by this core alone.
    border.via.load(Ordering::Relaxed).addr() & BITS == 0
}

pub(crate) fn is_set(word: &AtomicBool) -> bool {
    // Acquire: pairs with the Release of whoever sets it.
    word.load(Ordering::Acquire)
}

pub(crate) fn settle(place: &mut MaybeUninit<Border>) -> &Border {
    let border = place.as_mut_ptr();
    // SAFETY: it is the place of a border.
    let plan = unsafe { &raw mut (*border).via };
    // SAFETY: it is the place of that word.
    unsafe { plan.write(AtomicPtr::new(core::ptr::null_mut())) };
    // SAFETY: it is the place of a border.
    let keep = unsafe { &raw mut (*border).keep };
    // SAFETY: it is the place of that word.
    unsafe { keep.write(core::cell::Cell::new(Word::nothing())) };
    // SAFETY: the first word was written by the caller; the others mean nothing yet, and say so.
    unsafe { place.assume_init_ref() }
}
