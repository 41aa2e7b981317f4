//! One measurement in the form of every suite, and its statistics.
use crate::error::{Error, Result};
use std::fmt::Write;
use tinyjson::JsonValue;

/// On what it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This machine's own processor.
    Host,
    /// The booted kernel, by time.
    Tcg,
    /// The booted kernel, by counted instructions.
    Icount,
}

impl Mode {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Host => "host",
            Mode::Tcg => "tcg",
            Mode::Icount => "icount",
        }
    }

    /// The unit of its samples.
    pub fn unit(self) -> &'static str {
        match self {
            Mode::Host => "ns",
            Mode::Tcg => "cycles",
            Mode::Icount => "instructions",
        }
    }
}

/// What one case came to, in one mode, on so many cores at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The suite: `dispatch`.
    pub suite: &'static str,
    /// The case, as the measuring code names it.
    pub case: String,
    /// On what.
    pub mode: Mode,
    /// On how many cores at once.
    pub cores: u32,
    /// All samples, in the order in which they were taken, in the mode's unit, for doing it once.
    pub samples: Vec<f64>,
}

impl Measurement {
    /// The median; NaN without samples.
    pub fn median(&self) -> f64 {
        median(&self.samples)
    }

    /// What 99 % of the samples do not exceed (the nearest rank); NaN without samples.
    pub fn p99(&self) -> f64 {
        let sorted = sorted(&self.samples);
        let rank = (sorted.len() * 99).div_ceil(100);
        rank.checked_sub(1).map_or(f64::NAN, |index| sorted[index])
    }

    /// Reads `{"case":...,"cores":...,"samples":[...]}`, as measuring code prints it.
    pub fn read(suite: &'static str, mode: Mode, value: &JsonValue) -> Option<Measurement> {
        let object = value.get::<std::collections::HashMap<String, JsonValue>>()?;
        let samples = object.get("samples")?.get::<Vec<JsonValue>>()?;
        Some(Measurement {
            suite,
            case: object.get("case")?.get::<String>()?.clone(),
            mode,
            cores: *object.get("cores")?.get::<f64>()? as u32,
            samples: samples.iter().map(|sample| sample.get::<f64>().copied()).collect::<Option<_>>()?,
        })
    }

    /// One object, its keys always in the same order.
    fn json(&self) -> String {
        let mut text = format!(
            r#"{{"suite":{},"case":{},"mode":"{}","cores":{},"unit":"{}","median":{},"p99":{},"samples":["#,
            string(self.suite),
            string(&self.case),
            self.mode.name(),
            self.cores,
            self.mode.unit(),
            number(self.median()),
            number(self.p99())
        );
        for (at, sample) in self.samples.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{}", if at == 0 { "" } else { "," }, number(*sample));
        }
        text + "]}"
    }
}

/// The array of all of them, an object a line.
pub fn json(all: &[Measurement]) -> String {
    let objects: Vec<String> = all.iter().map(Measurement::json).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

/// A line of JSON, or none if it is none.
pub fn parse(line: &str) -> Option<JsonValue> {
    line.trim_start().starts_with('{').then(|| line.parse().ok()).flatten()
}

/// The median of these; NaN if there are none.
pub fn median(samples: &[f64]) -> f64 {
    let sorted = sorted(samples);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Reads criterion's `sample.json`: nanoseconds for one time.
pub fn criterion(text: &str) -> Result<Vec<f64>> {
    let read = || -> Option<Vec<f64>> {
        let value: JsonValue = text.parse().ok()?;
        let object = value.get::<std::collections::HashMap<String, JsonValue>>()?;
        let numbers = |key: &str| -> Option<Vec<f64>> {
            object.get(key)?.get::<Vec<JsonValue>>()?.iter().map(|number| number.get().copied()).collect()
        };
        let (times, counts) = (numbers("times")?, numbers("iters")?);
        let is_whole = times.len() == counts.len() && counts.iter().all(|count| *count > 0.0);
        is_whole.then(|| times.iter().zip(&counts).map(|(time, count)| time / count).collect())
    };
    read().ok_or_else(|| {
        Error::new(
            "cannot read what criterion has measured",
            "was its version changed? Its sample.json must have `iters` and `times`",
        )
    })
}

fn string(text: &str) -> String {
    // A string always has a JSON form.
    JsonValue::String(text.into()).stringify().unwrap_or_default()
}

/// Three decimals, without zeros at the end. JSON knows no NaN.
fn number(number: f64) -> String {
    if !number.is_finite() {
        return "null".into();
    }
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::{Measurement, Mode, criterion, json, median, parse};
    use tinyjson::JsonValue;

    fn measurement(samples: &[f64]) -> Measurement {
        Measurement {
            suite: "dispatch",
            case: "a \"case\"".into(),
            mode: Mode::Tcg,
            cores: 2,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn statistics_do_not_depend_on_the_order() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((measurement(&hundred).median(), measurement(&hundred).p99()), (50.5, 99.0));
        assert_eq!((median(&[3.0, 1.0, 2.0]), measurement(&[3.0, 1.0, 2.0]).p99()), (2.0, 3.0));
        assert_eq!((median(&[7.0]), measurement(&[7.0]).p99()), (7.0, 7.0));
        assert!(median(&[]).is_nan() && measurement(&[]).p99().is_nan());
    }

    #[test]
    fn the_array_has_exactly_these_keys() {
        let text = json(&[measurement(&[1.5, 2.0, 0.125]), measurement(&[])]);
        let value: JsonValue = text.parse().unwrap();
        let objects: &Vec<JsonValue> = value.get().unwrap();
        assert_eq!(objects.len(), 2);
        let object: &std::collections::HashMap<String, JsonValue> = objects[0].get().unwrap();
        let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["case", "cores", "median", "mode", "p99", "samples", "suite", "unit"]);
        assert!(text.contains(r#""mode":"tcg","cores":2,"unit":"cycles","median":1.5,"p99":2,"#), "{text}");
        assert_eq!(
            Measurement::read("dispatch", Mode::Tcg, &objects[0]),
            Some(measurement(&[1.5, 2.0, 0.125]))
        );
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = r#"{"case":"call","cores":8,"samples":[1.500,0.020]}"#;
        let read = Measurement::read("dispatch", Mode::Icount, &parse(line).unwrap()).unwrap();
        assert_eq!((read.case.as_str(), read.cores, read.samples), ("call", 8, vec![1.5, 0.02]));
        for line in ["halted", "{", "[1]", ""] {
            assert!(parse(line).is_none(), "{line}");
        }
        for line in [r#"{"case":"call","cores":8}"#, r#"{"case":"call","cores":8,"samples":["x"]}"#] {
            assert!(Measurement::read("dispatch", Mode::Icount, &parse(line).unwrap()).is_none());
        }
    }

    #[test]
    fn criterions_samples_are_divided() {
        let text = r#"{"sampling_mode":"Linear","iters":[10.0,20.0],"times":[100.0,50.0]}"#;
        assert_eq!(criterion(text).unwrap(), [10.0, 2.5]);
        for bad in ["", "{}", r#"{"iters":[1.0],"times":[]}"#, r#"{"iters":[0.0],"times":[1.0]}"#] {
            assert!(criterion(bad).is_err(), "{bad}");
        }
    }
}
