//! How a domain ends by its own fault: the call into it is cut at its landing, nobody enters it any
//! more, and the undertaker takes it back.

use core::{arch::asm, fmt, sync::atomic::Ordering};

use dispatcher::{Border, Processor, bound, landing};

use super::{domain::with_running, retire};
use crate::{
    layout,
    strands::Cpu,
    symbols::Code,
    trap::{Fault, Frame},
};

/// The direction flag of string instructions (Intel SDM, volume 1, 3.4.3).
const DIRECTION: u64 = 1 << 10;

/// The innermost border of the running strand, if a domain's code runs through it behind a landing.
fn open_landing() -> Option<&'static Border> {
    // SAFETY: the running strand's own borders; the caller uses what it gets before it goes on.
    let border = unsafe { dispatcher::border::outwards(Cpu::top()) }.next()?;
    border.domain().and(border.landing_stack()).map(|_| border)
}

/// Ends the domain whose code says that it cannot go on. Returns only if there is none.
pub fn end_by_panic(message: &str) {
    if open_landing().is_some() {
        end(format_args!("panicked: {message}"))
    }
}

/// Cuts the call into a domain that has failed elsewhere, or whose time is over: every call of the core
/// is a point at which its code goes on no more. Returns if neither is so. The caller holds nothing.
pub fn cut_the_dead() {
    if bound::is_late::<Cpu>() && open_landing().is_some() {
        end(LATE);
    }
    // Relaxed: see `end`.
    let has_failed = with_running(|domain| domain.has_failed.load(Ordering::Relaxed));
    if has_failed == Some(true) && open_landing().is_some() {
        // SAFETY: it is the innermost border, its landing is in progress, and the frames above it are
        // the domain's own and those of the procedure that it has just called, which holds nothing.
        unsafe { landing::cut(Cpu::top()) }
    }
}

/// As [`end_by_panic`], where there is no stack left to tell anything on: what lies below the landing
/// belongs to the code that failed, so it is told there.
pub fn end_by_exhaustion() {
    if let Some(stack) = open_landing().and_then(Border::landing_stack) {
        // SAFETY: the landing's stack is this strand's, everything below it goes with the cut, and it is
        // aligned as after a call; what is called there does not return.
        unsafe {
            asm!(
                "mov rsp, {stack}",
                "xor ebp, ebp",
                "jmp {next}",
                stack = in(reg) below(stack),
                next = sym after_exhaustion,
                options(noreturn)
            )
        }
    }
}

/// Where a strand goes on whose spindle has used its stack up.
extern "C" fn after_exhaustion() -> ! {
    end(format_args!("used its stack up"))
}

/// A stack pointer just below a landing, eight off a multiple of sixteen, as after a call.
const fn below(landing: usize) -> usize {
    ((landing - 64) & !0xf) - 8
}

/// Ends the domain whose code raised `fault`, if it was a domain's: changes the frame so that the
/// strand goes on at its landing. Called in the fault's handler, on its stack, interrupts masked.
pub fn end_by_fault(frame: &mut Frame, fault: Fault, has_overflowed: bool) -> bool {
    if !layout::SPINDLES.contains(&frame.rip) {
        return false;
    }
    // The rest is done on the strand's own stack.
    let (place, what) = (frame.rip, fault.exception as u64 | u64::from(has_overflowed) << 8);
    if !go_on_below(frame, after_fault as *const ()) {
        return false;
    }
    (frame.rdi, frame.rsi, frame.rdx) = (place, what, fault.address.unwrap_or(0));
    true
}

const LATE: fmt::Arguments<'_> = format_args!("ran longer than its bound");

/// An interrupt has stopped this. If it is the code of a domain that has failed elsewhere, or whose time
/// is over, it goes on at its landing instead. Interrupts masked.
pub fn end_late(frame: &mut Frame) {
    if !layout::SPINDLES.contains(&frame.rip) {
        // Trusted code is never cut, and comes by `cut_the_dead` before it returns.
        return;
    }
    // Relaxed: see `end`.
    let has_failed = with_running(|domain| domain.has_failed.load(Ordering::Relaxed)) == Some(true);
    if has_failed || bound::is_late::<Cpu>() {
        go_on_below(frame, after_late as *const ());
    }
}

/// Where a strand goes on whose spindle was late, or dead.
extern "C" fn after_late() -> ! {
    end(LATE)
}

/// Makes what was interrupted, a domain's code, go on with `next` just below its landing: all that was
/// there belongs to the code that failed. Says whether there is a landing.
fn go_on_below(frame: &mut Frame, next: *const ()) -> bool {
    let Some(stack) = open_landing().and_then(Border::landing_stack) else {
        return false;
    };
    frame.rsp = below(stack) as u64;
    frame.rip = next as u64;
    // A copy towards lower addresses may have been under way, and all other code counts on the
    // direction flag's being clear.
    frame.rflags &= !DIRECTION;
    true
}

/// Where a strand goes on whose spindle faulted.
extern "C" fn after_fault(place: u64, what: u64, address: u64) -> ! {
    let place = Code::instruction(place);
    if what & 0x100 != 0 {
        end(format_args!("overflowed its stack at {place}"))
    }
    end(format_args!("raised exception {} at {place}, address {address:#x}", what & 0xff))
}

/// Tells, closes the domain, calls the undertaker, and cuts.
fn end(why: fmt::Arguments<'_>) -> ! {
    with_running(|domain| {
        // Relaxed: whoever reads it a moment too late has called a moment earlier.
        domain.has_failed.store(true, Ordering::Relaxed);
        // Several strands may fail in it at once; one of them tells.
        if domain.state.close() {
            log::error!("domain {} {why}; it is being retired", domain.name);
        }
    });
    retire::summon_undertaker();
    // SAFETY: it is the innermost border, its landing is in progress, and the frames above the landing
    // are the domain's own and this function's callers, none of which holds anything.
    unsafe { landing::cut(Cpu::top()) }
}
