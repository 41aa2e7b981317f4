//! Strands on this machine.
//!
//! - [`cpu`]: [`Cpu`], the machine as `dispatcher` and `sched` want it; `context`: the switch itself.
//! - [`mod@spawn`]: strands with guarded stacks; `stacks`: those that are kept for the next strand.
//! - [`housekeeper`]: the strand that waits for grace periods, destroys, and reaps.
//! - [`packages`]: thread packages, and whose their handlers are.
//! - [`workers`]: the strands of each core that deliver what was posted for it.
//!
//! Each core calls [`run_core`] once it answers interrupts.

mod context;
mod cpu;
pub mod housekeeper;
pub mod packages;
#[cfg(feature = "ktest")]
mod packages_tests;
#[cfg(feature = "ktest")]
mod pool_tests;
mod spawn;
pub mod stacks;
#[cfg(feature = "ktest")]
mod tests;
pub mod workers;
#[cfg(feature = "ktest")]
mod workers_tests;

use dispatcher::{Dispatcher, Epochs};
use sched::{Builder, Machine};
use spin::Once;

use crate::cores;

pub use cpu::Cpu;
pub use spawn::{STACK_SIZE, SpawnError, spawn, spawn_managed, spawn_on, spawn_sized};

/// A strand of this kernel.
pub type Strand = sched::Strand<Cpu>;
/// A thread package of this kernel.
pub type Package = sched::package::Package<Cpu>;
/// For waiting until a strand ends.
pub type Handle = sched::Handle<Cpu>;
/// A lock that its waiters sleep on.
pub type Mutex<T> = sched::Mutex<T, Cpu>;

static EPOCHS: Once<Epochs> = Once::new();

/// Participants for each core: its own, and two for strands that are preempted inside.
const PARTICIPANTS_PER_CORE: usize = 3;
/// And some for the rush before the housekeeper makes more.
const PARTICIPANTS_SPARE: usize = 8;

/// How often to look whether the other cores have joined, in nanoseconds.
const LOOK_NS: u64 = 50_000;

fn epochs() -> &'static Epochs {
    let cores = cores::topology().cores.len();
    EPOCHS.call_once(|| Epochs::new(cores * PARTICIPANTS_PER_CORE + PARTICIPANTS_SPARE))
}

/// How many participants of the epoch there are, and how many are in the pool.
pub fn participants() -> (usize, usize) {
    epochs().participants()
}

/// Makes core `core`, which calls this with interrupts masked, run strands for ever.
pub fn run_core(core: usize) -> ! {
    join(core);
    sched::run_idle::<Cpu>()
}

/// Makes the boot core run strands for ever, `first` before all others.
pub fn begin(first: fn()) -> ! {
    cores::set_scheduler(cores::Scheduler {
        timer: sched::on_timer::<Cpu>,
        kick: sched::on_kick::<Cpu>,
        last: sched::preempt_if_due::<Cpu>,
    });
    join(smp::core_id());
    let main = move || {
        wait_for_all();
        first();
    };
    spawn(Builder::new("main"), main).expect("memory for the first strand");
    sched::run_idle::<Cpu>()
}

/// Waits until every core that came up runs strands: it says that it is up a little before.
fn wait_for_all() {
    while Cpu::scheduler().core_count() < smp::roster::online().len() {
        sched::sleep_ns::<Cpu>(LOOK_NS);
    }
}

fn join(core: usize) {
    let dispatcher = Dispatcher::new(core, epochs()).expect("there are participants for every core");
    Cpu::add(core, dispatcher);
}
