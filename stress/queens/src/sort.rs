//! A sort by samples: pieces are dealt out into ranges of values, and the ranges are sorted, all at once.

use alloc::{sync::Arc, vec, vec::Vec};
use core::ops::Range;

use forkjoin_interface::Worker;
use spindle::Error;

/// Ranges of values, and as many pieces: several for each of eight workers, since ranges are not of one size.
const RANGES: usize = 64;
/// Values that are looked at for each bound between ranges.
const SAMPLES: usize = 8;

/// The value at that place, before the sort: Steele's SplitMix.
fn value(place: usize) -> u64 {
    let mut value = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// One piece, dealt out; or the sorted ranges.
type Dealt = Vec<Vec<u64>>;

fn append<T>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    one.extend(other);
    one
}

/// Sorts so many values; how many of them came out in order, each once.
pub fn sort(worker: &Worker, count: usize) -> Result<u64, Error> {
    let mut samples: Vec<u64> =
        (0..RANGES * SAMPLES).map(|at| value(at * count / (RANGES * SAMPLES))).collect();
    samples.sort_unstable();
    let bounds: Vec<u64> = (1..RANGES).map(|range| samples[range * SAMPLES]).collect();
    let bounds = Arc::new(bounds);

    let deal = move |_: &Worker, pieces: Range<usize>| {
        Ok(pieces.map(|piece| deal(piece * count / RANGES..(piece + 1) * count / RANGES, &bounds)).collect())
    };
    let pieces: Arc<Vec<Dealt>> = Arc::new(worker.reduce(0..RANGES, 1, &Arc::new(deal), append)?);

    let gather = move |_: &Worker, ranges: Range<usize>| {
        Ok(ranges.map(|range| sorted(pieces.iter().map(|piece| &piece[range]))).collect::<Dealt>())
    };
    let ranges: Dealt = worker.reduce(0..RANGES, 1, &Arc::new(gather), append)?;
    Ok(in_order(&ranges, count))
}

/// The values at these places, each in its range.
fn deal(places: Range<usize>, bounds: &[u64]) -> Dealt {
    let mut ranges = vec![Vec::with_capacity(2 * places.len() / RANGES); RANGES];
    for value in places.map(value) {
        ranges[bounds.partition_point(|bound| *bound <= value)].push(value);
    }
    ranges
}

/// One range of all pieces.
fn sorted<'a>(parts: impl Iterator<Item = &'a Vec<u64>>) -> Vec<u64> {
    let mut range = Vec::new();
    parts.for_each(|part| range.extend(part));
    range.sort_unstable();
    range
}

/// How many values are in order, if all are there: their sum says so.
fn in_order(ranges: &Dealt, count: usize) -> u64 {
    let (mut last, mut sum, mut good) = (0, 0_u64, 0_u64);
    for value in ranges.iter().flatten() {
        good += u64::from(*value >= last);
        sum = sum.wrapping_add(*value);
        last = *value;
    }
    let wanted = (0..count).map(value).fold(0, u64::wrapping_add);
    if sum == wanted { good } else { 0 }
}
