//! Who handles which vector.

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::port::Port;

use super::Frame;
use crate::cores::words;
use crate::hook::{Hook, Procedure};

/// The vector of non-maskable interrupts, the one below 32 that can be handled
/// like an interrupt.
pub const NMI: u8 = 2;

// SAFETY: a function pointer.
unsafe impl Procedure for fn(&mut Frame) {}

static HANDLERS: [Hook<fn(&mut Frame)>; 256] = [const { Hook::new() }; 256];
static SPURIOUS: AtomicU64 = AtomicU64::new(0);

/// `handler` is called on every core for `vector`, an interrupt's (32 to 255)
/// or [`NMI`], with interrupts masked, on the interrupted stack if there is room (an NMI: on its
/// own). It ends the interrupt at the controller itself.
///
/// # Panics
/// On an exception's vector: those are the core's own affair.
pub fn set_handler(vector: u8, handler: fn(&mut Frame)) {
    assert!(vector >= 32 || vector == NMI, "vector {vector} belongs to an exception");
    HANDLERS[usize::from(vector)].set(handler);
}

static SHORT_STACK: Hook<fn(&mut Frame)> = Hook::new();

/// `filter` sees every interrupt of code with less stack left than an interrupt needs, after it was
/// handled, and may change where that code goes on: it cannot be preempted there.
pub fn set_short_stack_filter(filter: fn(&mut Frame)) {
    SHORT_STACK.set(filter);
}

/// Called by `entry.s`, interrupts masked, on the core's interrupt stack: the interrupted one has too
/// little room for a handler.
#[unsafe(no_mangle)]
extern "C" fn trap_dispatch_apart(frame: &mut Frame) {
    // No switch from here: the next interrupt will overwrite this stack.
    words::hold_preemption();
    dispatch(frame.vector as u8, frame);
    words::release_preemption();
    if let Some(filter) = SHORT_STACK.get() {
        filter(frame);
    }
}

/// Interrupts that came where nobody handles them, on all cores since boot.
pub fn spurious() -> u64 {
    // Relaxed: a counter for humans.
    SPURIOUS.load(Ordering::Relaxed)
}

/// Calls the handler, or counts that there is none.
pub(super) fn dispatch(vector: u8, frame: &mut Frame) {
    match HANDLERS[usize::from(vector)].get() {
        Some(handler) => handler(frame),
        // Relaxed: a counter for humans.
        None => _ = SPURIOUS.fetch_add(1, Ordering::Relaxed),
    }
}

/// Silences the two 8259 controllers that every PC starts with. Their vectors
/// move to 32 to 47 first: a spurious interrupt of theirs, which no mask holds
/// back, must not look like an exception.
pub(super) fn mask_legacy_controllers() {
    // Per controller: initialize; vectors from; how they are wired; 8086 mode; mask all.
    for (command, data, words) in [(0x20, 0x21, [32, 4, 1, 0xff]), (0xa0, 0xa1, [40, 2, 1, 0xff])] {
        // SAFETY: the 8259's command port; no memory is touched, and
        // interrupts are masked while the controller is being set up.
        unsafe { Port::<u8>::new(command).write(0x11) };
        for word in words {
            // SAFETY: the 8259's data port, in the order its start-up wants.
            unsafe { Port::<u8>::new(data).write(word) };
        }
    }
}
