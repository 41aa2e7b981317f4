//! The words of each core that dispatch and scheduling use by single GS-relative instructions, so
//! that neither an interrupt nor a switch can come between.

use core::{
    arch::asm,
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize},
};

use dispatcher::{Border, plan::LEAST_STACK};

use super::{CoreArea, Local};

/// The running strand's words, in its core's area.
#[derive(Debug)]
#[repr(C)]
pub struct Words {
    /// The running strand's innermost border.
    top: AtomicPtr<Border>,
    /// The lowest address of the running strand's stack.
    stack_bottom: AtomicUsize,
    /// Above it by what a handler must find. A border below this one cannot be opened.
    stack_limit: AtomicUsize,
    /// How many times over the running strand must not be preempted.
    unpreempted: AtomicUsize,
    /// The scheduler's part of this core; null before it runs strands.
    scheduled: AtomicPtr<()>,
}

const WORDS: usize = offset_of!(CoreArea<Local>, local.words);
const TOP: usize = WORDS + offset_of!(Words, top);
/// Where the running strand's stack ends, from GS on: for the way into interrupts.
pub const STACK_BOTTOM: usize = WORDS + offset_of!(Words, stack_bottom);
const STACK_LIMIT: usize = WORDS + offset_of!(Words, stack_limit);
const UNPREEMPTED: usize = WORDS + offset_of!(Words, unpreempted);
const SCHEDULED: usize = WORDS + offset_of!(Words, scheduled);

impl Words {
    /// Of a core on which no strand runs yet.
    pub const fn new() -> Self {
        Self {
            top: AtomicPtr::new(ptr::null_mut()),
            stack_bottom: AtomicUsize::new(0),
            stack_limit: AtomicUsize::new(0),
            unpreempted: AtomicUsize::new(0),
            scheduled: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// The running strand's innermost border.
#[inline(always)]
pub fn top() -> *mut Border {
    let top;
    // SAFETY: GS leads to this core's area, which the core installed before it ran anything else.
    unsafe { asm!("mov {}, gs:[{}]", out(reg) top, const TOP, options(nostack, preserves_flags, readonly)) };
    top
}

/// Sets the running strand's innermost border.
#[inline(always)]
pub fn set_top(border: *mut Border) {
    // SAFETY: as above; the word is the running strand's.
    unsafe { asm!("mov gs:[{}], {}", const TOP, in(reg) border, options(nostack, preserves_flags)) };
}

/// The scheduler's part of this core.
#[inline(always)]
pub fn scheduled() -> *const () {
    let part;
    // SAFETY: as above.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) part, const SCHEDULED, options(nostack, preserves_flags, readonly));
    }
    part
}

/// Sets the scheduler's part of this core. Once, by the core itself.
pub fn set_scheduled(part: *const ()) {
    // SAFETY: as above.
    unsafe { asm!("mov gs:[{}], {}", const SCHEDULED, in(reg) part, options(nostack, preserves_flags)) };
}

/// Bytes between the stack pointer and the end of the running strand's stack.
#[inline(always)]
pub fn stack_left() -> usize {
    let left: usize;
    // SAFETY: as above; reads the stack pointer and one word.
    unsafe {
        asm!("mov {0}, rsp", "sub {0}, gs:[{1}]", out(reg) left, const STACK_BOTTOM, options(nostack, readonly));
    }
    left
}

/// Is there stack enough for a handler below `border`, which lies on the running strand's stack?
#[inline(always)]
pub fn has_room(border: &Border) -> bool {
    // SAFETY: as above; reads one word.
    unsafe {
        asm!(
            "cmp {border}, gs:[{STACK_LIMIT}]",
            "jb {short}",
            border = in(reg) border,
            STACK_LIMIT = const STACK_LIMIT,
            short = label { return false },
            options(nostack, readonly),
        );
    }
    true
}

/// Sets where the running strand's stack ends. Interrupts are masked.
pub fn set_stack_bottom(bottom: usize) {
    // SAFETY: as above.
    unsafe {
        asm!("mov gs:[{}], {}", const STACK_BOTTOM, in(reg) bottom, options(nostack, preserves_flags));
    }
    let limit = bottom + LEAST_STACK;
    // SAFETY: as above.
    unsafe {
        asm!("mov gs:[{}], {}", const STACK_LIMIT, in(reg) limit, options(nostack, preserves_flags));
    }
}

/// The running strand must not be preempted, once more.
#[inline(always)]
pub fn hold_preemption() {
    // SAFETY: as above; one instruction, so the count is that of the core on which the strand runs,
    // and from then on it stays there.
    unsafe { asm!("inc qword ptr gs:[{}]", const UNPREEMPTED, options(nostack)) };
}

/// Takes one [`hold_preemption`] back.
#[inline(always)]
pub fn release_preemption() {
    // SAFETY: as above.
    unsafe { asm!("dec qword ptr gs:[{}]", const UNPREEMPTED, options(nostack)) };
}

/// Takes all of them back: for a strand whose frames are cut away.
#[cfg(feature = "ktest")]
pub fn forget_preemption_holds() {
    // SAFETY: as above.
    unsafe { asm!("mov qword ptr gs:[{}], 0", const UNPREEMPTED, options(nostack, preserves_flags)) };
}

/// May the running strand be preempted?
#[inline(always)]
pub fn is_preemptible() -> bool {
    let count: usize;
    // SAFETY: as above.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) count, const UNPREEMPTED, options(nostack, preserves_flags, readonly));
    }
    count == 0
}
