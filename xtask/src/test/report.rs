//! What the tests found: a line for each as it ends, failures with their output, and the sum.
use crate::error::{Error, Result};
use crate::progress::seconds;
use std::time::Duration;

/// The sum so far.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    repeats: Vec<String>,
}

impl Report {
    /// Counts what one ring, suite or test found and shows it.
    pub fn add(&mut self, ring: &str, name: &str, (passed, failed): (usize, usize), time: Duration) {
        self.passed += passed;
        self.failed += failed;
        let verdict = match (passed, failed) {
            (1, 0) => "ok".to_string(),
            (passed, 0) => format!("{passed} ok"),
            (0, 1) => "FAILED".to_string(),
            (passed, failed) => format!("{failed} FAILED, {passed} ok"),
        };
        println!("{ring:<7} {name:<64} {verdict:>8} {:>8}", seconds(time));
    }

    /// Shows why something failed, and how to repeat just that.
    pub fn explain(&mut self, output: &str, repeat: String) {
        for line in output.lines() {
            println!("        | {line}");
        }
        println!("        repeat: {repeat}");
        self.repeats.push(repeat);
    }

    /// A ring that could not run counts as one failed test.
    pub fn guard(&mut self, ring: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.add(ring, "(could not run)", (0, 1), Duration::ZERO);
            self.explain(&format!("error: {error}"), format!("cargo xtask test --ring {ring}"));
        }
    }

    /// Prints the sum as the last line. That no test ran is an error: such a run shows nothing.
    pub fn finish(&self, filter: Option<&str>) -> Result<()> {
        if !self.repeats.is_empty() {
            println!("\nFailed; repeat with:");
            self.repeats.iter().for_each(|repeat| println!("  {repeat}"));
        }
        let outcome = if self.failed > 0 {
            Err(Error::new(
                "tests failed",
                "read above what each said, and repeat it alone by the command there",
            ))
        } else if self.passed == 0 {
            let filter = filter.map(|filter| format!(" whose name contains {filter:?}")).unwrap_or_default();
            Err(Error::new(format!("there is no test{filter}"), "leave the filter out to see the names"))
        } else {
            Ok(())
        };
        if let Err(error) = &outcome {
            eprintln!("error: {error}");
        }
        println!("{}", self.sum());
        outcome.map_err(|_| Error::told())
    }

    fn sum(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::error::Error;
    use std::time::Duration;

    #[test]
    fn the_sum_decides() {
        let mut report = Report::default();
        assert!(report.finish(Some("none")).is_err(), "no test at all is no success");
        report.add("host", "some", (3, 0), Duration::ZERO);
        assert!(report.finish(None).is_ok());
        report.guard("kernel", Ok(()));
        assert_eq!(report.sum(), "3 passed, 0 failed");
        report.guard("kernel", Err(Error::new("no", "try")));
        assert_eq!(report.sum(), "3 passed, 1 failed");
        assert!(report.finish(None).is_err());
    }
}
