//! What was measured.

use alloc::vec::Vec;
use core::fmt;

/// What one case came to on so many cores.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The case.
    pub case: &'static str,
    /// How many cores did it at once.
    pub cores: u32,
    /// Thousandths of a tick for one time, in the order in which they were taken.
    pub thousandths: Vec<u64>,
}

impl Samples {
    /// The value that a share of `percent` of the samples does not exceed; 0 if there are none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Thousandths {
        let mut sorted = self.thousandths.clone();
        sorted.sort_unstable();
        // The nearest rank: the smallest sample that is not exceeded by so many.
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        Thousandths(sorted.get(rank - 1).copied().unwrap_or(0))
    }
}

/// A number of thousandths, shown with a decimal point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Thousandths(pub u64);

impl fmt::Display for Thousandths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// For tools: one line of JSON.
impl fmt::Display for Samples {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, r#"{{"case":"{}","cores":{},"samples":["#, self.case, self.cores)?;
        for (at, sample) in self.thousandths.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(out, "{comma}{}", Thousandths(*sample))?;
        }
        out.write_str("]}")
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use alloc::string::ToString;

    #[test]
    fn percentiles_are_samples() {
        let samples = |values: &[u64]| Samples { case: "x", cores: 1, thousandths: values.to_vec() };
        let hundred: alloc::vec::Vec<u64> = (1..=100).rev().map(|number| number * 1000).collect();
        assert_eq!(samples(&hundred).percentile(50).to_string(), "50.000");
        assert_eq!(samples(&hundred).percentile(99).to_string(), "99.000");
        assert_eq!(samples(&[7]).percentile(99).to_string(), "0.007");
        assert_eq!(samples(&[]).percentile(50).to_string(), "0.000");
    }

    #[test]
    fn tools_read_one_line() {
        let samples = Samples { case: "call", cores: 8, thousandths: [1500, 20].into() };
        assert_eq!(samples.to_string(), r#"{"case":"call","cores":8,"samples":[1.500,0.020]}"#);
        let none = Samples { case: "call", cores: 1, thousandths: [].into() };
        assert_eq!(none.to_string(), r#"{"case":"call","cores":1,"samples":[]}"#);
    }
}
