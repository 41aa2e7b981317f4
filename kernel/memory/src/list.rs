//! Free blocks of one size, linked through their own first words.

use core::ptr::NonNull;

/// The first word of a block in a list.
struct Link(Option<NonNull<Link>>);

/// Free blocks of one size. Owns them.
pub(crate) struct List {
    head: Option<NonNull<Link>>,
    len: usize,
}

// SAFETY: the list owns its blocks, as `push` demands, and a block is plain memory that any core
// may use.
unsafe impl Send for List {}

impl List {
    pub(crate) const EMPTY: Self = Self { head: None, len: 0 };

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a block.
    ///
    /// # Safety
    /// The caller owns the block and gives it up: at least a word, aligned to one, and writable.
    pub(crate) unsafe fn push(&mut self, block: NonNull<u8>) {
        let link = block.cast::<Link>();
        // SAFETY: the caller gave us the block, which is large and aligned enough for a link.
        unsafe { link.write(Link(self.head)) };
        self.head = Some(link);
        self.len += 1;
    }

    /// Takes the block that was added last, which the processor's cache knows best.
    pub(crate) fn pop(&mut self) -> Option<NonNull<u8>> {
        let link = self.head?;
        // SAFETY: `push` wrote a link at this address, and nobody but this list has owned it since.
        let Link(next) = unsafe { link.read() };
        self.head = next;
        self.len -= 1;
        Some(link.cast())
    }
}
