//! The kernel's heap.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

use talc::DefaultBinning;
use talc::base::Talc;

use crate::chunk::{Chunks, Growth, grow};
use crate::class::{self, Class};
use crate::frame::OutOfFrames;
use crate::list::List;
use crate::machine::{Lock, MAX_CORES, Machine, Padded, PerCore, mine};

/// Order of the chunks by which the heap grows: 2 MiB.
const USUAL_ORDER: u8 = 9;

/// The kernel's heap: for each core a few lists of free blocks by size, over one talc.
///
/// Requests of up to 2 KiB that are aligned to 16 bytes or less are served from this core's lists,
/// without a lock that another core takes; the others go to talc behind its lock. Any core may free
/// what another allocated. Usable in any context, with interrupts masked too.
///
/// It grows by chunks of 2 MiB, or larger ones for larger requests, and gives such a chunk back
/// when all of it is free. Blocks in the cores' lists are not free in that sense until
/// [`drain`](Heap::drain)ed.
pub struct Heap<M, C: Chunks> {
    cores: PerCore<Core<M>>,
    shared: Lock<M, Talc<Growth<C>, DefaultBinning>>,
    /// Bytes claimed; written under the lock of `shared` only.
    claimed: AtomicUsize,
}

struct Core<M> {
    cache: Lock<M, [List; class::COUNT]>,
    /// Bytes allocated less bytes freed on this core. Negative where other cores' blocks are freed.
    in_use: AtomicIsize,
    /// Bytes in the lists.
    cached: AtomicUsize,
}

/// Counts of bytes. Exact when nobody allocates or frees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapCounts {
    /// Sum of the sizes of all live allocations, as requested: what their layouts say.
    pub in_use: usize,
    /// Bytes of free blocks in the cores' lists.
    pub cached: usize,
    /// Bytes claimed from the source of chunks.
    pub claimed: usize,
}

impl<M: Machine, C: Chunks> Heap<M, C> {
    /// A heap that has claimed nothing yet.
    pub const fn new(chunks: C) -> Self {
        Self {
            cores: [const { Padded(Core::empty()) }; MAX_CORES],
            shared: Lock::new(Talc::new(Growth::new(chunks, USUAL_ORDER))),
            claimed: AtomicUsize::new(0),
        }
    }

    /// Claims a chunk of 2^`order` pages ahead. The first chunk stays for ever.
    pub fn reserve(&self, order: u8) -> Result<(), OutOfFrames> {
        self.shared(|talc| grow(talc, order))
    }

    /// Gives every core's cached blocks back to talc.
    pub fn drain(&self) {
        for Padded(core) in &self.cores {
            core.cache.with(|lists| {
                for class in Class::all() {
                    let list = &mut lists[class.index()];
                    self.spill(core, class, list, list.len());
                }
            });
        }
    }

    /// The counts. Takes no lock.
    pub fn counts(&self) -> HeapCounts {
        // Relaxed, all of them: each is a number of its own, and none guards anything.
        let in_use: isize = self.cores.iter().map(|Padded(core)| core.in_use.load(Relaxed)).sum();
        let cached = self.cores.iter().map(|Padded(core)| core.cached.load(Relaxed)).sum();
        HeapCounts { in_use: in_use.max(0) as usize, cached, claimed: self.claimed.load(Relaxed) }
    }

    /// Runs `work` on this core's entry.
    fn here<R>(&self, work: impl FnOnce(&Core<M>) -> R) -> R {
        M::masked(|| work(mine::<M, _>(&self.cores)))
    }

    /// Runs `work` on talc and publishes how much it has claimed then.
    fn shared<R>(&self, work: impl FnOnce(&mut Talc<Growth<C>, DefaultBinning>) -> R) -> R {
        self.shared.with(|talc| {
            let result = work(talc);
            self.claimed.store(talc.source.claimed, Relaxed);
            result
        })
    }

    /// Allocates from this core's list, which is refilled from talc where it is empty, and counts
    /// `bytes` as in use.
    fn alloc_cached(&self, class: Class, bytes: usize) -> Option<NonNull<u8>> {
        self.here(|core| {
            let block = core.cache.with(|lists| {
                let list = &mut lists[class.index()];
                let Some(block) = list.pop() else {
                    return self.refill(core, class, list);
                };
                core.cached.fetch_sub(class.size(), Relaxed);
                Some(block)
            })?;
            core.in_use.fetch_add(bytes as isize, Relaxed);
            Some(block)
        })
    }

