//! The processor's protections.

use core::fmt;

use raw_cpuid::CpuId;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};

/// Which protections a processor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Pages that cannot be executed.
    pub no_execute: bool,
    /// Ring 0 cannot execute user pages.
    pub smep: bool,
    /// Ring 0 reads and writes user pages only where it says so.
    pub smap: bool,
    /// User space cannot read where descriptor tables lie.
    pub umip: bool,
    /// TLB entries that survive a change of address space.
    pub global_pages: bool,
    /// Failing hardware raises an exception.
    pub machine_check: bool,
}

impl Features {
    fn of_this_core() -> Self {
        let cpuid = CpuId::new();
        let basic = cpuid.get_feature_info();
        let extended = cpuid.get_extended_feature_info();
        let long = cpuid.get_extended_processor_and_feature_identifiers();
        Self {
            no_execute: long.is_some_and(|long| long.has_execute_disable()),
            smep: extended.as_ref().is_some_and(|extended| extended.has_smep()),
            smap: extended.as_ref().is_some_and(|extended| extended.has_smap()),
            umip: extended.as_ref().is_some_and(|extended| extended.has_umip()),
            global_pages: basic.as_ref().is_some_and(|basic| basic.has_pge()),
            machine_check: basic.as_ref().is_some_and(|basic| basic.has_mce()),
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.no_execute, "NX"),
            (self.smep, "SMEP"),
            (self.smap, "SMAP"),
            (self.umip, "UMIP"),
            (self.global_pages, "PGE"),
            (self.machine_check, "MCE"),
        ];
        f.write_str("WP")?;
        all.iter().filter(|(is_there, _)| *is_there).try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

/// Switches on what this core has, and read-only pages for ring 0 too, which
/// every one has. Once on each core, before it runs anything but its start-up.
pub fn enable() -> Features {
    let features = Features::of_this_core();

    // SAFETY: ring 0 must then respect read-only pages, and the kernel writes to none.
    unsafe { Cr0::update(|flags| flags.insert(Cr0Flags::WRITE_PROTECT)) };
    if features.no_execute {
        // SAFETY: the processor has it, so the bit is not reserved. It makes bit
        // 63 of page table entries mean something; none had it set before.
        unsafe { Efer::update(|flags| flags.insert(EferFlags::NO_EXECUTE_ENABLE)) };
    }
    let wanted = [
        (features.smep, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (features.smap, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (features.umip, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (features.global_pages, Cr4Flags::PAGE_GLOBAL),
        (features.machine_check, Cr4Flags::MACHINE_CHECK_EXCEPTION),
    ];
    let cr4 = wanted.into_iter().filter(|(is_there, _)| *is_there).map(|(_, flag)| flag);
    // SAFETY: the processor has each of them, and none takes a right away that
    // the kernel uses: it maps no user pages, so SMEP and SMAP find none.
    unsafe { Cr4::update(|flags| flags.extend(cr4)) };
    features
}
