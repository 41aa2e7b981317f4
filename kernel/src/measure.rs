//! The kernel, as crate `stress` measures it. `strands`: its strands.

mod strands;

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    arch::asm,
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
};

use dispatcher::{BindingId, DomainState, InstallError, Processor, handler::RawHandler};
use spindle::demo::Hello;
use stress::{
    Kernel,
    bench::{
        Args, Events, Instrument, Mark, Stage,
        cases::unanswered,
        stage::{Meanwhile, Tried, add_one},
    },
    kernel::Join,
};

use crate::{
    events,
    strands::{Cpu, housekeeper, workers},
    torment::Victim,
};

/// No domain of the table has this number.
const NOBODYS: u32 = u32::MAX;

static EVENTS: Events<Cpu> = Events::new();

impl Stage for Victim {
    type Processor = Cpu;

    #[inline]
    fn events() -> &'static Events<Cpu> {
        &EVENTS
    }

    fn install_foreign(&self, event: &'static Tried<Cpu>) -> Result<BindingId, InstallError> {
        let domain = Arc::new(DomainState::new(NOBODYS));
        // SAFETY: the code is the kernel's own, which never goes; it looks at no closure, and takes an
        // `Args` and gives a `u64`, as the event does.
        let handler = unsafe { RawHandler::foreign(add_one_as_code, core::ptr::null(), domain) };
        // SAFETY: as above.
        unsafe { event.install_raw(handler) }
    }

    fn meanwhile(&'static self, body: fn(&'static Self)) -> Meanwhile {
        let is_over = Arc::new(AtomicBool::new(false));
        let this = self.this_core();
        let others = (0..self.cores()).filter(|core| *core != this);
        let joins = others.filter_map(|core| {
            let is_over = is_over.clone();
            // Relaxed: nothing else is passed by the flag.
            let again = Box::new(move || {
                while !is_over.load(Ordering::Relaxed) {
                    body(self);
                }
            });
            self.spawn_on(core, again).ok()
        });
        Box::new(Others { joins: spin::Mutex::new(joins.collect()), is_over })
    }

    fn rest(&self) {
        workers::settle();
    }

    fn settle(&self) {
        housekeeper::settle();
    }
}

/// Strands that go on until this is dropped.
struct Others {
    joins: spin::Mutex<Vec<Join>>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Others {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.joins.get_mut().drain(..).for_each(|join| join());
    }
}

/// [`add_one`] as a domain's glue would have it.
///
/// # Safety
///
/// `args` points to an `Args`, `result` to room for a `u64`.
unsafe extern "C" fn add_one_as_code(_closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<Args>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<u64>().write(add_one(args)) }
}

impl Instrument for Victim {
    fn ticks(&self) -> u64 {
        // SAFETY: reads a counter, in kernel mode, where that is always allowed.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    fn undisturbed(&self, body: &mut dyn FnMut()) {
        Cpu::masked(body);
    }

    /// Long no-operations, known by their displacement; `xtask/plugin` looks for the same bytes.
    fn mark(&self, mark: Mark) {
        // Without `nomem`: loads and stores stay on their side of it.
        match mark {
            // SAFETY: an instruction that does nothing.
            Mark::Phase => unsafe { asm!("nop dword ptr [rax + rax + 0x57484f01]", options(nostack)) },
            // SAFETY: as above.
            Mark::Begin => unsafe { asm!("nop dword ptr [rax + rax + 0x57484f02]", options(nostack)) },
            // SAFETY: as above.
            Mark::End => unsafe { asm!("nop dword ptr [rax + rax + 0x57484f03]", options(nostack)) },
        }
    }

    fn raise_hello_with(&self, number: u64) -> Option<u64> {
        events::HELLO.raise(&Hello { number, core: 0 }).ok()
    }

    fn raise_hello_times(&self, times: u64) {
        let hello = black_box(&Hello { number: 1, core: 0 });
        for _ in 0..times {
            black_box(match events::HELLO.raise(hello) {
                Ok(answer) => answer,
                Err(_) => unanswered(),
            });
        }
    }
}
