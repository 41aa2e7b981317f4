//! Who ran when: each rower notes it, and afterwards it is laid side by side.

use alloc::vec::Vec;

use spindle::clock;

/// Whoever has not looked at the clock for so long was not running, in nanoseconds. Less than any slice, and more
/// than what an interrupt takes.
const GAP_NS: u64 = 1_000_000;
/// The most intervals that one notes.
const MOST: usize = 2_000;

/// One rower's notes.
pub struct Watch {
    intervals: Vec<(u64, u64)>,
    begun: u64,
    last: u64,
}

impl Watch {
    /// From now on.
    pub fn start() -> Self {
        let now = now();
        Self { intervals: Vec::with_capacity(MOST), begun: now, last: now }
    }

    /// Looks at the clock, and returns what it says.
    pub fn look(&mut self) -> u64 {
        let now = now();
        if now - self.last > GAP_NS {
            self.close();
            self.begun = now;
        }
        self.last = now;
        now
    }

    fn close(&mut self) {
        if self.intervals.len() < MOST {
            self.intervals.push((self.begun, self.last));
        }
    }

    /// When it ran.
    pub fn stop(mut self) -> Vec<(u64, u64)> {
        self.close();
        self.intervals
    }
}

/// The clock.
pub fn now() -> u64 {
    clock::now().unwrap_or(u64::MAX)
}

/// What comes of laying them side by side, in nanoseconds.
#[derive(Default, Debug)]
pub struct Togetherness {
    /// The time in which any ran.
    pub any: u64,
    /// The time in which all ran.
    pub all: u64,
    /// The longest time at a stretch in which some ran, and some did not.
    pub longest_apart: u64,
    /// The median of such stretches.
    pub median_apart: u64,
    /// What all ran, summed up.
    pub sum: u64,
}

/// Lays them side by side, from `from` to `to`.
pub fn compare(rowers: &[Vec<(u64, u64)>], from: u64, to: u64) -> Togetherness {
    let mut changes: Vec<(u64, i32)> = Vec::new();
    for &(begun, ended) in rowers.iter().flatten() {
        let (begun, ended) = (begun.max(from), ended.min(to));
        if begun < ended {
            changes.extend([(begun, 1), (ended, -1)]);
        }
    }
    changes.sort_unstable();
    let (mut found, mut count, mut before, mut apart) = (Togetherness::default(), 0, from, 0);
    let mut stretches = Vec::new();
    for (at, change) in changes {
        let passed = at - before;
        found.sum += passed * count as u64;
        found.any += if count > 0 { passed } else { 0 };
        let is_all = count as usize == rowers.len();
        found.all += if is_all { passed } else { 0 };
        if count > 0 && !is_all {
            apart += passed;
        } else if passed > 0 {
            if apart > 0 {
                stretches.push(apart);
            }
            apart = 0;
        }
        (count, before) = (count + change, at);
    }
    if apart > 0 {
        stretches.push(apart);
    }
    stretches.sort_unstable();
    found.longest_apart = stretches.last().copied().unwrap_or(0);
    found.median_apart = stretches.get(stretches.len() / 2).copied().unwrap_or(0);
    found
}
