//! Frames for code and constants, which the direct map must not let anybody write.
//!
//! The direct map is made of 2 MiB pages. To keep them whole, such frames come from blocks of 2 MiB
//! that are made read-only there as a whole: one change of an entry and one shootdown for each block.
//! Frames of a block that nobody uses count as free.

use ::memory::{Frame, FrameRange, OutOfFrames, PAGE_SIZE};
use arrayvec::{ArrayVec, CapacityError};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use x86_64::VirtAddr;

use super::machine::Lock;
use super::tables::{Access, TABLES};
use super::{FRAMES, tlb};
use crate::layout;

/// Order of a block: one large page of the direct map.
const ORDER: u8 = 9;
const FRAMES_PER_BLOCK: usize = 1 << ORDER;

/// As many blocks as the window of spindles could ever need.
const MAX_BLOCKS: usize = ((layout::SPINDLES.end - layout::SPINDLES.start) as usize >> ORDER) / PAGE_SIZE;

static BLOCKS: Lock<ArrayVec<Block, MAX_BLOCKS>> = Lock::new(ArrayVec::new_const());
// Both are written under the lock only, so that their order is that of the changes, and read without.
static FREE: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// 2 MiB of physical memory that are read-only in the direct map.
struct Block {
    range: FrameRange,
    used: [u64; FRAMES_PER_BLOCK / 64],
}

impl Block {
    fn is_unused(&self) -> bool {
        self.used.iter().all(|word| *word == 0)
    }

    fn take(&mut self) -> Option<u64> {
        let word = self.used.iter().position(|word| *word != u64::MAX)?;
        let bit = self.used[word].trailing_ones() as usize;
        self.used[word] |= 1 << bit;
        Some(self.range.address() + ((word * 64 + bit) * PAGE_SIZE) as u64)
    }

    fn give_back(&mut self, physical: u64) {
        let index = (physical - self.range.address()) as usize / PAGE_SIZE;
        let (word, mask) = (index / 64, 1 << (index % 64));
        assert!(self.used[word] & mask != 0, "a frame of the text arena is freed twice");
        self.used[word] &= !mask;
    }
}

/// Takes a frame that nobody can write through the direct map. Strand context, because it may need
/// a new block and hence a shootdown.
pub(super) fn alloc() -> Result<Frame, OutOfFrames> {
    loop {
        let taken = BLOCKS.with(|blocks| {
            let taken = blocks.iter_mut().find_map(Block::take);
            FREE.fetch_sub(taken.is_some().into(), Relaxed);
            taken
        });
        if let Some(physical) = taken {
            // SAFETY: the block owns its frames, and this one was not taken.
            return Ok(unsafe { Frame::from_address(physical) });
        }
        claim_block()?;
    }
}

/// Gives a frame back that no core can reach any more by another address than the direct map's.
/// Returns it where it is none of the arena's. Strand context: may give a block back.
pub(super) fn free(frame: Frame) -> Option<Frame> {
    let physical = frame.address();
    let inside = |block: &Block| physical.wrapping_sub(block.range.address()) < block_size();
    let unused = BLOCKS.with(|blocks| {
        let index = blocks.iter().position(inside)?;
        blocks[index].give_back(physical);
        FREE.fetch_add(1, Relaxed);
        // One block stays, so that ordinary loading changes no count.
        let release = blocks.len() > 1 && blocks[index].is_unused();
        if release {
            FREE.fetch_sub(FRAMES_PER_BLOCK, Relaxed);
            TOTAL.fetch_sub(FRAMES_PER_BLOCK, Relaxed);
        }
        Some(release.then(|| blocks.remove(index)))
    });
    match unused {
        None => return Some(frame),
        Some(None) => {}
        Some(Some(block)) => release_block(block),
    }
    None
}

/// Makes 2 MiB more of the direct map read-only.
pub(super) fn claim_block() -> Result<(), OutOfFrames> {
    let range = FRAMES.alloc_range(ORDER)?;
    protect(&range, Access::ReadOnly);
    let block = Block { range, used: [0; FRAMES_PER_BLOCK / 64] };
    BLOCKS
        .with(|blocks| {
            blocks.try_push(block)?;
            FREE.fetch_add(FRAMES_PER_BLOCK, Relaxed);
            TOTAL.fetch_add(FRAMES_PER_BLOCK, Relaxed);
            Ok(())
        })
        .map_err(|full: CapacityError<Block>| {
            release_block(full.element());
            OutOfFrames
        })
}

/// Makes a block ordinary memory again.
fn release_block(block: Block) {
    protect(&block.range, Access::ReadWrite);
    FRAMES.free_range(block.range);
}

/// Changes a block's access in the direct map, on all cores.
fn protect(range: &FrameRange, access: Access) {
    let start = VirtAddr::new(layout::direct(range.address()));
    let found = TABLES.with(|tables| tables.protect(start, access));
    assert!(found, "the direct map maps all RAM");
    // One address is enough: it makes a core forget the whole large page (Intel SDM vol. 3, 4.10.4.1).
    tlb::flush(start, 1);
}

fn block_size() -> u64 {
    (FRAMES_PER_BLOCK * PAGE_SIZE) as u64
}

/// Frames in blocks, and of them those that nobody uses.
pub(super) fn counts() -> (usize, usize) {
    (TOTAL.load(Relaxed), FREE.load(Relaxed))
}
