//! Stacks of strands that have ended, kept mapped for those that come next: a list for each core.
//!
//! To map a stack, to unmap it, and to make every core forget it takes far longer than all else that a
//! strand's beginning and end take.

use ::memory::PAGE_SIZE;
use arrayvec::ArrayVec;
use dispatcher::{Processor, epoch::MOST_CORES};
use spin::Mutex;

use super::Cpu;
use crate::memory::{MapError, Stack};

/// How many stacks a core keeps: a megabyte of the usual ones.
const MOST_KEPT: usize = 16;

/// A leaf, taken with interrupts masked; another core takes it only to drain it.
#[repr(align(64))]
struct Kept(Mutex<ArrayVec<Stack, MOST_KEPT>>);

static KEPT: [Kept; MOST_CORES] = [const { Kept(Mutex::new(ArrayVec::new_const())) }; MOST_CORES];

/// Keeps a stack on which nothing runs any more, or gives it back. Interrupts masked.
#[inline]
pub fn keep(stack: Stack) -> Option<Stack> {
    KEPT[Cpu::core_id()].0.lock().try_push(stack).err().map(|refused| refused.element())
}

/// A stack of `bytes`, rounded up to pages: one that this core has kept, the one that was kept last if it
/// can be, or a new one.
///
/// # Errors
///
/// As [`Stack::new`].
#[inline]
pub fn take(bytes: usize) -> Result<Stack, MapError> {
    let size = bytes.next_multiple_of(PAGE_SIZE);
    let kept = Cpu::masked(|| {
        let mut kept = KEPT[Cpu::core_id()].0.lock();
        let place = kept.iter().rposition(|stack| stack.size() == size)?;
        Some(kept.remove(place))
    });
    // What other cores keep, or of other sizes, is memory, too.
    let fresh = || {
        Stack::new(bytes).or_else(|_| {
            drain();
            Stack::new(bytes)
        })
    };
    kept.map_or_else(fresh, Ok)
}

/// How many stacks all cores keep.
#[cfg_attr(not(feature = "ktest"), expect(dead_code, reason = "for tests"))]
pub fn kept() -> usize {
    KEPT.iter().map(|kept| Cpu::masked(|| kept.0.lock().len())).sum()
}

/// Unmaps all that is kept. In strand context, with no lock held.
pub fn drain() {
    for kept in &KEPT {
        // Out of the lock before they are dropped, which waits for other cores.
        let stacks = Cpu::masked(|| core::mem::take(&mut *kept.0.lock()));
        drop(stacks);
    }
}
