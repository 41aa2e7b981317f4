//! The landing for the System V calling convention on x86-64.

use core::{
    arch::{asm, naked_asm},
    mem::{MaybeUninit, offset_of},
    sync::atomic::AtomicBool,
};

use crate::{
    border::Border,
    domain::DomainState,
    plan::{Entry, Word},
};

/// Defines a landing; `$room` loads rdx with where the result goes, from rdx, the border.
///
/// Entry, arguments and border arrive in rdi, rsi, rdx. The code wants closure, arguments and result in
/// the same registers, so that the arguments stay where they are.
macro_rules! landing {
    ($(#[$attribute:meta])* $name:ident, $room:literal) => {
        $(#[$attribute])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name(
            entry: *const Entry,
            args: *const (),
            border: *const Border,
        ) -> Word {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp", // keeps the chain of frames whole for backtraces
                "push rbx",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "push rdx", // the border; with it the stack is aligned for the call
                "mov rax, [rdi + {DOMAIN}]",
                "cmp byte ptr [rax + {CLOSED}], 0",
                "jne 2f",
                "mov [rdx + {LANDING}], rsp",
                "mov rax, [rdi + {CODE}]",
                "mov rdi, [rdi + {CLOSURE}]",
                $room,
                "call rax",
                "pop rdx",
                "mov rax, [rdx + {ROOM}]",
                "leave", // rbx and r12 to r15 are the callee's to keep, and it kept them
                "ret",
                "2:",
                "mov rdi, rdx",
                "call {refuse}",
                "leave",
                "ret",
                DOMAIN = const offset_of!(Entry, domain),
                CODE = const offset_of!(Entry, code),
                CLOSURE = const offset_of!(Entry, closure),
                CLOSED = const DomainState::CLOSED,
                LANDING = const offset_of!(Border, landing),
                ROOM = const offset_of!(Border, room),
                refuse = sym super::refuse,
            )
        }
    };
}

landing! {
    /// # Safety
    ///
    /// As for any [`Direct`](crate::plan::Direct): the entry is foreign and covered by the border.
    land, "add rdx, {ROOM}"
}
landing! {
    /// # Safety
    ///
    /// As for [`land`]; the border's room points to where the result goes.
    land_wide, "mov rdx, [rdx + {ROOM}]"
}

/// # Safety
///
/// As for [`super::cut`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn cut(border: *mut Border) -> ! {
    naked_asm!(
        "mov rsp, [rdi + {LANDING}]",
        "pop rdx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "cld",
        "ret",
        LANDING = const offset_of!(Border, landing),
    )
}

/// Two instructions; of an atomic load the compiler makes three.
#[inline(always)]
pub(crate) fn is_clear<const WORD: usize, const BITS: usize>(border: &Border) -> bool {
    const { assert!(BITS < 256, "one byte is tested") };
    // SAFETY: within the border.
    let byte = unsafe { core::ptr::from_ref(border).byte_add(WORD) }.cast::<u8>();
    // SAFETY: a byte of the border. Only interrupts on this core write it besides the strand itself, and
    // a byte is read at once or not at all. What ran before was unknown to the compiler, so it is read anew.
    let byte = unsafe { byte.read() };
    usize::from(byte) & BITS == 0
}

/// Two instructions; of an atomic load the compiler makes three. A load is an acquire on this processor,
/// and the compiler moves nothing across this.
#[inline(always)]
pub(crate) fn is_set(word: &AtomicBool) -> bool {
    // SAFETY: reads the word, which is a byte.
    unsafe {
        asm!(
            "cmp byte ptr [{word}], 0",
            "jne {set}",
            word = in(reg) word,
            set = label { return true },
            options(nostack, readonly),
        );
    }
    false
}

/// No instruction. As far as the compiler knows all of the border is written here; and so it is, with what
/// lies there.
#[inline(always)]
pub(crate) fn settle(place: &mut MaybeUninit<Border>) -> &Border {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", in(reg) place.as_mut_ptr(), options(nostack, preserves_flags)) };
    // SAFETY: any contents will do for those of its fields that the caller has not written.
    unsafe { place.assume_init_ref() }
}
