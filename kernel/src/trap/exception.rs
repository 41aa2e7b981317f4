//! Exceptions, each by its name.

use core::fmt;

use x86_64::registers::control::Cr2;
use x86_64::structures::idt::{ExceptionVector, PageFaultErrorCode};

use super::{Frame, interrupt, report};
use crate::hook::{Hook, Procedure};
use crate::symbols::Code;

/// An exception that stops the code which raised it, unless somebody knows better.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which one.
    pub exception: ExceptionVector,
    /// The exception's error code; 0 where it has none.
    pub error_code: u64,
    /// A page fault's address.
    pub address: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self.exception))?;
        match self.address {
            None if self.error_code == 0 => Ok(()),
            None => write!(f, ", error code {:#x}", self.error_code),
            Some(address) => {
                let code = PageFaultErrorCode::from_bits_truncate(self.error_code);
                let access = if code.contains(PageFaultErrorCode::INSTRUCTION_FETCH) {
                    "execution"
                } else if code.contains(PageFaultErrorCode::CAUSED_BY_WRITE) {
                    "write"
                } else {
                    "read"
                };
                let reason = if code.contains(PageFaultErrorCode::MALFORMED_TABLE) {
                    "its page table entry is malformed"
                } else if code.contains(PageFaultErrorCode::PROTECTION_VIOLATION) {
                    "its page forbids that"
                } else {
                    "no page is there"
                };
                write!(f, " at a {access} of {address:#x}: {reason}")
            }
        }
    }
}

/// What a filter made of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The frame says where to go on.
    Yes,
    /// It is the core's own.
    No,
}

// SAFETY: a function pointer.
unsafe impl Procedure for fn(&mut Frame, Fault) -> Handled {}

static FILTER: Hook<fn(&mut Frame, Fault) -> Handled> = Hook::new();

/// `filter` sees every fault before it is the core's own: page faults on their
/// own stack, the others on the faulting one, interrupts masked. It may change
/// the frame; it must neither fault nor wait, nor keep the page fault's stack.
/// Double faults and machine checks are not shown to it: there is no way back.
pub fn set_fault_filter(filter: fn(&mut Frame, Fault) -> Handled) {
    FILTER.set(filter);
}

/// Called by `entry.s`, interrupts masked, on the interrupted stack or an IST stack.
#[unsafe(no_mangle)]
extern "C" fn trap_dispatch(frame: &mut Frame) {
    // The entries push 0 to 255.
    let vector = frame.vector as u8;
    match ExceptionVector::try_from(vector) {
        Ok(exception) => handle(exception, frame),
        Err(_) => interrupt::dispatch(vector, frame),
    }
}

fn handle(exception: ExceptionVector, frame: &mut Frame) {
    use ExceptionVector as E;

    match exception {
        E::NonMaskableInterrupt => interrupt::dispatch(interrupt::NMI, frame),
        // Somebody's doing, and harmless: tell and go on.
        E::Breakpoint | E::Debug => {
            log::warn!("{} at {}", name(exception), Code::instruction(frame.rip));
        }
        E::Double | E::MachineCheck => report::fatal(frame, &fault(exception, frame)),
        _ => {
            let fault = fault(exception, frame);
            if FILTER.get().is_none_or(|filter| filter(frame, fault) == Handled::No) {
                report::fatal(frame, &fault);
            }
        }
    }
}

fn fault(exception: ExceptionVector, frame: &Frame) -> Fault {
    let address = (exception == ExceptionVector::Page).then(Cr2::read_raw);
    Fault { exception, error_code: frame.error_code, address }
}

/// The exception's name and the manuals' mnemonic (Intel SDM, volume 3, 6.15).
fn name(exception: ExceptionVector) -> &'static str {
    use ExceptionVector as E;

    match exception {
        E::Division => "division error (#DE)",
        E::Debug => "debug exception (#DB)",
        E::NonMaskableInterrupt => "non-maskable interrupt (NMI)",
        E::Breakpoint => "breakpoint (#BP)",
        E::Overflow => "overflow (#OF)",
        E::BoundRange => "bound range exceeded (#BR)",
        E::InvalidOpcode => "invalid opcode (#UD)",
        E::DeviceNotAvailable => "floating-point or vector instruction (#NM)",
        E::Double => "double fault (#DF)",
        E::InvalidTss => "invalid TSS (#TS)",
        E::SegmentNotPresent => "segment not present (#NP)",
        E::Stack => "stack segment fault (#SS)",
        E::GeneralProtection => "general protection fault (#GP)",
        E::Page => "page fault (#PF)",
        E::X87FloatingPoint => "x87 floating-point error (#MF)",
        E::AlignmentCheck => "alignment check (#AC)",
        E::MachineCheck => "machine check (#MC)",
        E::SimdFloatingPoint => "vector floating-point error (#XM)",
        E::Virtualization => "virtualization exception (#VE)",
        E::ControlProtection => "control protection exception (#CP)",
        E::HypervisorInjection => "hypervisor injection exception (#HV)",
        E::VmmCommunication => "VMM communication exception (#VC)",
        E::Security => "security exception (#SX)",
        _ => "exception of a kind that is new",
    }
}
