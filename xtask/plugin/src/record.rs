//! What each core did between its marks.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a cache line, on every processor that this is about.
pub const LINE: u64 = 64;

/// One access, to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// The virtual address.
    pub address: u64,
    /// The instruction's own.
    pub code: u64,
}

/// What one core did to one line: the first access of each kind.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Touch {
    /// The first load.
    pub load: Option<Access>,
    /// The first store.
    pub store: Option<Access>,
}

/// What one core did between its marks.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Record {
    /// Instructions, the marks not counted.
    pub instructions: u64,
    /// By physical line, in the order of addresses.
    pub lines: BTreeMap<u64, Touch>,
}

impl Record {
    /// Of a core that has done nothing.
    pub const fn empty() -> Self {
        Self { instructions: 0, lines: BTreeMap::new() }
    }

    /// Notes an access of `size` bytes at the physical address `physical`.
    pub fn access(&mut self, physical: u64, size: u64, is_store: bool, access: Access) {
        // An access across the end of a line touches two.
        for line in physical / LINE..=(physical + size.max(1) - 1) / LINE {
            let touch = self.lines.entry(line).or_default();
            let first = if is_store { &mut touch.store } else { &mut touch.load };
            first.get_or_insert(access);
        }
    }
}

/// A line that one core wrote and another touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shared {
    /// Who wrote, and where.
    pub writer: (u32, Access),
    /// Who else touched it, where, and was that a store?
    pub other: (u32, Access, bool),
}

/// The lines that one of these cores wrote and another touched, one finding for each line, in the order
/// of addresses.
pub fn shared(records: &[(u32, Record)]) -> Vec<Shared> {
    let mut findings: Vec<(u64, Shared)> = Vec::new();
    let mut seen = BTreeSet::new();
    for (writer, record) in records {
        let stores = record.lines.iter().filter_map(|(line, touch)| Some((line, touch.store?)));
        for (line, store) in stores {
            let other = records.iter().filter(|(core, _)| core != writer).find_map(|(core, record)| {
                let touch = record.lines.get(line)?;
                let store = touch.store.map(|access| (*core, access, true));
                store.or(touch.load.map(|access| (*core, access, false)))
            });
            if let Some(other) = other
                && seen.insert(*line)
            {
                findings.push((*line, Shared { writer: (*writer, store), other }));
            }
        }
    }
    findings.sort_by_key(|(line, _)| *line);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

#[cfg(test)]
mod tests {
    use super::{Access, Record, shared};

    fn access(address: u64) -> Access {
        Access { address, code: 1 }
    }

    fn record(accesses: &[(u64, u64, bool)]) -> Record {
        let mut record = Record::default();
        for (address, size, is_store) in accesses {
            record.access(*address, *size, *is_store, access(*address));
        }
        record
    }

    #[test]
    fn what_nobody_writes_is_not_shared() {
        let all =
            [(0, record(&[(0, 8, false), (64, 8, true)])), (1, record(&[(8, 8, false), (128, 8, true)]))];
        assert_eq!(shared(&all), []);
    }

    #[test]
    fn one_writer_is_enough_wherever_in_the_line() {
        let all = [(0, record(&[(0x108, 8, false)])), (5, record(&[(0x130, 1, true)]))];
        let [found] = shared(&all)[..] else { panic!("one line is shared") };
        assert_eq!(found.writer, (5, access(0x130)));
        assert_eq!(found.other, (0, access(0x108), false));
    }

    #[test]
    fn an_access_across_the_end_touches_both_lines() {
        let all = [(0, record(&[(60, 8, true)])), (1, record(&[(64, 4, false)]))];
        assert_eq!(shared(&all).len(), 1);
        assert_eq!(record(&[(60, 4, true)]).lines.len(), 1);
    }

    #[test]
    fn two_writers_are_one_finding() {
        let all = [(0, record(&[(0, 8, true)])), (1, record(&[(0, 8, true)])), (2, record(&[(0, 8, false)]))];
        assert_eq!(shared(&all).len(), 1);
    }
}