    /// Takes one block, and a batch for `list`, from talc. Only the first may make the heap grow.
    fn refill(&self, core: &Core<M>, class: Class, list: &mut List) -> Option<NonNull<u8>> {
        self.shared(|talc| {
            // SAFETY: a class is not of size zero.
            let first = unsafe { talc.allocate(class.layout()) }?;
            for _ in 1..class.limit() / 2 {
                // SAFETY: as above.
                let Some(block) = (unsafe { talc.try_allocate(class.layout()) }) else { break };
                // SAFETY: talc has just given us the block, which is of this list's class.
                unsafe { list.push(block) };
                core.cached.fetch_add(class.size(), Relaxed);
            }
            Some(first)
        })
    }

    /// Moves `count` blocks of `list` back to talc.
    fn spill(&self, core: &Core<M>, class: Class, list: &mut List, count: usize) {
        if count == 0 {
            return;
        }
        self.shared(|talc| {
            for block in core::iter::from_fn(|| list.pop()).take(count) {
                // SAFETY: blocks in a list were allocated from talc with its class' layout.
                unsafe { talc.deallocate(block.as_ptr(), class.layout()) };
                core.cached.fetch_sub(class.size(), Relaxed);
            }
        });
    }

    /// Frees a block of `class` to this core's list, and counts `bytes` as free.
    ///
    /// # Safety
    /// As for [`GlobalAlloc::dealloc`]; the block was allocated for a layout of `class`.
    unsafe fn free_cached(&self, block: NonNull<u8>, class: Class, bytes: usize) {
        self.here(|core| {
            core.in_use.fetch_sub(bytes as isize, Relaxed);
            core.cache.with(|lists| {
                let list = &mut lists[class.index()];
                if list.len() >= class.limit() {
                    self.spill(core, class, list, class.limit() / 2);
                }
                // SAFETY: the caller gives the block up; it is as large as its class.
                unsafe { list.push(block) };
                core.cached.fetch_add(class.size(), Relaxed);
            });
        });
    }

    /// Allocates from talc, growing where needed, and counts `bytes` as in use.
    fn alloc_shared(&self, layout: Layout, bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: `GlobalAlloc` gives no layout of size zero, and a class is never of size zero.
        let block = self.shared(|talc| unsafe { talc.allocate(layout) })?;
        self.count(bytes as isize);
        Some(block)
    }

    /// Counts bytes as in use, or as free again.
    fn count(&self, bytes: isize) {
        self.here(|core| core.in_use.fetch_add(bytes, Relaxed));
    }
}

impl<M: Machine> Core<M> {
    const fn empty() -> Self {
        Self {
            cache: Lock::new([const { List::EMPTY }; class::COUNT]),
            in_use: AtomicIsize::new(0),
            cached: AtomicUsize::new(0),
        }
    }
}

// SAFETY: a block comes from talc, which hands out distinct memory that fits its layout, or from a
// list, whose blocks came from talc with a layout at least as large and as aligned as any of the
// class. Nothing here unwinds, and failure is null. Lists and talc are each behind a lock.
unsafe impl<M: Machine, C: Chunks> GlobalAlloc for Heap<M, C> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = Class::of(layout);
        let first = match class {
            Some(class) => self.alloc_cached(class, layout.size()),
            None => self.alloc_shared(layout, layout.size()),
        };
        let block = first.or_else(|| {
            // Other cores may have cached what is missing here.
            self.drain();
            self.alloc_shared(class.map_or(layout, Class::layout), layout.size())
        });
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        match Class::of(layout) {
            // SAFETY: the caller allocated the block with this layout, hence of this class.
            Some(class) => unsafe { self.free_cached(block, class, layout.size()) },
            None => {
                // SAFETY: layouts without a class are allocated from talc as they are.
                self.shared(|talc| unsafe { talc.deallocate(block.as_ptr(), layout) });
                self.count(-(layout.size() as isize));
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(new_size, layout.align()) else { return ptr::null_mut() };
        let in_place = match (Class::of(layout), Class::of(new)) {
            (Some(old), Some(new)) => old == new,
            // SAFETY: talc allocated the block with this layout, and no caller asks for size zero.
            (None, None) => self.shared(|talc| unsafe { talc.try_realloc_in_place(block, layout, new_size) }),
            _ => false,
        };
        if in_place {
            self.count(new_size as isize - layout.size() as isize);
            return block;
        }
        // SAFETY: `new` has the caller's size, which is not zero.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both blocks are live, distinct, and at least this long.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size)) };
            // SAFETY: the caller gave the block up if we succeed, and we have.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}
