//! The timers that ACPI knows of: the PM timer (in the FADT, ACPI 6.5, section 5.2.9) and the HPET (in a table of its own).
#![forbid(unsafe_code)]

use super::bytes::{u8_at, u32_at, u64_at};

/// A generic address in system memory.
const SYSTEM_MEMORY: u8 = 0;
/// A generic address in I/O space.
const SYSTEM_IO: u8 = 1;
/// The FADT's flag for a PM timer of 32 bits instead of 24.
const TIMER_IS_32_BITS: u32 = 1 << 8;

/// The ACPI PM timer: counts up at 3.579545 MHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PmTimer {
    /// Its I/O port, 32 bits wide.
    pub port: u16,
    /// How many of the bits count: 24 or 32.
    pub bits: u32,
}

/// The high precision event timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HpetTimer {
    /// Physical address of its registers, 1 KiB of them.
    pub address: u64,
}

/// The PM timer that the FADT whose bytes are `table` names.
pub(super) fn pm_timer(table: &[u8]) -> Option<PmTimer> {
    if u8_at(table, 91)? != 4 {
        return None;
    }
    let flags = u32_at(table, 112).unwrap_or(0);
    let bits = if flags & TIMER_IS_32_BITS != 0 { 32 } else { 24 };
    let port = match u64_at(table, 212) {
        Some(address) if address != 0 && u8_at(table, 208) == Some(SYSTEM_IO) => address,
        _ => u32_at(table, 76)?.into(),
    };
    let port = u16::try_from(port).ok().filter(|&port| port != 0)?;
    Some(PmTimer { port, bits })
}

/// The timer that the HPET table whose bytes are `table` names.
pub(super) fn hpet(table: &[u8]) -> Option<HpetTimer> {
    let address = u64_at(table, 44)?;
    (u8_at(table, 40)? == SYSTEM_MEMORY && address != 0).then_some(HpetTimer { address })
}

#[cfg(test)]
mod tests {
    use super::{PmTimer, hpet, pm_timer};

    #[test]
    fn the_extended_block_wins_when_it_is_a_port() {
        let mut fadt = vec![0; 244];
        fadt[91] = 4;
        fadt[76..78].copy_from_slice(&0x608_u16.to_le_bytes());
        fadt[113] = 1;
        assert_eq!(pm_timer(&fadt), Some(PmTimer { port: 0x608, bits: 32 }));
        fadt[208] = 1;
        fadt[212..214].copy_from_slice(&0xb008_u16.to_le_bytes());
        assert_eq!(pm_timer(&fadt), Some(PmTimer { port: 0xb008, bits: 32 }));
        fadt[208] = 0;
        assert_eq!(pm_timer(&fadt).unwrap().port, 0x608);
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(pm_timer(&[0; 244]), None);
        assert_eq!(pm_timer(&[4; 92]), None);
        assert_eq!(pm_timer(&[]), None);
        assert_eq!(hpet(&[0; 56]), None);
        assert_eq!(hpet(&[1; 51]), None);
    }
}
