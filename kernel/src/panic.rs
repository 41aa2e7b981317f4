//! What happens when the core finds a bug in itself: one core speaks, all others
//! stop, and the machine ends with `Code::Panic`.

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use x86_64::instructions::interrupts;

use crate::hook::{Hook, Procedure, core_id};
use crate::{backtrace, exit, println, serial};

// SAFETY: a function pointer.
unsafe impl Procedure for fn(&PanicInfo<'_>) {}

static INTERCEPTOR: Hook<fn(&PanicInfo<'_>)> = Hook::new();
static STOP_OTHER_CORES: Hook<fn()> = Hook::new();
/// 0, or the id plus one of the core that has the last word.
static SPEAKER: AtomicU32 = AtomicU32::new(0);
/// How often any core came to die: more often than there can be cores means
/// that dying itself fails.
static ENTRIES: AtomicU32 = AtomicU32::new(0);
const MAX_ENTRIES: u32 = 256;
/// How often the speaker came to die.
static DEATHS: AtomicU32 = AtomicU32::new(0);

/// `interceptor` sees every panic first, on the panicking stack, with interrupts
/// as they were. It returns where the panic is the core's own affair, and does
/// not return where it ends only a strand, a test or an invocation. A panic
/// that strikes while a core is already dying is not shown to it.
#[cfg(feature = "ktest")]
pub fn set_interceptor(interceptor: fn(&PanicInfo<'_>)) {
    INTERCEPTOR.set(interceptor);
}

/// `stop` stops all other cores for good, even those with interrupts masked,
/// and does not wait for ever for one that does not answer. It must not print.
pub fn set_stop_other_cores(stop: fn()) {
    STOP_OTHER_CORES.set(stop);
}

/// Ends the machine: tells `what`, then lets `details` print more. One core
/// speaks; others that die meanwhile fall silent. If telling it fails too, that
/// is told; if that fails, nothing more is.
pub fn die(what: fmt::Arguments<'_>, details: impl FnOnce()) -> ! {
    interrupts::disable();
    // Relaxed, here and below: the values matter, nothing is handed over.
    if ENTRIES.fetch_add(1, Ordering::Relaxed) >= MAX_ENTRIES {
        exit::exit(exit::Code::Panic);
    }
    let core = core_id();
    let claim = SPEAKER.compare_exchange(0, core + 1, Ordering::Relaxed, Ordering::Relaxed);
    if claim.is_err_and(|speaker| speaker != core + 1) {
        exit::halt();
    }
    let deaths = DEATHS.fetch_add(1, Ordering::Relaxed);
    if deaths == 0 {
        STOP_OTHER_CORES.get().into_iter().for_each(|stop| stop());
    }
    serial::take_over();
    match deaths {
        0 => println!("\nWhorl cannot go on: core {core}: {what}"),
        1 => println!("\nand while that was told: {what}"),
        _ => exit::exit(exit::Code::Panic),
    }
    details();
    exit::exit(exit::Code::Panic)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Relaxed: a core knows its own entry, and another's only decides which of
    // two dying cores speaks.
    if SPEAKER.load(Ordering::Relaxed) == 0
        && let Some(interceptor) = INTERCEPTOR.get()
    {
        interceptor(info);
    }
    die(format_args!("{info}"), backtrace::print_here)
}
