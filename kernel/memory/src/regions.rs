//! Sets of physical addresses, for making sense of a memory map.

use core::ops::Range;

use arrayvec::ArrayVec;

use crate::frame::PAGE_SIZE;

/// Ranges that a set holds at most. Firmware gives some twenty.
const CAPACITY: usize = 128;

/// A set of page-aligned physical addresses, as ranges: sorted, disjoint, none empty, none adjacent.
///
/// A memory map is an allegation: its entries may overlap, be unaligned or nonsense. Build the set of
/// RAM from the entries that claim to be RAM, then remove all that the others claim. A set with too
/// many ranges forgets the rest of its memory, and never invents some.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    ranges: ArrayVec<Range<u64>, CAPACITY>,
}

impl Regions {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: ArrayVec::new_const() }
    }

    /// Adds the whole pages of a range.
    pub fn insert(&mut self, range: Range<u64>) {
        let page = PAGE_SIZE as u64;
        let Some(start) = range.start.checked_next_multiple_of(page) else { return };
        let mut new = start..range.end - range.end % page;
        if new.is_empty() {
            return;
        }
        // Those that touch the new one become part of it.
        let first = self.ranges.partition_point(|old| old.end < new.start);
        let last = self.ranges.partition_point(|old| old.start <= new.end);
        for old in self.ranges.drain(first..last) {
            new = new.start.min(old.start)..new.end.max(old.end);
        }
        // Full: this memory stays unused.
        _ = self.ranges.try_insert(first, new);
    }

    /// Removes every page that a range touches.
    pub fn remove(&mut self, range: Range<u64>) {
        let page = PAGE_SIZE as u64;
        let start = range.start - range.start % page;
        let end = range.end.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        if range.is_empty() {
            return;
        }
        let mut index = self.ranges.partition_point(|old| old.end <= start);
        while let Some(old) = self.ranges.get(index).filter(|old| old.start < end) {
            let (below, above) = (old.start..start.max(old.start), end.min(old.end)..old.end);
            self.ranges.remove(index);
            for rest in [below, above] {
                // Full: the upper part is forgotten.
                if !rest.is_empty() && self.ranges.try_insert(index, rest).is_ok() {
                    index += 1;
                }
            }
        }
    }

    /// Whether every address of a range, which is not empty, is in the set.
    pub fn contains(&self, range: Range<u64>) -> bool {
        let after = self.ranges.partition_point(|old| old.start <= range.start);
        after.checked_sub(1).is_some_and(|index| range.end <= self.ranges[index].end)
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().cloned()
    }

    /// The address after the last one; zero for the empty set.
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// The lowest `bytes` bytes in one range within `bounds`, aligned to a page.
    pub fn find(&self, bytes: u64, bounds: Range<u64>) -> Option<Range<u64>> {
        let page = PAGE_SIZE as u64;
        let bytes = bytes.checked_next_multiple_of(page)?;
        let inside = |old: Range<u64>| {
            let start = old.start.max(bounds.start).checked_next_multiple_of(page)?;
            let end = start.checked_add(bytes)?;
            (end <= old.end.min(bounds.end)).then_some(start..end)
        };
        self.iter().find_map(inside)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;
    use crate::tests::{Random, rounds};

    fn set(ranges: &[Range<u64>]) -> Regions {
        let mut set = Regions::new();
        ranges.iter().for_each(|range| set.insert(range.clone()));
        set
    }

    fn list(set: &Regions) -> Vec<(u64, u64)> {
        set.iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn unaligned_ends_are_cut_off_and_neighbours_merge() {
        assert_eq!(list(&set(&[0x1001..0x4fff, 0x5000..0x6000, 0x4000..0x5000])), [(0x2000, 0x6000)]);
        let reversed = Range { start: 0x7000, end: 0x3000 };
        assert_eq!(list(&set(&[0x1001..0x1fff, reversed, 0xffff_ffff_ffff_fff0..u64::MAX])), []);
    }

    #[test]
    fn removal_takes_every_page_that_is_touched() {
        let mut ram = Regions::new();
        ram.insert(0..0x10000);
        ram.remove(0x1fff..0x3001);
        ram.remove(0x8000..0x8000);
        ram.remove(0xf800..u64::MAX);
        assert_eq!(list(&ram), [(0, 0x1000), (0x4000, 0xf000)]);
        assert!(ram.contains(0x4000..0xf000) && !ram.contains(0..0x1001) && !ram.contains(0xf000..0xf001));
        assert_eq!((ram.end(), ram.bytes()), (0xf000, 0xc000));
        assert_eq!(ram.find(0x1001, 0..u64::MAX), Some(0x4000..0x6000));
        assert_eq!(ram.find(0x1000, 0x4800..0x6000), Some(0x5000..0x6000));
        assert_eq!(ram.find(0x1000, 0x4800..0x5fff), None);
    }

    #[test]
    fn a_full_set_forgets_memory_and_invents_none() {
        let mut ram = Regions::new();
        (0..200).for_each(|page| ram.insert(page * 0x2000..page * 0x2000 + 0x1000));
        assert_eq!(ram.iter().count(), CAPACITY);
        ram.insert(0x10_0000_0000..0x10_0000_3000);
        ram.remove(0x10_0000_1000..0x10_0000_2000);
        assert!(ram.iter().all(|range| range.end <= 200 * 0x2000));
    }

    #[test]
    fn random_ranges_agree_with_a_set_of_pages() {
        let mut random = Random(5);
        for _ in 0..rounds(100).max(1) {
            let (mut ranges, mut pages) = (Regions::new(), BTreeSet::new());
            for _ in 0..60 {
                let start = random.below(100) as u64;
                let touched = start..start + random.below(20) as u64;
                let bytes = touched.start * 4096..touched.end * 4096;
                if random.below(2) == 0 {
                    ranges.insert(bytes);
                    pages.extend(touched);
                } else {
                    ranges.remove(bytes);
                    pages.retain(|page| !touched.contains(page));
                }
                let flat: BTreeSet<u64> = ranges.iter().flat_map(|r| r.start / 4096..r.end / 4096).collect();
                assert_eq!(flat, pages);
                let all = list(&ranges);
                assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0), "sorted and merged");
            }
        }
    }
}
