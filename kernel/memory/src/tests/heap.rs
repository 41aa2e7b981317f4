use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::vec::Vec;

use super::{Pages, Random, Threads, rounds};
use crate::{Heap, HeapCounts};

type TestHeap = Heap<Threads, Arc<Pages>>;

/// An allocation that is filled with a byte of its own, to notice who writes into it.
struct Block {
    start: *mut u8,
    layout: Layout,
    mark: u8,
}

// SAFETY: the block's memory belongs to it alone.
unsafe impl Send for Block {}

impl Block {
    fn new(heap: &TestHeap, layout: Layout, mark: u8) -> Option<Self> {
        // SAFETY: the tests ask for no layout of size zero.
        let start = unsafe { heap.alloc(layout) };
        if start.is_null() {
            return None;
        }
        assert_eq!(start.addr() % layout.align(), 0);
        // SAFETY: the heap gave us this memory.
        unsafe { start.write_bytes(mark, layout.size()) };
        Some(Self { start, layout, mark })
    }

    fn check(&self) {
        // SAFETY: the block is ours, and was written in full.
        let bytes = unsafe { core::slice::from_raw_parts(self.start, self.layout.size()) };
        // Miri takes its time for every byte.
        let step = if cfg!(miri) { bytes.len() / 8 + 1 } else { 1 };
        assert!(bytes.iter().step_by(step).all(|byte| *byte == self.mark), "somebody wrote into a block");
    }

    fn free(self, heap: &TestHeap) {
        self.check();
        // SAFETY: the block came from this heap with this layout, and ends here.
        unsafe { heap.dealloc(self.start, self.layout) };
    }

    fn resize(&mut self, heap: &TestHeap, size: usize) {
        // SAFETY: the block came from this heap with this layout; the size is not zero.
        let start = unsafe { heap.realloc(self.start, self.layout, size) };
        if start.is_null() {
            return;
        }
        let kept = self.layout.size().min(size);
        self.start = start;
        self.layout = Layout::from_size_align(kept, self.layout.align()).unwrap();
        self.check();
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        // SAFETY: the block is ours, and of this size now.
        unsafe { start.write_bytes(self.mark, size) };
    }
}

fn random_layout(random: &mut Random) -> Layout {
    let size = 1 + match random.below(8) {
        0 => random.below(100_000),
        1 | 2 => random.below(4096),
        _ => random.below(300),
    };
    let align = if random.below(8) == 0 { 1 << random.below(13) } else { 1 << random.below(5) };
    Layout::from_size_align(size, align).unwrap()
}

#[test]
fn bytes_in_use_are_what_was_asked_for() {
    let heap = TestHeap::new(Pages::new(1024));
    heap.reserve(8).unwrap();
    let small = Block::new(&heap, Layout::new::<[u8; 100]>(), 1).unwrap();
    let large = Block::new(&heap, Layout::new::<[u8; 10_000]>(), 2).unwrap();
    let aligned = Block::new(&heap, Layout::from_size_align(10, 512).unwrap(), 3).unwrap();
    assert_eq!(heap.counts().in_use, 10_110);
    for block in [small, large, aligned] {
        block.free(&heap);
    }
    assert_eq!(heap.counts().in_use, 0);
    assert!(heap.counts().cached > 0);
    heap.drain();
    assert_eq!(heap.counts(), HeapCounts { in_use: 0, cached: 0, claimed: 1 << 20 });
}

#[test]
fn it_grows_and_gives_back_what_it_grew() {
    let pages = Pages::new(4096);
    let heap = TestHeap::new(pages.clone());
    heap.reserve(4).unwrap();
    let left = pages.left.load(Relaxed);
    let layout = Layout::from_size_align(3 << 20, 4096).unwrap();
    let large = Block::new(&heap, layout, 1).unwrap();
    assert_eq!(left - pages.left.load(Relaxed), 1024);
    let small: Vec<_> =
        (0..100).map(|_| Block::new(&heap, Layout::new::<[u8; 2000]>(), 2).unwrap()).collect();
    large.free(&heap);
    small.into_iter().for_each(|block| block.free(&heap));
    heap.drain();
    assert_eq!(pages.left.load(Relaxed), left);
    assert_eq!(heap.counts().claimed, 16 * 4096);
}

#[test]
fn an_empty_source_means_null_and_caches_serve_all() {
    let heap = TestHeap::new(Pages::new(16));
    let layout = Layout::new::<[u8; 1000]>();
    let fill = || -> Vec<Block> { core::iter::from_fn(|| Block::new(&heap, layout, 1)).collect() };
    let blocks = fill();
    assert!(blocks.len() > 50);
    let count = blocks.len();
    blocks.into_iter().for_each(|block| block.free(&heap));
    // What one core has cached, another gets where nothing else is left.
    let again = thread::scope(|scope| scope.spawn(fill).join().unwrap());
    assert_eq!(again.len(), count);
    again.into_iter().for_each(|block| block.free(&heap));
    assert!(Block::new(&heap, Layout::new::<[u8; 1 << 20]>(), 1).is_none());
    // SAFETY: the size is not zero.
    assert!(unsafe { heap.alloc(Layout::from_size_align(isize::MAX as usize & !15, 16).unwrap()) }.is_null());
    assert_eq!(heap.counts().in_use, 0);
}

#[test]
fn random_use_keeps_every_block_whole() {
    let pages = Pages::new(4096);
    let heap = TestHeap::new(pages.clone());
    heap.reserve(5).unwrap();
    let left = pages.left.load(Relaxed);
    let (mut random, mut blocks) = (Random(99), Vec::<Block>::new());
    for round in 0..rounds(6_000) {
        match random.below(5) {
            0..2 if !blocks.is_empty() => {
                blocks.swap_remove(random.below(blocks.len())).free(&heap);
            }
            2 if !blocks.is_empty() => {
                let (index, size) = (random.below(blocks.len()), random_layout(&mut random).size());
                blocks[index].resize(&heap, size);
            }
            _ => blocks.extend(Block::new(&heap, random_layout(&mut random), round as u8)),
        }
        assert_eq!(heap.counts().in_use, blocks.iter().map(|block| block.layout.size()).sum::<usize>());
        if blocks.len() > 300 {
            blocks.drain(..200).for_each(|block| block.free(&heap));
        }
    }
    blocks.into_iter().for_each(|block| block.free(&heap));
    heap.drain();
    assert_eq!(heap.counts(), HeapCounts { in_use: 0, cached: 0, claimed: 32 * 4096 });
    assert_eq!(pages.left.load(Relaxed), left);
}

#[test]
fn threads_free_what_others_allocated() {
    let heap = TestHeap::new(Pages::new(1 << 14));
    heap.reserve(6).unwrap();
    let exchange = Mutex::new(Vec::<Block>::new());
    thread::scope(|scope| {
        for seed in 1..=8 {
            let (heap, exchange) = (&heap, &exchange);
            scope.spawn(move || {
                let mut random = Random(seed);
                for round in 0..rounds(4_000) {
                    let block = Block::new(heap, random_layout(&mut random), round as u8);
                    let other = {
                        let mut exchange = exchange.lock().unwrap();
                        exchange.extend(block);
                        let index = random.below(exchange.len());
                        (exchange.len() > 100).then(|| exchange.swap_remove(index))
                    };
                    if let Some(block) = other {
                        block.free(heap);
                    }
                }
            });
        }
    });
    exchange.into_inner().unwrap().into_iter().for_each(|block| block.free(&heap));
    heap.drain();
    assert_eq!(heap.counts(), HeapCounts { in_use: 0, cached: 0, claimed: 64 * 4096 });
}
