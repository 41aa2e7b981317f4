//! Clocks whose frequency is known: the ACPI PM timer, the HPET, and channel 2 of the PIT.

use core::fmt;
use core::hint::spin_loop;
use core::ptr::NonNull;

use x86_64::instructions::port::Port;

use crate::topology::PmTimer;

/// The PM timer's frequency (ACPI 6.5, section 4.8.3.3).
const PM_TIMER_HZ: u64 = 3_579_545;
/// The PIT's frequency.
const PIT_HZ: u64 = 1_193_182;
/// Femtoseconds in a second: the HPET tells its period in them.
const FS_PER_SECOND: u64 = 1_000_000_000_000_000;
/// The longest period that the HPET's specification allows, in femtoseconds (section 2.3.4).
const HPET_MAX_PERIOD_FS: u64 = 100_000_000;

/// The PIT's channel 2, its command register, and the port with its gate.
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
const PIT_GATE: u16 = 0x61;

/// How often to look whether a clock counts at all.
const PATIENCE: u32 = 100_000;

/// A clock to measure others by. It counts up and wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The ACPI PM timer.
    PmTimer(PmTimer),
    /// The HPET's main counter.
    Hpet {
        /// Where its registers are mapped.
        registers: NonNull<u64>,
        /// How often it counts in a second.
        hz: u64,
        /// 32 or 64.
        bits: u32,
    },
    /// Channel 2 of the PIT. It wraps every 55 ms.
    Pit,
}

impl Reference {
    /// The first that is there and counts: the PM timer, the HPET whose registers are mapped at `hpet`, the PIT.
    ///
    /// # Safety
    /// `hpet` is mapped uncached and writable while the result is used. Nobody else uses the HPET or the PIT's channel 2.
    pub unsafe fn choose(pm_timer: Option<PmTimer>, hpet: Option<NonNull<u64>>) -> Option<Self> {
        let pm_timer = pm_timer.map(Self::PmTimer).filter(Self::counts);
        let hpet = || {
            // SAFETY: the caller's promise.
            hpet.and_then(|registers| unsafe { start_hpet(registers) }).filter(Self::counts)
        };
        let pit = || {
            // SAFETY: the caller's promise.
            unsafe { start_pit() };
            Some(Self::Pit).filter(Self::counts)
        };
        pm_timer.or_else(hpet).or_else(pit)
    }

    /// How often it counts in a second.
    pub fn hz(&self) -> u64 {
        match self {
            Self::PmTimer(_) => PM_TIMER_HZ,
            Self::Hpet { hz, .. } => *hz,
            Self::Pit => PIT_HZ,
        }
    }

    /// The count. Only differences mean something; [`elapsed`](Self::elapsed) takes them.
    pub fn read(&self) -> u64 {
        match self {
            Self::PmTimer(timer) => {
                let mut port = Port::<u32>::new(timer.port);
                // SAFETY: reading the PM timer's port has no effect.
                u64::from(unsafe { port.read() })
            }
            // SAFETY: mapped (the contract of `choose`); 0xf0 is the main counter.
            Self::Hpet { registers, .. } => unsafe { read_hpet(*registers, 0xf0) },
            Self::Pit => u64::from(u16::MAX - read_pit()),
        }
    }

    /// How far it counted from `start` to `end`, if it wrapped at most once.
    pub fn elapsed(&self, start: u64, end: u64) -> u64 {
        let bits = match self {
            Self::PmTimer(timer) => timer.bits,
            Self::Hpet { bits, .. } => *bits,
            Self::Pit => 16,
        };
        end.wrapping_sub(start) & (u64::MAX >> (64 - bits))
    }

    fn counts(&self) -> bool {
        let start = self.read();
        (0..PATIENCE).any(|_| {
            spin_loop();
            self.elapsed(start, self.read()) != 0
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PmTimer(_) => "PM timer",
            Self::Hpet { .. } => "HPET",
            Self::Pit => "PIT",
        })
    }
}

/// Lets the HPET's main counter run; None where its capabilities make no sense.
///
/// # Safety
/// `registers` leads to the HPET's registers, mapped, and nobody else uses it.
unsafe fn start_hpet(registers: NonNull<u64>) -> Option<Reference> {
    // SAFETY: 0 is the capabilities' register.
    let capabilities = unsafe { read_hpet(registers, 0) };
    let period_fs = capabilities >> 32;
    if period_fs == 0 || period_fs > HPET_MAX_PERIOD_FS {
        return None;
    }
    // SAFETY: 0x10 is the configuration's register.
    let configuration = unsafe { read_hpet(registers, 0x10) };
    // SAFETY: 0x10 bytes on, inside the registers.
    let register = unsafe { registers.byte_add(0x10) };
    // SAFETY: bit 0 lets the counter run, and the timers' interrupts are left as they are.
    unsafe { register.write_volatile(configuration | 1) };
    let bits = if capabilities & 1 << 13 != 0 { 64 } else { 32 };
    Some(Reference::Hpet { registers, hz: FS_PER_SECOND / period_fs, bits })
}

/// # Safety
/// `registers` leads to the HPET's registers, mapped, and `offset` is one of theirs.
unsafe fn read_hpet(registers: NonNull<u64>, offset: usize) -> u64 {
    // SAFETY: inside the registers (the caller's promise).
    let register = unsafe { registers.byte_add(offset) };
    // SAFETY: mapped; reading has no effect.
    unsafe { register.read_volatile() }
}

/// Lets channel 2 count down from the top, silently.
///
/// # Safety
/// Nobody else uses the channel.
unsafe fn start_pit() {
    let mut gate = Port::<u8>::new(PIT_GATE);
    // SAFETY: reading the gate's port has no effect.
    let others = unsafe { gate.read() } & 0xfc;
    // SAFETY: opens the gate (bit 0) and keeps the speaker off (bit 1).
    unsafe { gate.write(others | 1) };
    // Channel 2, both bytes, mode 0: count down, go on at zero.
    // SAFETY: nobody else uses the channel.
    unsafe { Port::<u8>::new(PIT_COMMAND).write(0b1011_0000) };
    for _ in 0..2 {
        // SAFETY: the two bytes of the count, 0xffff.
        unsafe { Port::<u8>::new(PIT_CHANNEL_2).write(0xff) };
    }
}

fn read_pit() -> u16 {
    // SAFETY: latches channel 2's count.
    unsafe { Port::<u8>::new(PIT_COMMAND).write(0b1000_0000) };
    let bytes = [(); 2].map(|()| {
        // SAFETY: reads the latched count, low byte first.
        unsafe { Port::<u8>::new(PIT_CHANNEL_2).read() }
    });
    u16::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::{PmTimer, Reference};

    #[test]
    fn a_wrap_is_no_jump() {
        let narrow = Reference::PmTimer(PmTimer { port: 0x608, bits: 24 });
        assert_eq!(narrow.elapsed(0xff_fff0, 0x10), 0x20);
        let wide = Reference::PmTimer(PmTimer { port: 0x608, bits: 32 });
        assert_eq!(wide.elapsed(0xff_fff0, 0x100_0010), 0x20);
        assert_eq!(Reference::Pit.elapsed(0xffff, 0), 1);
    }
}
