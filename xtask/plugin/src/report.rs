//! The report, a line for each finding, words divided by blanks, numbers in decimal but for addresses:
//!
//! ```text
//! core PHASE CORE INSTRUCTIONS LINES_READ LINES_WRITTEN
//! shared PHASE WRITER ADDRESS CODE OTHER ADDRESS CODE load|store
//! end
//! ```
//!
//! The last line says that nothing is missing.

use std::fmt::Write;

use crate::record::{self, Record};

/// A finished record: its phase, its core, and what it holds.
pub type Finished = (u32, u32, Record);

/// The report of all that was recorded.
pub fn write(finished: &[Finished]) -> String {
    let mut phases: Vec<u32> = finished.iter().map(|(phase, ..)| *phase).collect();
    phases.sort_unstable();
    phases.dedup();
    let mut text = String::new();
    for phase in phases {
        let mut records: Vec<(u32, Record)> = finished
            .iter()
            .filter(|(of, ..)| *of == phase)
            .map(|(_, core, record)| (*core, record.clone()))
            .collect();
        records.sort_by_key(|(core, _)| *core);
        for (core, record) in &records {
            let read = record.lines.values().filter(|touch| touch.load.is_some()).count();
            let written = record.lines.values().filter(|touch| touch.store.is_some()).count();
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "core {phase} {core} {} {read} {written}", record.instructions);
        }
        for finding in record::shared(&records) {
            let ((writer, store), (other, access, is_store)) = (finding.writer, finding.other);
            let how = if is_store { "store" } else { "load" };
            let _ = writeln!(
                text,
                "shared {phase} {writer} {:x} {:x} {other} {:x} {:x} {how}",
                store.address, store.code, access.address, access.code
            );
        }
    }
    text + "end\n"
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::record::{Access, Record};

    #[test]
    fn phases_and_cores_are_in_order() {
        let record = |address: u64, is_store: bool| {
            let mut record = Record { instructions: 9, ..Record::default() };
            record.access(address, 8, is_store, Access { address: address + 0x1000, code: 0xabc });
            record
        };
        let finished = [
            (2, 1, record(0, true)),
            (2, 0, record(8, false)),
            (1, 3, record(64, true)),
            (2, 4, record(64, true)),
        ];
        let expected = "core 1 3 9 0 1\ncore 2 0 9 1 0\ncore 2 1 9 0 1\ncore 2 4 9 0 1\n\
            shared 2 1 1000 abc 0 1008 abc load\nend\n";
        assert_eq!(write(&finished), expected);
    }
}
