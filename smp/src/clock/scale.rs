//! From a counter's ticks to nanoseconds and back, without a division and without overflow.
#![forbid(unsafe_code)]

/// Fraction bits of nanoseconds per tick: enough that a year at 1 GHz is right to two microseconds.
const NS_BITS: u32 = 44;
/// Fraction bits of ticks per nanosecond: 100 GHz fit easily.
const TICK_BITS: u32 = 52;
const NS_PER_SECOND: u128 = 1_000_000_000;

/// The pace of a counter.
///
/// ```
/// let scale = smp::clock::Scale::from_hz(3_579_545);
/// assert_eq!(scale.ns(3_579_545), 1_000_000_000);
/// assert_eq!(scale.ticks(1_000_000), 3_579);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    ns_per_tick: u64,
    ticks_per_ns: u64,
}

impl Scale {
    /// The pace of a counter that counts `hz` times in a second, between 1 kHz and 100 GHz.
    ///
    /// # Panics
    /// Outside of that range: it is no clock.
    pub const fn from_hz(hz: u64) -> Self {
        assert!(hz >= 1_000 && hz <= 100_000_000_000, "a clock of 1 kHz to 100 GHz");
        // Rounded up, so that a whole second of ticks is never a nanosecond short.
        let ns_per_tick = (NS_PER_SECOND << NS_BITS).div_ceil(hz as u128);
        let ticks_per_ns = ((hz as u128) << TICK_BITS) / NS_PER_SECOND;
        Self { ns_per_tick: ns_per_tick as u64, ticks_per_ns: ticks_per_ns as u64 }
    }

    /// The nanoseconds in `ticks`, at most u64::MAX.
    #[inline]
    pub const fn ns(self, ticks: u64) -> u64 {
        saturate((ticks as u128 * self.ns_per_tick as u128) >> NS_BITS)
    }

    /// The whole ticks in `ns`, at most u64::MAX.
    #[inline]
    pub const fn ticks(self, ns: u64) -> u64 {
        saturate((ns as u128 * self.ticks_per_ns as u128) >> TICK_BITS)
    }

    pub(super) const fn ns_per_tick(self) -> u64 {
        self.ns_per_tick
    }

    pub(super) const fn ticks_per_ns(self) -> u64 {
        self.ticks_per_ns
    }

    pub(super) const fn from_parts(ns_per_tick: u64, ticks_per_ns: u64) -> Self {
        Self { ns_per_tick, ticks_per_ns }
    }
}

/// How often a counter counts in a second, of which `ticks` were counted while a reference of `reference_hz` counted
/// `reference_ticks`. 0 where the reference did not count.
pub(super) fn measured_hz(ticks: u64, reference_ticks: u64, reference_hz: u64) -> u64 {
    let hz = (u128::from(ticks) * u128::from(reference_hz)).checked_div(reference_ticks.into());
    saturate(hz.unwrap_or(0))
}

/// How far apart two frequencies are, in parts per million of the greater.
pub(super) fn apart_ppm(one: u64, other: u64) -> u32 {
    let ppm = (u128::from(one.abs_diff(other)) * 1_000_000).checked_div(one.max(other).into());
    // At most a million.
    ppm.unwrap_or(0) as u32
}

const fn saturate(number: u128) -> u64 {
    if number > u64::MAX as u128 { u64::MAX } else { number as u64 }
}

#[cfg(test)]
mod tests {
    use super::{NS_BITS, Scale, apart_ppm, measured_hz};

    const RATES: [u64; 8] = [
        1_000,
        1_193_182,
        3_579_545,
        14_318_180,
        1_000_000_000,
        2_999_999_999,
        6_000_000_000,
        100_000_000_000,
    ];

    #[test]
    fn a_second_is_a_second_and_a_year_a_year() {
        for hz in RATES {
            let scale = Scale::from_hz(hz);
            assert_eq!(scale.ns(hz), 1_000_000_000, "{hz} Hz");
            let year_s = 365 * 24 * 3600;
            let Some(ticks) = hz.checked_mul(year_s) else { continue };
            let error = scale.ns(ticks).abs_diff(year_s * 1_000_000_000);
            // Half a unit in the last place, times the ticks of a year.
            assert!(u128::from(error) <= u128::from(ticks) >> 44 | 1, "{hz} Hz: {error} ns in a year");
        }
    }

    #[test]
    fn time_never_goes_back() {
        for hz in RATES {
            let scale = Scale::from_hz(hz);
            let mut last = 0;
            for ticks in (0..10_000).chain((0..64).map(|bit| u64::MAX >> (63 - bit))) {
                let ns = scale.ns(ticks);
                assert!(ns >= last || ticks < 10_000);
                last = ns;
            }
        }
    }

    #[test]
    fn there_and_back_loses_less_than_a_tick() {
        for hz in RATES {
            let scale = Scale::from_hz(hz);
            for ns in [0, 1, 999, 1_000_000, 123_456_789_012] {
                let back = scale.ns(scale.ticks(ns));
                // A tick, and what the fraction's bits leave of a pace that is no power of two.
                let slack = 1_000_000_000 / hz + 1 + (scale.ticks(ns) >> NS_BITS);
                assert!(back.abs_diff(ns) <= slack, "{hz} Hz, {ns} ns: {back}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_saturates() {
        assert_eq!(Scale::from_hz(1_000).ns(u64::MAX), u64::MAX);
        assert_eq!(Scale::from_hz(6_000_000_000).ticks(u64::MAX), u64::MAX);
        assert_eq!(measured_hz(u64::MAX, 1, u64::MAX), u64::MAX);
    }

    #[test]
    fn measures() {
        assert_eq!(measured_hz(25_000_000, 35_795, 3_579_545), 2_500_031_428);
        assert_eq!(measured_hz(1, 0, 1), 0);
        assert_eq!(apart_ppm(1_000_000, 999_000), 1_000);
        assert_eq!(apart_ppm(0, 0), 0);
        assert_eq!(apart_ppm(0, u64::MAX), 1_000_000);
    }
}
