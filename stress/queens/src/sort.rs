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

/// Some of the values, those of each range together.
struct Piece {
    values: Vec<u64>,
    /// Where each range begins, and where the last one ends.
    ends: Vec<usize>,
}

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
        Ok(pieces
            .map(|piece| Piece::deal(piece * count / RANGES..(piece + 1) * count / RANGES, &bounds))
            .collect())
    };
    let pieces: Arc<Vec<Piece>> = Arc::new(worker.reduce(0..RANGES, 1, &Arc::new(deal), append)?);

    let gather = move |_: &Worker, ranges: Range<usize>| {
        Ok(ranges.map(|range| sorted(pieces.iter().map(|piece| piece.range(range)))).collect::<Vec<_>>())
    };
    let ranges: Vec<Vec<u64>> = worker.reduce(0..RANGES, 1, &Arc::new(gather), append)?;

    let ranges = Arc::new(ranges);
    let look = move |_: &Worker, part: Range<usize>| Ok(Order::of(ranges[part].iter().flatten()));
    let order = worker.reduce(0..RANGES, 1, &Arc::new(look), Order::then)?;
    let add = |_: &Worker, places: Range<usize>| Ok(places.map(value).fold(0, u64::wrapping_add));
    let wanted = worker.reduce(0..count, count / RANGES, &Arc::new(add), u64::wrapping_add)?;
    Ok(if order.sum == wanted { order.good } else { 0 })
}

impl Piece {
    /// The values at these places.
    fn deal(places: Range<usize>, bounds: &[u64]) -> Self {
        let drawn: Vec<u64> = places.map(value).collect();
        let range_of = |value: &u64| bounds.partition_point(|bound| bound <= value) as u8;
        let ranges: Vec<u8> = drawn.iter().map(range_of).collect();
        let mut ends = vec![0; RANGES + 1];
        ranges.iter().for_each(|range| ends[usize::from(*range) + 1] += 1);
        (0..RANGES).for_each(|range| ends[range + 1] += ends[range]);
        let (mut next, mut values) = (ends.clone(), vec![0; drawn.len()]);
        for (value, range) in drawn.into_iter().zip(ranges) {
            let place = &mut next[usize::from(range)];
            values[*place] = value;
            *place += 1;
        }
        Self { values, ends }
    }

    fn range(&self, range: usize) -> &[u64] {
        &self.values[self.ends[range]..self.ends[range + 1]]
    }
}

/// One range of all pieces.
fn sorted<'a>(parts: impl Iterator<Item = &'a [u64]>) -> Vec<u64> {
    let mut range = Vec::new();
    parts.for_each(|part| range.extend(part));
    range.sort_unstable();
    range
}

/// How values follow each other.
struct Order {
    first: u64,
    last: u64,
    /// How many are not less than the one before them.
    good: u64,
    sum: u64,
}

impl Order {
    fn of<'a>(values: impl Iterator<Item = &'a u64>) -> Self {
        let one = |value: &u64| Self { first: *value, last: *value, good: 1, sum: *value };
        // Without any: fits before and after everything.
        let none = Self { first: u64::MAX, last: 0, good: 0, sum: 0 };
        values.map(one).reduce(Self::then).unwrap_or(none)
    }

    /// These values, and those of `next`.
    fn then(self, next: Self) -> Self {
        let is_bad = self.good > 0 && next.good > 0 && next.first < self.last;
        Self {
            first: if self.good > 0 { self.first } else { next.first },
            last: if next.good > 0 { next.last } else { self.last },
            good: self.good + next.good - u64::from(is_bad),
            sum: self.sum.wrapping_add(next.sum),
        }
    }
}
