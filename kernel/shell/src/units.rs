//! Numbers for people. All of them follow width and alignment of the format: `{:>12}`.

use alloc::format;
use alloc::string::String;
use core::fmt::{self, Display};

/// A count with a comma at each thousand: `1,234,567`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thousands(pub u64);

impl Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let digits = format!("{}", self.0);
        let mut out = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        f.pad(&out)
    }
}

/// A size in bytes: `512 B`, `1.5 MiB`; rounded to a tenth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let names = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let tenths = |power: usize| tenths(self.0, 1 << (10 * (power + 1)));
        // By the rounded value: 1023.99 KiB are 1.0 MiB.
        let power = (0..names.len() - 1).find(|&power| tenths(power) < 10240).unwrap_or(names.len() - 1);
        f.pad(&format!("{}.{} {}", tenths(power) / 10, tenths(power) % 10, names[power]))
    }
}

/// A duration in nanoseconds: `999 ns`, `1.5 µs`, `20.0 ms`, `3.1 s`, `2 min 05 s`, `1 h 02 min`, `3 d 04 h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanoseconds(pub u64);

impl Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ns = self.0;
        if ns < 1000 {
            return f.pad(&format!("{ns} ns"));
        }
        for (unit, bound, name) in
            [(1_000, 10_000, "µs"), (1_000_000, 10_000, "ms"), (1_000_000_000, 600, "s")]
        {
            let tenths = tenths(ns, unit);
            if tenths < bound {
                return f.pad(&format!("{}.{} {name}", tenths / 10, tenths % 10));
            }
        }
        // A tenth of ten seconds is one.
        let seconds = tenths(ns, 10_000_000_000);
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
        f.pad(&match (days, hours) {
            (0, 0) => format!("{minutes} min {:02} s", seconds % 60),
            (0, _) => format!("{hours} h {:02} min", minutes % 60),
            _ => format!("{days} d {:02} h", hours % 24),
        })
    }
}

/// A share in thousandths, in percent: `0.4 %`, `100.0 %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u64);

impl Share {
    /// How much `part` is of `whole`, rounded down; all of it at most, and nothing of nothing.
    pub fn of(part: u64, whole: u64) -> Self {
        let thousandths = u128::from(part) * 1000 / u128::from(whole.max(1));
        Self(thousandths.min(1000) as u64)
    }
}

impl Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(&format!("{}.{} %", self.0 / 10, self.0 % 10))
    }
}

/// A share in thousandths as a bar in brackets, so many signs wide: `[####......]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// How much of it is full.
    pub share: Share,
    /// Signs between the brackets.
    pub width: usize,
}

impl Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // What is not nothing shows.
        let full = (self.share.0.min(1000) * self.width as u64).div_ceil(1000) as usize;
        write!(f, "[{:#<full$}{:.<empty$}]", "", "", empty = self.width - full)
    }
}

/// `value / unit` in tenths, rounded to the nearest.
fn tenths(value: u64, unit: u64) -> u64 {
    ((u128::from(value) * 10 + u128::from(unit / 2)) / u128::from(unit)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn thousands() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (value, expected) in cases {
            assert_eq!(Thousands(value).to_string(), expected);
        }
        assert_eq!(Thousands(u64::MAX).to_string(), "18,446,744,073,709,551,615");
        assert_eq!(format!("{:>7}|{:<7}|", Thousands(1000), Thousands(1000)), "  1,000|1,000  |");
    }

    #[test]
    fn bytes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (128 << 20, "128.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (value, expected) in cases {
            assert_eq!(Bytes(value).to_string(), expected);
        }
    }

    #[test]
    fn shares() {
        let cases =
            [(0, 7, "0.0 %"), (1, 3, "33.3 %"), (5, 5, "100.0 %"), (6, 5, "100.0 %"), (0, 0, "0.0 %")];
        for (part, whole, expected) in cases {
            assert_eq!(Share::of(part, whole).to_string(), expected);
        }
        assert_eq!(Share::of(u64::MAX / 2, u64::MAX).to_string(), "49.9 %");
        let cases = [(0, "[.....]"), (1, "[#....]"), (200, "[#....]"), (201, "[##...]"), (1000, "[#####]")];
        for (share, expected) in cases {
            assert_eq!(Bar { share: Share(share), width: 5 }.to_string(), expected);
        }
    }

    #[test]
    fn durations() {
        let s = 1_000_000_000;
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1500, "1.5 µs"),
            (999_960, "1.0 ms"),
            (20_000_000, "20.0 ms"),
            (59 * s + s / 10, "59.1 s"),
            (60 * s, "1 min 00 s"),
            (60 * s - 1, "1 min 00 s"),
            (125 * s, "2 min 05 s"),
            (3720 * s, "1 h 02 min"),
            (3 * 86400 * s + 4 * 3600 * s, "3 d 04 h"),
        ];
        for (value, expected) in cases {
            assert_eq!(Nanoseconds(value).to_string(), expected);
        }
        assert!(Nanoseconds(u64::MAX).to_string().ends_with(" h"));
    }
}
