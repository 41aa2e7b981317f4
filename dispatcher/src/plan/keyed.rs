//! Handlers found by the value of a key: one probe, however many there are.
//!
//! The table is open, at most half full, and made for its values: if some stand too far from where
//! they belong (as values that somebody chose to that end would), it is made again with another
//! multiplier, or larger. So a probe looks at a handful of slots at worst.

use alloc::vec::Vec;

use super::{Direct, Entry, Plan, Word};
use crate::{border::Border, event::InstallError, guard::RawKey};

/// How far from its place a value may stand.
const FARTHEST: usize = 8;
/// How often another multiplier is tried before the table grows.
const TRIES: u64 = 8;
/// The odd number nearest to 2 to the 64 over the golden ratio (Knuth, volume 3, 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which entries hold, by the value of a key.
pub(crate) struct Index {
    pub(super) key: RawKey,
    multiplier: u64,
    shift: u32,
    slots: Vec<Slot>,
    /// Indices of entries, those of one value in a row and ascending.
    ranks: Vec<u32>,
    /// Indices of entries that have no such key, ascending: they are looked at in each raise.
    unkeyed: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Slot {
    value: u64,
    /// Where its entries stand in `ranks`; none of them: the slot is free.
    first: u32,
    count: u32,
    /// The first of them.
    rank: u32,
}

const FREE: Slot = Slot { value: 0, first: 0, count: 0, rank: 0 };

impl Index {
    /// An index of entries, of which each says the value under `key` that it wants, or none.
    pub(super) fn build(key: RawKey, wants: &[Option<u64>]) -> Result<Self, InstallError> {
        let mut unkeyed = reserve(wants.len())?;
        let mut keyed: Vec<(u64, u32)> = reserve(wants.len())?;
        for (rank, want) in (0..).zip(wants) {
            match want {
                Some(value) => keyed.push((*value, rank)),
                None => unkeyed.push(rank),
            }
        }
        keyed.sort_unstable();
        let mut ranks = reserve(keyed.len())?;
        ranks.extend(keyed.iter().map(|(_, rank)| *rank));
        let mut lists: Vec<Slot> = reserve(keyed.len())?;
        for (first, (value, rank)) in (0..).zip(&keyed) {
            match lists.last_mut() {
                Some(list) if list.value == *value => list.count += 1,
                _ => lists.push(Slot { value: *value, first, count: 1, rank: *rank }),
            }
        }
        let mut index = Self { key, multiplier: GOLDEN, shift: 0, slots: Vec::new(), ranks, unkeyed };
        let mut bits = (2 * lists.len().max(1)).next_power_of_two().trailing_zeros();
        for attempt in 1.. {
            if index.fill(&lists, bits)? {
                break;
            }
            // Any odd multiplier will do that nobody foresees by trying a few.
            index.multiplier = index.multiplier.wrapping_mul(GOLDEN).wrapping_add(2 * attempt) | 1;
            bits += u32::from(attempt % TRIES == 0);
        }
        Ok(index)
    }

    /// Puts each list at its place; false if one would stand too far off.
    fn fill(&mut self, lists: &[Slot], bits: u32) -> Result<bool, InstallError> {
        self.shift = 64 - bits;
        // Slots at the end for those who do not fit at their place: a probe never wraps around.
        let length = (1 << bits) + FARTHEST + 1;
        self.slots = reserve(length)?;
        self.slots.resize(length, FREE);
        for list in lists {
            let place = self.place(list.value);
            let near = self.slots[place..=place + FARTHEST].iter_mut();
            let Some(slot) = near.take(FARTHEST).find(|slot| slot.count == 0) else { return Ok(false) };
            *slot = *list;
        }
        Ok(true)
    }

    #[inline(always)]
    fn place(&self, value: u64) -> usize {
        (value.wrapping_mul(self.multiplier) >> self.shift) as usize
    }

    /// The entries that want `value`, if there are any.
    #[inline(always)]
    fn find(&self, value: u64) -> Option<&Slot> {
        // The first free slot ends the search; there is one within reach.
        let near = self.slots[self.place(value)..].iter();
        near.take_while(|slot| slot.count != 0).find(|slot| slot.value == value)
    }

    /// What holds for these arguments, in the order of the plan.
    ///
    /// # Safety
    ///
    /// `args` is of the event's type.
    pub(super) unsafe fn select(&self, args: *const ()) -> impl Iterator<Item = u32> {
        // SAFETY: a key was checked against the size of the arguments when it was installed.
        let slot = self.find(unsafe { self.key.load(args) });
        let ranks = slot.map_or(&[][..], |slot| &self.ranks[slot.first as usize..][..slot.count as usize]);
        let mut keyed = ranks.iter().copied().peekable();
        let mut unkeyed = self.unkeyed.iter().copied().peekable();
        core::iter::from_fn(move || match (keyed.peek(), unkeyed.peek()) {
            (Some(one), Some(other)) if other < one => unkeyed.next(),
            (Some(_), _) => keyed.next(),
            (None, _) => unkeyed.next(),
        })
    }

    /// Has each value one entry, and is there nothing else? Then [`keyed`] will do for a raise.
    pub(super) fn is_pure(&self) -> bool {
        self.unkeyed.is_empty() && self.slots.iter().all(|slot| slot.count <= 1)
    }
}

fn reserve<T>(capacity: usize) -> Result<Vec<T>, InstallError> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(capacity).map_err(|_| InstallError::OutOfMemory)?;
    Ok(vec)
}

/// What a raise calls whose plan has a pure index, and no entry with other conditions: of the form of a
/// plan's head.
pub(super) fn keyed(key: RawKey) -> Direct {
    match key.width {
        1 => run_keyed::<u8>,
        2 => run_keyed::<u16>,
        4 => run_keyed::<u32>,
        _ => run_keyed::<u64>,
    }
}

/// What a raise calls for a single handler behind one key.
pub(super) fn matched(key: RawKey) -> Direct {
    match key.width {
        1 => run_matched::<u8>,
        2 => run_matched::<u16>,
        4 => run_matched::<u32>,
        _ => run_matched::<u64>,
    }
}

/// # Safety
///
/// As for any [`Direct`]; `head` is the head of a plan with an index, whose key is as wide as `T`.
unsafe extern "C" fn run_keyed<T: Into<u64>>(
    head: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract it is a plan's head, and covered.
    let plan = unsafe { &*head.cast::<Plan>() };
    let index = plan.index.as_ref().expect("a keyed plan has an index");
    // SAFETY: a key was checked against the size of the arguments when it was installed.
    let value = unsafe { index.key.load_as::<T>(args) };
    let Some(slot) = index.find(value) else {
        // SAFETY: passed on.
        return unsafe { super::fail(head, args, border) };
    };
    let entry = &plan.entries[slot.rank as usize];
    // SAFETY: by the contract.
    unsafe { &*border }.set_entry(entry);
    // SAFETY: passed on.
    unsafe { (entry.direct)(entry, args, border) }
}

/// # Safety
///
/// As for any [`Direct`]; the entry has a key, which is as wide as `T`.
unsafe extern "C" fn run_matched<T: Into<u64>>(
    entry: *const Entry,
    args: *const (),
    border: *const Border,
) -> Word {
    // SAFETY: by the contract.
    let this = unsafe { &*entry };
    let (key, wanted) = this.key;
    // SAFETY: the key was checked against the size of the arguments when it was installed.
    if unsafe { key.load_as::<T>(args) } != wanted {
        // SAFETY: passed on.
        return unsafe { super::fail(entry, args, border) };
    }
    // SAFETY: passed on.
    unsafe { (this.then)(entry, args, border) }
}
