//! How a fault of the core is told.

use x86_64::registers::control::{Cr0, Cr2, Cr3, Cr4};

use super::{Fault, Frame};
use crate::symbols::Code;
use crate::{backtrace, layout, panic, println};

/// Tells what happened and ends the machine.
pub(super) fn fatal(frame: &Frame, fault: &Fault) -> ! {
    let at = Code::instruction(frame.rip);
    panic::die(format_args!("{fault}\n  at {at}"), || {
        // A double fault, too, most often began with a push into a guard page.
        for address in fault.address.into_iter().chain([frame.rsp]) {
            if let Some(stack) = layout::guarded_boot_stack(address) {
                println!("overflow of core 0's {stack}: {address:#x} lies in its guard page");
                break;
            }
        }
        println!("{frame}");
        println!(
            "cr0 {:016x}  cr2 {:016x}  cr3 {:016x}  cr4 {:016x}",
            Cr0::read_raw(),
            Cr2::read_raw(),
            Cr3::read().0.start_address(),
            Cr4::read_raw()
        );
        backtrace::print(frame.rbp);
    })
}
