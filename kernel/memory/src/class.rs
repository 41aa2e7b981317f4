//! Size classes of cached blocks.

use core::alloc::Layout;

/// Alignment of every cached block: talc's own unit is larger, so it costs nothing.
const ALIGN: usize = 16;

/// What talc adds to a block, and what it then rounds up to.
const TAIL: usize = size_of::<usize>();
const UNIT: usize = talc::base::CHUNK_UNIT;

/// Sizes in talc's units: each class is all that its blocks take there, so that rounding up to the
/// class wastes nothing beyond the next class, and powers of two fit closely.
const UNITS: [u8; COUNT] = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65];

/// Number of classes.
pub(crate) const COUNT: usize = 13;

/// The largest cached request in bytes.
pub(crate) const LARGEST: usize = 65 * UNIT - TAIL;

/// For each number of units, the class that holds it.
const BY_UNITS: [u8; 66] = {
    let mut table = [0; 66];
    let mut units = 0;
    let mut class = 0;
    while units < table.len() {
        if units > UNITS[class] as usize {
            class += 1;
        }
        table[units] = class as u8;
        units += 1;
    }
    table
};

/// One size of cached blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// The class whose blocks serve `layout`; `None` where it is too large or too strictly aligned
    /// to be cached.
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        if layout.size() > LARGEST || layout.align() > ALIGN {
            return None;
        }
        Some(Self(BY_UNITS[(layout.size() + TAIL).div_ceil(UNIT)]))
    }

    pub(crate) fn index(self) -> usize {
        self.0.into()
    }

    /// Bytes in a block.
    pub(crate) fn size(self) -> usize {
        usize::from(UNITS[self.index()]) * UNIT - TAIL
    }

    /// The layout of a block.
    pub(crate) fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), ALIGN).expect("the sizes are small")
    }

    /// Blocks that a core keeps at most: some 8 KiB of each class.
    pub(crate) fn limit(self) -> usize {
        (8192 / self.size()).clamp(4, 64)
    }

    /// Every class.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..COUNT as u8).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_layout_has_the_smallest_class_that_holds_it() {
        for size in 1..=LARGEST {
            let class = Class::of(Layout::from_size_align(size, 8).unwrap()).unwrap();
            assert!(class.size() >= size);
            assert!(class.0 == 0 || Class(class.0 - 1).size() < size, "size {size}");
        }
        assert!(Class::of(Layout::from_size_align(LARGEST + 1, 8).unwrap()).is_none());
        assert!(Class::of(Layout::from_size_align(8, 32).unwrap()).is_none());
    }
}
