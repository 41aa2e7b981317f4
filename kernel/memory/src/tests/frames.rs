use core::ops::Range;
use std::collections::HashSet;
use std::thread;
use std::vec::Vec;

use super::{Random, Threads, rounds, zones};
use crate::{Frame, FrameCounts, FrameRange, Frames, OutOfFrames};

const MIB: u64 = 1 << 20;

fn frames(memory: Range<u64>) -> Frames<Threads> {
    let frames = Frames::new();
    frames.start(zones(memory.end));
    // SAFETY: no real memory is behind the numbers, so nobody else can own it.
    unsafe { frames.give(memory) };
    frames
}

#[test]
fn counts_are_exact_and_cached_frames_are_free() {
    let frames = frames(MIB..2 * MIB);
    assert_eq!(frames.counts(), FrameCounts { total: 256, free: 256, cached: 0 });
    let one = frames.alloc().unwrap();
    assert_eq!(frames.counts(), FrameCounts { total: 256, free: 255, cached: 31 });
    frames.free(one);
    assert_eq!(frames.counts(), FrameCounts { total: 256, free: 256, cached: 32 });
    frames.drain();
    assert_eq!(frames.counts(), FrameCounts { total: 256, free: 256, cached: 0 });
}

#[test]
fn every_frame_can_be_taken_once() {
    let frames = frames(MIB..2 * MIB);
    let taken: Vec<Frame> = core::iter::from_fn(|| frames.alloc().ok()).collect();
    let addresses: HashSet<u64> = taken.iter().map(Frame::address).collect();
    assert_eq!(addresses.len(), 256);
    assert!(addresses.iter().all(|address| (MIB..2 * MIB).contains(address)));
    assert_eq!(frames.alloc(), Err(OutOfFrames));
    taken.into_iter().for_each(|frame| frames.free(frame));
    assert_eq!(frames.counts().free, 256);
}

#[test]
fn a_core_gets_what_others_have_cached() {
    let frames = frames(MIB..MIB + 16 * 4096);
    let one = thread::scope(|scope| scope.spawn(|| frames.alloc().unwrap()).join().unwrap());
    assert_eq!(frames.counts(), FrameCounts { total: 16, free: 15, cached: 15 });
    let taken: Vec<Frame> = core::iter::from_fn(|| frames.alloc().ok()).collect();
    assert_eq!(taken.len(), 15);
    taken.into_iter().chain([one]).for_each(|frame| frames.free(frame));
    let range = frames.alloc_range(4).expect("the caches are drained for a range");
    assert_eq!(range.address(), MIB);
    frames.free_range(range);
}

#[test]
fn ranges_are_aligned_and_cross_no_hole() {
    let frames = frames(MIB..5 * MIB);
    let low = frames.alloc_range(9).unwrap();
    assert_eq!((low.address(), low.frames()), (2 * MIB, 512));
    assert_eq!(frames.alloc_range(17), Err(OutOfFrames));
    assert_eq!(frames.alloc_range(200), Err(OutOfFrames));
    assert_eq!(frames.counts().free, 4 * 256 - 512);
    // A range may come back as its frames.
    low.split().for_each(|frame| frames.free(frame));
    assert_eq!(frames.counts().free, 4 * 256);
}

#[test]
fn zones_beyond_the_first_serve_too() {
    let frames = frames(255 * MIB..258 * MIB);
    let range = frames.alloc_range(9).unwrap();
    assert_eq!(range.address(), 256 * MIB);
    let taken: Vec<Frame> = core::iter::from_fn(|| frames.alloc().ok()).collect();
    assert_eq!(taken.len(), 256);
    frames.free_range(range);
    taken.into_iter().for_each(|frame| frames.free(frame));
    assert_eq!(frames.counts().free, 3 * 256);
}

#[test]
#[should_panic(expected = "freed twice")]
fn a_second_token_for_a_free_frame_is_noticed() {
    let frames = frames(MIB..2 * MIB);
    let range = frames.alloc_range(0).unwrap();
    // SAFETY: deliberately wrong, and harmless: no memory is behind the number.
    let again = unsafe { FrameRange::from_address(range.address(), 0) };
    frames.free_range(range);
    frames.free_range(again);
}

#[test]
fn random_use_agrees_with_a_model() {
    let (frames, mut random) = (frames(MIB..17 * MIB), Random(7));
    let (mut singles, mut ranges, mut owned) = (Vec::new(), Vec::new(), HashSet::new());
    for _ in 0..rounds(6_000) {
        match random.below(5) {
            0 | 1 => {
                let Ok(frame) = frames.alloc() else { continue };
                assert!(owned.insert(frame.address()));
                singles.push(frame);
            }
            2 => {
                let Ok(range) = frames.alloc_range(random.below(if cfg!(miri) { 4 } else { 10 }) as u8)
                else {
                    continue;
                };
                assert_eq!(range.address() % (4096 << range.order()), 0);
                for page in 0..range.frames() as u64 {
                    assert!(owned.insert(range.address() + page * 4096));
                }
                ranges.push(range);
            }
            3 if !singles.is_empty() => {
                let frame = singles.swap_remove(random.below(singles.len()));
                assert!(owned.remove(&frame.address()));
                frames.free(frame);
            }
            _ if !ranges.is_empty() => {
                let range: FrameRange = ranges.swap_remove(random.below(ranges.len()));
                for page in 0..range.frames() as u64 {
                    assert!(owned.remove(&(range.address() + page * 4096)));
                }
                frames.free_range(range);
            }
            _ => {}
        }
        assert_eq!(frames.counts().free, 16 * 256 - owned.len());
    }
    singles.into_iter().for_each(|frame| frames.free(frame));
    ranges.into_iter().for_each(|range| frames.free_range(range));
    assert_eq!(frames.counts().free, frames.counts().total);
}

#[test]
fn threads_never_own_one_frame_together() {
    let frames = frames(MIB..5 * MIB);
    let owners: Vec<_> = (0..5 * 256).map(|_| core::sync::atomic::AtomicBool::new(false)).collect();
    thread::scope(|scope| {
        for seed in 1..=8 {
            let (frames, owners) = (&frames, &owners);
            scope.spawn(move || {
                let (mut random, mut mine) = (Random(seed), Vec::new());
                let owner = |frame: &Frame| &owners[frame.address() as usize / 4096];
                let relaxed = core::sync::atomic::Ordering::Relaxed;
                for _ in 0..rounds(6_000) {
                    if random.below(2) == 0 {
                        let Ok(frame) = frames.alloc() else { continue };
                        assert!(!owner(&frame).swap(true, relaxed), "owned twice");
                        mine.push(frame);
                    } else if !mine.is_empty() {
                        let frame = mine.swap_remove(random.below(mine.len()));
                        assert!(owner(&frame).swap(false, relaxed));
                        frames.free(frame);
                    }
                }
                for frame in mine {
                    assert!(owner(&frame).swap(false, relaxed));
                    frames.free(frame);
                }
            });
        }
    });
    assert_eq!(frames.counts().free, 4 * 256);
    frames.drain();
    assert_eq!(frames.counts(), FrameCounts { total: 1024, free: 1024, cached: 0 });
}
