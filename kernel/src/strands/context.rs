//! The switch from one stack to another.

use core::arch::naked_asm;

use crate::memory::Stack;

/// Words that [`switch`] keeps on a stack: six registers and the address to return to.
const SAVED_WORDS: usize = 7;

/// Saves the callee-saved registers on this stack and its pointer in `save`; goes on at `load`. There
/// is no vector state to save: the kernel is compiled without.
///
/// # Safety
///
/// Interrupts are masked; `load` was saved by this, or comes from [`prepare`], and is used once.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(save: *mut usize, load: usize) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Lays out a fresh stack as [`switch`] would have left it, so that it returns into `entry`.
pub fn prepare(stack: &mut Stack, entry: extern "C" fn() -> !) -> usize {
    let mut words = [0_u64; SAVED_WORDS + 1];
    // Six registers of zero (a zero frame pointer ends backtraces), where to go, and one word in place
    // of the address that a call would have pushed, which aligns the stack as at a procedure's start.
    words[SAVED_WORDS - 1] = entry as *const () as u64;
    let start = stack.top().as_u64() as usize - size_of_val(&words);
    let start = start & !0xf | 8 & start;
    let place = core::ptr::with_exposed_provenance_mut::<[u64; SAVED_WORDS + 1]>(start);
    // SAFETY: the uppermost words of a stack that is ours alone; aligned, since its top is.
    unsafe { place.write(words) };
    start
}
