//! Each case on one core: what it costs.

use alloc::{format, string::String, vec::Vec};

use super::{
    cases::{BATCH, Case},
    sample::Samples,
    stage::Instrument,
};

/// Spindles that answer `Demo.Hello`, each measured as a case: one does nothing else, the other raises
/// `Demo.Heard` on the way, which nothing but its intrinsic handler hears, and one an event of another spindle's,
/// which is loaded first.
const SPINDLES: [(&str, &[&str]); 3] = [
    ("spindle", &["adder"]),
    ("spindle that raises", &["echo"]),
    ("spindle that uses another", &["server", "client"]),
];

/// Samples of each case.
pub(super) const SAMPLES: usize = 101;
/// A case that has taken so many ticks is cut short once it has so many samples: some wait for others.
const ENOUGH: (u64, usize) = (4_000_000_000, 11);
/// Samples that are thrown away: the first touch memory for the first time.
const WARM_UP: usize = 5;

/// Measures every case on the calling strand's core; `tell` hears of each as it is done.
///
/// # Errors
///
/// What could not be installed or loaded.
pub fn run<K: Instrument>(kernel: &'static K, tell: &mut dyn FnMut(&Samples)) -> Result<(), String> {
    for case in Case::<K>::all() {
        let name = case.name;
        let ready = case.make(kernel).map_err(|error| format!("{name}: {error}"))?;
        tell(&sample(kernel, name, case.batch, &|times| ready(times), case.leaves_posts, SAMPLES));
        drop(ready);
        kernel.settle();
    }
    for (case, spindles) in SPINDLES {
        spindles.iter().try_for_each(|spindle| kernel.load(spindle))?;
        let samples = sample(kernel, case, BATCH, &|times| kernel.raise_hello_times(times), false, SAMPLES);
        spindles.iter().rev().try_for_each(|spindle| kernel.unload(spindle))?;
        tell(&samples);
    }
    Ok(())
}

/// Takes samples of `body`, a `batch` at a time, on the calling strand's core.
pub(super) fn sample<K: Instrument>(
    kernel: &K,
    case: &'static str,
    batch: u64,
    body: &dyn Fn(u64),
    leaves_posts: bool,
    samples: usize,
) -> Samples {
    let mut thousandths = Vec::with_capacity(samples);
    let mut spent = 0;
    for at in 0..WARM_UP + samples {
        let begun = kernel.ticks();
        body(batch);
        let ticks = kernel.ticks().wrapping_sub(begun);
        spent += ticks;
        if leaves_posts {
            kernel.rest();
        }
        if at >= WARM_UP {
            thousandths.push(ticks * 1000 / batch);
        }
        if spent > ENOUGH.0 && thousandths.len() >= ENOUGH.1 {
            break;
        }
    }
    Samples { case, cores: 1, thousandths }
}
