//! Slots that are found by a word which cannot be mistaken: the slot's number and its *generation*, which
//! is odd while somebody is in it and grows whenever somebody comes or goes.
//!
//! A reader must take a counted reference before the owner can drop his, so a bit of the slot's word is a
//! lock, held for the few instructions that takes, interrupts masked. Free slots stand in a list for each
//! core, whose head carries a count of its changes: a slot that was taken and put back meanwhile is noticed.

use core::ptr;

use crate::primitive::{Arc, AtomicPtr, AtomicU32, AtomicU64, Ordering, spin_loop};

/// Somebody looks at the slot, or is about to empty it.
const LOCKED: u64 = 1;
/// Generations have so many bits, and begin again after that.
pub(crate) const GENERATION_BITS: u32 = 44;

/// The generation after `generation`.
const fn after(generation: u64) -> u64 {
    (generation + 1) & ((1 << GENERATION_BITS) - 1)
}

/// Room for one.
pub(crate) struct Slot<T> {
    /// The generation, times two, and the lock.
    word: AtomicU64,
    /// Who is in it: a counted reference. Used under the lock, or by whoever took the slot from a list.
    item: AtomicPtr<T>,
    /// The next in the free list.
    next: AtomicU32,
    /// To which list it returns.
    home: u32,
}

impl<T> Slot<T> {
    pub(crate) fn new(home: u32) -> Self {
        Self { word: AtomicU64::new(0), item: AtomicPtr::new(ptr::null_mut()), next: AtomicU32::new(0), home }
    }

    /// Which core's list it returns to.
    pub(crate) fn home(&self) -> usize {
        self.home as usize
    }

    /// The generation that the next one in it will have. By whoever took the slot from a list.
    pub(crate) fn coming(&self) -> u64 {
        // Relaxed: the slot came by way of the list, which brings what was done before.
        after(self.word.load(Ordering::Relaxed) >> 1)
    }

    /// Puts somebody in, under the generation [`coming`](Self::coming). By whoever took the slot from a
    /// list: nobody else writes to it meanwhile.
    pub(crate) fn fill(&self, item: Arc<T>) {
        let generation = self.coming();
        self.item.store(Arc::into_raw(item).cast_mut(), Ordering::Relaxed);
        // Release: whoever locks it (Acquire) finds the item.
        self.word.store(generation << 1, Ordering::Release);
    }

    /// Takes the lock, if the slot has that generation. Interrupts masked, until it is given up.
    fn lock(&self, generation: u64) -> bool {
        loop {
            // Relaxed: what is read under the lock is brought by the exchange.
            let word = self.word.load(Ordering::Relaxed);
            if word >> 1 != generation {
                return false;
            }
            if word & LOCKED != 0 {
                spin_loop();
                continue;
            }
            // Acquire: pairs with the Release of `fill` and of those who had the lock before.
            let locked = word | LOCKED;
            if self.word.compare_exchange_weak(word, locked, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Who is in it, under that generation. Interrupts masked.
    pub(crate) fn get(&self, generation: u64) -> Option<Arc<T>> {
        if generation & 1 == 0 || !self.lock(generation) {
            return None;
        }
        let item = self.item.load(Ordering::Relaxed);
        // SAFETY: the slot owns a reference of this pointer, which goes only under the lock.
        unsafe { Arc::increment_strong_count(item) };
        // Release: whoever empties the slot next does so after the line above.
        self.word.store(generation << 1, Ordering::Release);
        // SAFETY: the reference that was just counted.
        Some(unsafe { Arc::from_raw(item) })
    }

    /// Who is in it, whatever the generation. Interrupts masked.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.get(self.word.load(Ordering::Relaxed) >> 1)
    }

    /// Empties it, if it has that generation, and returns the slot's reference. The one who is told so puts
    /// the slot on its list. Interrupts masked.
    pub(crate) fn empty(&self, generation: u64) -> Option<Arc<T>> {
        if generation & 1 == 0 || !self.lock(generation) {
            return None;
        }
        let item = self.item.swap(ptr::null_mut(), Ordering::Relaxed);
        // Relaxed: the next to use the slot has it from the list, which brings this.
        self.word.store(after(generation) << 1, Ordering::Relaxed);
        // SAFETY: the reference that `fill` put in; under the lock, so it is taken out once.
        Some(unsafe { Arc::from_raw(item) })
    }
}

/// Free slots, by their numbers: a stack. Zero is an empty one.
pub(crate) struct FreeList(pub(crate) AtomicU64);

impl FreeList {
    /// The slot to which a head leads, from one; zero is none, and so it is in links.
    const fn number(head: u64) -> u32 {
        head as u32
    }

    /// The head that comes after `head`, and leads to slot `number`, from one.
    const fn changed(head: u64, number: u32) -> u64 {
        ((head >> 32).wrapping_add(1)) << 32 | number as u64
    }

    /// Puts a row of slots on the list that are linked already, from `first` to `last`.
    pub(crate) fn push<T>(&self, first: u32, last: &Slot<T>) {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            last.next.store(Self::number(head), Ordering::Relaxed);
            let new = Self::changed(head, first + 1);
            // Release: whoever takes a slot (Acquire) finds it as it was left, and its link.
            match self.0.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Links slot `slot` to slot `next`, for [`push`](Self::push).
    pub(crate) fn link<T>(slot: &Slot<T>, next: u32) {
        slot.next.store(next + 1, Ordering::Relaxed);
    }

    /// Takes a slot; `slot` finds them by their numbers.
    pub(crate) fn pop<'a, T: 'a>(&self, slot: impl Fn(u32) -> &'a Slot<T>) -> Option<u32> {
        // Acquire, here and where the exchange fails: pairs with the Release of `push`, and of those before,
        // whose order every exchange passes on.
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            let first = Self::number(head).checked_sub(1)?;
            // Another core may take this slot meanwhile, and even put it back: then this link is old, and
            // the head has changed.
            let next = slot(first).next.load(Ordering::Relaxed);
            let new = Self::changed(head, next);
            // Relaxed: what it finds is what was loaded, count and all.
            match self.0.compare_exchange_weak(head, new, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return Some(first),
                Err(now) => head = now,
            }
        }
    }
}
