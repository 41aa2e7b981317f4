//! The housekeeper: the strand that waits for grace periods, destroys what was retired, and frees the
//! stacks of strands that have ended. Nobody else does any of this, so no raise, no switch and no
//! interrupt ever runs a destructor.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use dispatcher::{Keeper, Processor, Progress};
use sched::{Builder, Priority};
use smp::CoreSet;
use spin::Once;

use super::{Cpu, SpawnError, Strand, epochs, spawn, stacks, workers};

static STRAND: Once<Arc<Strand>> = Once::new();

/// It has nothing to do: what it freed last is freed to the last byte.
static IS_IDLE: AtomicBool = AtomicBool::new(false);

/// Rounds without waiting: as many as a grace period takes when every core is outside.
const QUICK_ROUNDS: u32 = 4;
/// How long to wait for strands that are in the middle of something, at first and at most.
const FIRST_PAUSE_NS: u64 = 50_000;
const LONGEST_PAUSE_NS: u64 = 2_000_000;

/// Starts it. Once, on the boot core, when strands run.
///
/// # Errors
///
/// If there is no memory for its stack.
pub fn start() -> Result<(), SpawnError> {
    let builder = Builder::new("housekeeper").priority(Priority::HOUSEKEEPER);
    let handle = spawn(builder, run)?;
    STRAND.call_once(|| handle.strand().clone());
    summon();
    Ok(())
}

/// There is work for it. From anywhere; does not wait.
pub fn summon() {
    if let Some(strand) = STRAND.get() {
        sched::unblock(strand);
    }
}

fn run() {
    let mut keeper = Keeper::new(epochs(), Cpu::retired());
    let (mut pause, mut rounds) = (FIRST_PAUSE_NS, 0);
    loop {
        let reaped = sched::reap::<Cpu>();
        match keeper.step::<Cpu>() {
            Progress::Idle if reaped == 0 => {
                // Release: pairs with the Acquire in `settle`.
                IS_IDLE.store(true, Ordering::Release);
                sched::block::<Cpu>();
                IS_IDLE.store(false, Ordering::Relaxed);
            }
            Progress::Idle => {}
            Progress::Finished(_) => (pause, rounds) = (FIRST_PAUSE_NS, 0),
            Progress::Waiting { lagging } => {
                // Cores that are outside repin at once, in the nudge itself; after one that is inside,
                // or for a strand that was preempted inside, there is waiting to do.
                smp::call::call(CoreSet::from_bits(lagging), |_| sched::on_nudge::<Cpu>(), 0);
                rounds += 1;
                if epochs().lagging() == 0 && rounds <= QUICK_ROUNDS {
                    continue;
                }
                sched::sleep_ns::<Cpu>(pause);
                pause = (pause * 2).min(LONGEST_PAUSE_NS);
            }
        }
    }
}

/// Waits until every raise that is now in progress has ended, and what was retired before is gone.
/// On a strand, not inside a border.
pub fn wait_for_grace() {
    let this = sched::current::<Cpu>();
    let done = Arc::new(AtomicBool::new(false));
    let (waker, flag) = (this.clone(), done.clone());
    Cpu::retired().after_grace(move || {
        // Release: pairs with the Acquire below.
        flag.store(true, Ordering::Release);
        sched::unblock(&waker);
    });
    summon();
    while !done.load(Ordering::Acquire) {
        sched::block::<Cpu>();
    }
}

/// As [`wait_for_grace`], once nothing is being delivered any more, and then until the housekeeper has put
/// everything away, stacks that are kept for the next strands included: for those who count.
pub fn settle() {
    workers::settle();
    wait_for_grace();
    while !IS_IDLE.load(Ordering::Acquire) {
        sched::sleep_ns::<Cpu>(FIRST_PAUSE_NS);
    }
    stacks::drain();
}
