//! The landing for the System V calling convention on x86-64.

use core::{arch::naked_asm, mem::offset_of};

use crate::{border::Border, handler::Code};

const _: () = assert!(offset_of!(Border, landing) == 0, "the assembly below counts on it");

/// Arguments arrive in rdi, rsi, rdx, rcx, r8 and leave, shifted by two, in rdi, rsi, rdx.
///
/// # Safety
///
/// As for [`super::land`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn land(
    border: *const Border,
    code: Code,
    closure: *const (),
    args: *const (),
    result: *mut (),
) -> usize {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp", // keeps the chain of frames whole for backtraces
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi", // the border; with it the stack is aligned for the call
        "mov [rdi], rsp",
        "mov rax, rsi",
        "mov rdi, rdx",
        "mov rsi, rcx",
        "mov rdx, r8",
        "call rax",
        "pop rdi",
        "mov qword ptr [rdi], 0",
        "add rsp, 40", // rbx and r12 to r15 are the callee's to keep, and it kept them
        "pop rbp",
        "xor eax, eax",
        "ret",
    )
}

/// # Safety
///
/// As for [`super::cut`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn cut(border: *mut Border) -> ! {
    naked_asm!(
        "mov rsp, [rdi]",
        "pop rdi",
        "mov qword ptr [rdi], 0",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "mov eax, 1",
        "cld",
        "ret",
    )
}
