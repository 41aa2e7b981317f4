//! Results on their way back: in a register if they fit, or else in memory.

use core::{
    mem::{ManuallyDrop, MaybeUninit},
    ptr,
};

use crate::border::Border;

/// Does a result of this type fit in a register?
pub(crate) const fn is_narrow<R>() -> bool {
    size_of::<R>() <= size_of::<u64>() && align_of::<R>() <= align_of::<u64>()
}

/// A register's worth of result, of which some bytes, or all, may mean nothing.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Word(MaybeUninit<u64>);

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        Self(MaybeUninit::new(word))
    }
}

impl Word {
    /// No result.
    #[inline(always)]
    pub(crate) const fn nothing() -> Self {
        Self(MaybeUninit::uninit())
    }

    #[cfg_attr(
        all(target_arch = "x86_64", not(miri), not(loom)),
        allow(dead_code, reason = "for plain landings")
    )]
    pub(crate) const fn from_bits(bits: MaybeUninit<u64>) -> Self {
        Self(bits)
    }

    /// Sends a result on its way.
    ///
    /// # Safety
    ///
    /// If `R` is wide, the border's room points to room for one.
    #[inline(always)]
    pub(crate) unsafe fn deliver<R: Copy>(value: R, border: *const Border) -> Self {
        if const { is_narrow::<R>() } {
            let mut word = MaybeUninit::<u64>::uninit();
            // SAFETY: it fits, by the condition.
            unsafe { word.as_mut_ptr().cast::<R>().write(value) };
            return Self(word);
        }
        // SAFETY: by the contract.
        let room = unsafe { &*border }.room.get();
        // SAFETY: the cell is this strand's, and nobody refers into it.
        let room = unsafe { room.read() };
        // SAFETY: by the contract it was set.
        let room = unsafe { room.assume_init() };
        // SAFETY: by the contract.
        unsafe { room.cast::<R>().write(value) };
        Self::nothing()
    }

    /// The narrow result that it is.
    ///
    /// # Safety
    ///
    /// It was delivered as an `R`, which is narrow.
    #[inline(always)]
    pub(crate) unsafe fn take<R: Copy>(self) -> R {
        debug_assert!(is_narrow::<R>(), "a wide result is not in the word");
        // SAFETY: by the contract; it is not longer than the word.
        unsafe { ptr::from_ref(&self.0).cast::<R>().read() }
    }

    /// Is it anything but zero? For predicates, of which a foreign one may write any byte.
    ///
    /// # Safety
    ///
    /// Its first byte was written.
    pub(crate) unsafe fn is_true(self) -> bool {
        // SAFETY: by the contract.
        unsafe { self.take::<u8>() != 0 }
    }
}

/// Room for a result on the stack, which a wide one is written to and a narrow one not.
pub(crate) struct Room<R>(ManuallyDrop<MaybeUninit<R>>);

impl<R: Copy> Room<R> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(ManuallyDrop::new(MaybeUninit::uninit()))
    }

    /// Makes it the room of `border`, if results are wide.
    #[inline(always)]
    pub(crate) fn offer(&mut self, border: &Border) {
        if const { !is_narrow::<R>() } {
            border.set_room(self.0.as_mut_ptr().cast());
        }
    }

    /// The result: `word`, or what was written here.
    ///
    /// # Safety
    ///
    /// It was delivered, by way of a border that was offered this room.
    #[inline(always)]
    pub(crate) unsafe fn take(&self, word: Word) -> R {
        if const { is_narrow::<R>() } {
            // SAFETY: by the contract.
            return unsafe { word.take() };
        }
        // SAFETY: by the contract.
        unsafe { self.0.assume_init_read() }
    }
}
