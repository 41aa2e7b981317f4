//! Which cores there are: for each core id the APIC id by which it is interrupted, and whether it is online.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{CoreSet, MAX_CORES};

static APIC_IDS: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];
static ONLINE: AtomicU64 = AtomicU64::new(0);

/// Enters `core` with its APIC id: it answers interrupts from now on. Called by the core itself, once its interrupt
/// table is loaded and its APIC is on.
pub fn set_online(core: usize, apic_id: u32) {
    // Relaxed: published by the release below.
    APIC_IDS[core].store(apic_id, Ordering::Relaxed);
    // Release: whoever sees the bit sees the id, and all that the core set up before it came online.
    ONLINE.fetch_or(CoreSet::only(core).bits(), Ordering::Release);
}

/// The cores that answer interrupts. Cores come online and never go.
pub fn online() -> CoreSet {
    // Acquire: synchronizes with the release in `set_online`.
    CoreSet::from_bits(ONLINE.load(Ordering::Acquire))
}

/// Ids of the online cores in rising order.
pub fn iter() -> crate::set::Iter {
    online().iter()
}

/// The APIC id of `core`; None unless it is online.
pub fn apic_id(core: usize) -> Option<u32> {
    // Relaxed: `online` has acquired it.
    online().contains(core).then(|| APIC_IDS[core].load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::{apic_id, iter, online, set_online};

    #[test]
    fn a_core_is_known_once_it_is_online() {
        assert!(!online().contains(63));
        assert_eq!(apic_id(63), None);
        set_online(63, 300);
        assert_eq!(apic_id(63), Some(300));
        assert_eq!(apic_id(64), None);
        assert_eq!(iter().last(), Some(63));
    }
}
