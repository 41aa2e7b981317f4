//! Faults: whose they are, before they are the core's.
//!
//! A fault in a spindle's code ends that spindle's domain. A fault in a guard page is a stack's
//! overflow, and is called by that name.

use x86_64::{VirtAddr, structures::idt::ExceptionVector};

use crate::{
    backtrace, cores, domains, memory, panic,
    strands::Cpu,
    symbols::Code,
    trap::{self, Fault, Frame, Handled},
};

/// How far below its stack's end a stack pointer can be when it is found out, in bytes: procedures with
/// large frames touch every page on the way.
const REACH: u64 = 2 * 4096;

/// From here on faults are looked at like this.
pub fn init() {
    trap::set_fault_filter(filter);
    trap::set_short_stack_filter(end_short_of_stack);
    cores::set_late_filter(domains::end_late);
}

/// An interrupt found a strand with no room for it, so that nobody else could have the core. If a domain's
/// code used the stack up, that is an overflow; the core's own will soon return.
fn end_short_of_stack(frame: &mut Frame) {
    let fault = Fault { exception: ExceptionVector::Stack, error_code: 0, address: None };
    domains::end_by_fault(frame, fault, true);
}

fn filter(frame: &mut Frame, fault: Fault) -> Handled {
    let guard = fault.address.and_then(|address| VirtAddr::try_new(address).ok()).and_then(memory::guard_of);
    // A stray access to the guard of a stack that is not in use here is no overflow.
    let overflow =
        guard.filter(|guard| (guard.bottom.as_u64() - REACH..=guard.top.as_u64()).contains(&frame.rsp));
    if domains::end_by_fault(frame, fault, overflow.is_some()) {
        return Handled::Yes;
    }
    if let Some(guard) = overflow {
        // The core's own strands have no business to overflow: it is a bug, and the machine stops.
        let strand = sched::current::<Cpu>();
        let name = strand.name();
        let at = Code::instruction(frame.rip);
        panic::die(format_args!("strand '{name}': {guard}\n  at {at}"), || {
            crate::println!("{frame}");
            backtrace::print(frame.rbp);
        });
    }
    Handled::No
}
