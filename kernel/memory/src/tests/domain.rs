use core::alloc::Layout;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::thread;
use std::vec::Vec;

use super::{Pages, Random, Threads, rounds};
use crate::{DomainCounts, DomainHeap, HeapError};

type TestHeap = DomainHeap<Threads, Arc<Pages>>;

#[test]
fn all_frames_come_back_at_once() {
    let pages = Pages::new(1000);
    let heap = TestHeap::new(pages.clone(), 1 << 20);
    assert_eq!(heap.counts(), DomainCounts::default());
    for _ in 0..500 {
        heap.allocate(Layout::new::<[u8; 700]>()).unwrap();
    }
    let counts = heap.counts();
    assert_eq!((counts.bytes, counts.blocks), (350_000, 500));
    assert_eq!(pages.left.load(Relaxed), 1000 - counts.frames);
    drop(heap);
    assert_eq!(pages.left.load(Relaxed), 1000);
}

#[test]
fn the_quota_counts_frames_not_wishes() {
    let pages = Pages::new(1000);
    let heap = TestHeap::new(pages.clone(), 100_000);
    let one_byte = Layout::new::<u8>();
    let blocks: Vec<_> = core::iter::from_fn(|| heap.allocate(one_byte).ok()).collect();
    assert!(blocks.len() < 100_000 / 32);
    assert!(heap.counts().frames <= 100_000 / 4096);
    assert_eq!(heap.allocate(one_byte), Err(HeapError::OverQuota));
    for block in blocks {
        // SAFETY: the heap gave us the block for this layout.
        unsafe { heap.deallocate(block, one_byte) };
    }
    let counts = heap.counts();
    assert_eq!((counts.bytes, counts.blocks), (0, 0));
    // A raised quota lets it grow again, up to what the machine has.
    heap.set_quota(usize::MAX);
    assert_eq!(heap.quota(), usize::MAX);
    assert_eq!(heap.allocate(Layout::new::<[u8; 1 << 23]>()), Err(HeapError::OutOfFrames));
    let huge = Layout::from_size_align(1, 1 << 62).unwrap();
    assert!(heap.allocate(huge).is_err());
    assert!(heap.allocate(Layout::from_size_align(0, 1 << 63).unwrap()).is_err());
    heap.allocate(Layout::new::<[u8; 1 << 20]>()).unwrap();
}

#[test]
fn size_zero_is_an_allocation_too() {
    let heap = TestHeap::new(Pages::new(100), 1 << 20);
    let nothing = Layout::new::<()>();
    let block = heap.allocate(nothing).unwrap();
    assert_eq!((heap.counts().bytes, heap.counts().blocks), (0, 1));
    // SAFETY: the heap gave us the block for this layout.
    unsafe { heap.deallocate(block, nothing) };
    assert_eq!(heap.counts().blocks, 0);
}

#[test]
fn random_use_by_threads_counts_exactly() {
    let pages = Pages::new(1 << 14);
    let heap = TestHeap::new(pages.clone(), 1 << 25);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let heap = &heap;
            scope.spawn(move || {
                let (mut random, mut blocks) = (Random(seed), Vec::new());
                for round in 0..rounds(4_000) {
                    if random.below(2) == 0 || blocks.is_empty() {
                        let layout =
                            Layout::from_size_align(random.below(5000), 1 << random.below(9)).unwrap();
                        let Ok(block) = heap.allocate(layout) else { continue };
                        // SAFETY: the heap gave us this memory.
                        unsafe { block.write_bytes(round as u8, layout.size()) };
                        blocks.push((block, layout, round as u8));
                        continue;
                    }
                    let (block, mut layout, mark) = blocks.swap_remove(random.below(blocks.len()));
                    // SAFETY: the block is ours and was written in full.
                    let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), layout.size()) };
                    let step = if cfg!(miri) { 511 } else { 1 };
                    assert!(
                        bytes.iter().step_by(step).all(|byte| *byte == mark),
                        "somebody wrote into a block"
                    );
                    let size = random.below(5000);
                    // SAFETY: the block came from this heap for this layout.
                    if unsafe { heap.resize_in_place(block, layout, size) } {
                        layout = Layout::from_size_align(size, layout.align()).unwrap();
                        // SAFETY: the block is of this size now.
                        unsafe { block.write_bytes(mark, size) };
                    }
                    // SAFETY: the block came from this heap, is of this layout, and ends here.
                    unsafe { heap.deallocate(block, layout) };
                }
                for (block, layout, _) in blocks {
                    // SAFETY: as above.
                    unsafe { heap.deallocate(block, layout) };
                }
            });
        }
    });
    let counts = heap.counts();
    assert_eq!((counts.bytes, counts.blocks), (0, 0));
    drop(heap);
    assert_eq!(pages.left.load(Relaxed), 1 << 14);
}
