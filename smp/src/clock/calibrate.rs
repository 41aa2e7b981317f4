//! How fast the TSC and the APIC's timer are.

use core::fmt;
use core::hint::spin_loop;

use x86_64::instructions::interrupts::without_interrupts;

use super::reference::Reference;
use super::scale::{apart_ppm, measured_hz};
use super::{Scale, set_tsc_hz, tsc};
use crate::Error;
use crate::apic::{has_deadline, timer};

/// How long one measurement takes. The PM timer's tick is 28 ppm of it.
const WINDOW_NS: u64 = 10_000_000;
/// Two measurements in a row that are no further apart than this end the calibration.
const GOOD_PPM: u32 = 500;
/// After so many measurements the best two in a row are taken...
const ATTEMPTS: usize = 12;
/// ...if they are no further apart than this.
const BAD_PPM: u32 = 20_000;
/// How often a moment is read to find one when nothing came between.
const READINGS: usize = 8;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// By what.
    pub reference: Reference,
    /// How often the TSC counts in a second.
    pub tsc_hz: u64,
    /// How often the APIC's timer does, its divider included; None where it takes deadlines of the TSC instead.
    pub timer_hz: Option<u64>,
    /// How far the two measurements were apart of which this is the mean, in parts per million.
    pub apart_ppm: u32,
}

/// A moment by three clocks.
#[derive(Clone, Copy)]
struct Moment {
    tsc: u64,
    reference: u64,
    timer: u64,
}

#[derive(Clone, Copy)]
struct Sample {
    tsc_hz: u64,
    timer_hz: u64,
}

/// Measures TSC and APIC timer by `reference` and sets this crate's clocks by the result. On the boot core, its APIC
/// enabled, before another core runs; takes twice 10 ms where nothing disturbs it.
///
/// # Errors
/// [`Error::UnsteadyClock`] where measurements keep disagreeing, [`Error::ApicNotReady`] before the APIC is enabled.
pub fn calibrate(reference: Reference) -> Result<Calibration, Error> {
    let use_timer = !has_deadline();
    if use_timer {
        timer::run_free()?;
    }
    let calibration = without_interrupts(|| measure(reference, use_timer));
    timer::disarm()?;
    let calibration = calibration?;
    set_tsc_hz(calibration.tsc_hz);
    timer::set_hz(calibration.timer_hz.unwrap_or(0));
    Ok(calibration)
}

fn measure(reference: Reference, use_timer: bool) -> Result<Calibration, Error> {
    let mut last = sample(reference, use_timer);
    let mut best: Option<Calibration> = None;
    for _ in 1..ATTEMPTS {
        let next = sample(reference, use_timer);
        let apart = apart_ppm(last.tsc_hz, next.tsc_hz).max(apart_ppm(last.timer_hz, next.timer_hz));
        if best.is_none_or(|best| apart < best.apart_ppm) {
            best = Some(Calibration {
                reference,
                tsc_hz: last.tsc_hz.midpoint(next.tsc_hz),
                timer_hz: use_timer.then(|| last.timer_hz.midpoint(next.timer_hz)),
                apart_ppm: apart,
            });
        }
        if apart <= GOOD_PPM {
            break;
        }
        last = next;
    }
    let counts = |hz: u64| (1_000_000..=100_000_000_000).contains(&hz);
    match best {
        Some(best) if !counts(best.tsc_hz) || best.timer_hz.is_some_and(|hz| !counts(hz)) => {
            Err(Error::NoReferenceClock)
        }
        Some(best) if best.apart_ppm <= BAD_PPM => Ok(best),
        Some(best) => Err(Error::UnsteadyClock { apart_ppm: best.apart_ppm }),
        None => Err(Error::NoReferenceClock),
    }
}

fn sample(reference: Reference, use_timer: bool) -> Sample {
    let window = Scale::from_hz(reference.hz()).ticks(WINDOW_NS);
    let start = moment(reference, use_timer);
    while reference.elapsed(start.reference, reference.read()) < window {
        spin_loop();
    }
    let end = moment(reference, use_timer);
    let reference_ticks = reference.elapsed(start.reference, end.reference);
    let hz = |ticks| measured_hz(ticks, reference_ticks, reference.hz());
    Sample { tsc_hz: hz(end.tsc - start.tsc), timer_hz: hz(end.timer.saturating_sub(start.timer)) }
}

/// Reads the clocks between two readings of the TSC, several times, and keeps the reading in which these were closest: a
/// virtual machine, or firmware in its system management mode, may take the core away between any two instructions.
fn moment(reference: Reference, use_timer: bool) -> Moment {
    let mut closest = (u64::MAX, Moment { tsc: 0, reference: 0, timer: 0 });
    for _ in 0..READINGS {
        let before = tsc();
        let reference = reference.read();
        let timer = if use_timer { timer::elapsed().unwrap_or(0) } else { 0 };
        let apart = tsc().saturating_sub(before);
        if apart < closest.0 {
            closest = (apart, Moment { tsc: before + apart / 2, reference, timer });
        }
    }
    closest.1
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let khz = |hz: u64| (hz / 1_000_000, hz / 1_000 % 1_000);
        let (mhz, rest) = khz(self.tsc_hz);
        write!(f, "TSC {mhz}.{rest:03} MHz")?;
        match self.timer_hz.map(khz) {
            Some((mhz, rest)) => write!(f, ", APIC timer {mhz}.{rest:03} MHz")?,
            None => write!(f, ", APIC timer by TSC deadline")?,
        }
        write!(f, ", by {}, {} ppm apart", self.reference, self.apart_ppm)
    }
}
