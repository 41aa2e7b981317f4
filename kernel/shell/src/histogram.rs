//! How often what took how long, drawn in signs.

use alloc::{format, string::String};
use core::fmt::{self, Display};

use crate::{
    table::{Column, Table},
    units::{Nanoseconds, Thousands},
};

/// The most signs in a bar, so that a row fits into 80 columns.
const LONGEST_BAR: u64 = 32;

/// Counts by classes of duration: class *n* counts what took at least 2 to the *n* nanoseconds and less
/// than twice that; the first one also what took less, the last one all that took longer.
///
/// Shown as a row for each class from the first to the last that counts anything, then in which classes
/// the median and the 99th percentile lie.
///
/// ```
/// use shell::histogram::Histogram;
///
/// let mut classes = [0; 32];
/// (classes[8], classes[10], classes[11]) = (8, 1, 1);
/// assert_eq!(Histogram::new(&classes).to_string(), "\
/// at least   below  count   share
///   256 ns  512 ns      8  80.0 %  ################################
///   512 ns  1.0 µs      0   0.0 %
///   1.0 µs  2.0 µs      1  10.0 %  ####
///   2.0 µs  4.1 µs      1  10.0 %  ####
/// median below 512 ns, 99th percentile below 4.1 µs
/// ");
/// ```
pub struct Histogram<'c> {
    classes: &'c [u64],
}

impl<'c> Histogram<'c> {
    /// A drawing of these counts.
    pub fn new(classes: &'c [u64]) -> Self {
        Self { classes }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.classes.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The class in which so many hundredths of all lie or below it: the median's for 50. None if nothing
    /// was counted.
    pub fn percentile(&self, percent: u64) -> Option<usize> {
        let total = u128::from(self.total());
        // The nearest rank, rounded up: of two, the median is the first.
        let rank = (total * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += u128::from(*count);
            seen >= rank
        };
        if total == 0 { None } else { self.classes.iter().position(reaches) }
    }

    /// Where a class ends; the last one does not.
    fn end_of(&self, class: usize) -> Option<Nanoseconds> {
        if class + 1 == self.classes.len() { None } else { 2_u64.checked_shl(class as u32).map(Nanoseconds) }
    }

    /// Where it begins.
    fn start_of(class: usize) -> Nanoseconds {
        Nanoseconds(if class == 0 { 0 } else { 1_u64.checked_shl(class as u32).unwrap_or(u64::MAX) })
    }

    fn place(&self, percent: u64) -> String {
        match self.percentile(percent).map(|class| (class, self.end_of(class))) {
            None => "nowhere".into(),
            Some((_, Some(end))) => format!("below {end}"),
            Some((class, None)) => format!("at least {}", Self::start_of(class)),
        }
    }
}

impl Display for Histogram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let is_used = |count: &u64| *count > 0;
        let (Some(first), Some(last)) =
            (self.classes.iter().position(is_used), self.classes.iter().rposition(is_used))
        else {
            return f.write_str("nothing was counted\n");
        };
        let (total, most) = (self.total(), self.classes.iter().copied().max().unwrap_or(1));
        let mut table = Table::new([
            Column::right("at least"),
            Column::right("below"),
            Column::right("count"),
            Column::right("share"),
            Column::left(""),
        ]);
        for class in first..=last {
            let count = self.classes[class];
            let end = self.end_of(class).map_or(String::new(), |end| format!("{end}"));
            table.row(&[
                &Self::start_of(class),
                &end,
                &Thousands(count),
                &Share(count, total),
                &bar(count, most),
            ]);
        }
        write!(f, "{table}")?;
        writeln!(f, "median {}, 99th percentile {}", self.place(50), self.place(99))
    }
}

/// A part of a whole, in tenths of a hundredth.
struct Share(u64, u64);

impl Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let tenths = scaled(self.0, 1000, self.1);
        write!(f, "{}.{} %", tenths / 10, tenths % 10)
    }
}

/// As long as the count is large. What is too little for a sign is a dot, so that it is seen.
fn bar(count: u64, most: u64) -> String {
    match scaled(count, LONGEST_BAR, most) {
        0 if count > 0 => ".".into(),
        length => "#".repeat(length as usize),
    }
}

/// `part / whole` in units of `1 / unit`, rounded to the nearest.
fn scaled(part: u64, unit: u64, whole: u64) -> u64 {
    let whole = u128::from(whole.max(1));
    ((u128::from(part) * u128::from(unit) + whole / 2) / whole) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn nothing() {
        assert_eq!(Histogram::new(&[0; 32]).to_string(), "nothing was counted\n");
        assert_eq!(Histogram::new(&[]).to_string(), "nothing was counted\n");
        assert_eq!((Histogram::new(&[0; 32]).percentile(50), Histogram::new(&[]).total()), (None, 0));
    }

    #[test]
    fn the_ends_are_open() {
        let expected = "\
at least  below  count   share
    0 ns   2 ns      1  25.0 %  ###########
    2 ns   4 ns      0   0.0 %
    4 ns             3  75.0 %  ################################
median at least 4 ns, 99th percentile at least 4 ns
";
        assert_eq!(Histogram::new(&[1, 0, 3]).to_string(), expected);
    }

    #[test]
    fn little_beside_much_is_seen() {
        let drawing = Histogram::new(&[0, 1_000_000, 1, 0]).to_string();
        let rows: alloc::vec::Vec<&str> = drawing.lines().collect();
        assert_eq!(rows[1], format!("    2 ns   4 ns  1,000,000  100.0 %  {}", "#".repeat(32)));
        assert_eq!(rows[2], "    4 ns   8 ns          1    0.0 %  .");
        assert!(rows.iter().all(|row| row.chars().count() <= 80));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let of = |classes: &[u64], percent| Histogram::new(classes).percentile(percent);
        assert_eq!((of(&[1, 1], 50), of(&[1, 2], 50), of(&[1, 1], 99)), (Some(0), Some(1), Some(1)));
        assert_eq!((of(&[99, 1], 99), of(&[98, 2], 99)), (Some(0), Some(1)));
        assert_eq!((of(&[0, 5, 0], 0), of(&[0, 5, 0], 100)), (Some(1), Some(1)));
        assert_eq!(of(&[u64::MAX / 2, 0, u64::MAX / 2], 50), Some(0), "no overflow");
    }

    #[test]
    fn counts_may_be_as_large_as_can_be() {
        let classes = [u64::MAX; 64];
        let histogram = Histogram::new(&classes);
        assert_eq!((histogram.total(), histogram.to_string().lines().count()), (u64::MAX, 66));
    }
}
