//! The storm of registrations (see `stress::registrations`) over threads, so that a mistake is found
//! before a kernel is booted. `WHORL_SEED` repeats a run's dice (not its interleaving).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use dispatcher::{
    Departure,
    host::{self, Host, HostCore, World},
};
use stress::{
    Answer, Kernel, Level,
    kernel::Join,
    registrations::{self, Tally},
};

/// A machine of threads: each strand is one, with a core of its own, which it exchanges for others.
struct Machine {
    world: &'static World,
    /// Cores on which a preempted strand can go on.
    cores: Mutex<Vec<HostCore>>,
    breaths: AtomicU64,
    /// How many cores were made.
    made: AtomicUsize,
}

/// Cores in the storm's eyes: on each there are two strands.
const CORES: u32 = 2;

impl Machine {
    fn leave(&self, why: Departure) {
        host::leave(why, |core| {
            self.cores.lock().unwrap().insert(0, core);
            if why == Departure::Blocked {
                thread::sleep(Duration::from_micros(50));
            } else {
                thread::yield_now();
            }
            self.cores.lock().unwrap().pop().expect("one was put there")
        });
        host::poll();
    }
}

impl Kernel for Machine {
    fn cores(&self) -> u32 {
        CORES
    }

    fn this_core(&self) -> u32 {
        0
    }

    fn spawn_on(&self, _core: u32, body: Box<dyn FnOnce() + Send>) -> Result<Join, String> {
        let core = self.world.core();
        self.made.fetch_add(1, Ordering::Relaxed);
        let strand = thread::spawn(move || {
            let _core = core.attach();
            body();
        });
        let world = self.world;
        Ok(Box::new(move || {
            while !strand.is_finished() {
                // This thread has a core too, which must not hold the epoch.
                world.keep();
                host::poll();
                thread::yield_now();
            }
            strand.join().expect("a strand does not panic");
        }))
    }

    fn raise_hello(&self, _number: u64, _core: u32) -> Answer {
        Answer::Nobody
    }

    fn heard_of(&self, _core: u32) -> u64 {
        0
    }

    fn load(&self, _spindle: &str) -> Result<(), String> {
        Err("there are no spindles".into())
    }

    fn unload(&self, _spindle: &str) -> Result<(), String> {
        Err("there are no spindles".into())
    }

    fn pause(&self) -> bool {
        self.leave(Departure::Blocked);
        true
    }

    fn breathe(&self) {
        // Relaxed: only to do it now and then.
        if self.breaths.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
            self.leave(Departure::Preempted);
        }
        host::poll();
    }

    fn level(&self) -> Level {
        self.world.drain();
        let (pool, free) = self.world.epochs().participants();
        // A core keeps its participant though it has halted for ever.
        let made = self.made.load(Ordering::Relaxed);
        let heap_bytes = self.world.retired().len();
        Level { free_frames: 0, heap_bytes, participants: pool - free - made, pool }
    }
}

fn rage(seed: u64, seconds: u64) {
    let world = World::with_participants(128);
    let machine: &'static Machine = Box::leak(Box::new(Machine {
        world,
        cores: Mutex::default(),
        breaths: AtomicU64::new(0),
        made: AtomicUsize::new(0),
    }));
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let housekeeper = thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            world.keep();
            thread::yield_now();
        }
    });
    let (report, result) = {
        let _core = world.attach();
        registrations::storm::<Host>(machine, seconds, seed, &mut |_, _| {})
    };
    is_over.store(true, Ordering::Relaxed);
    housekeeper.join().expect("the housekeeper does not panic");
    let sum = |counter: fn(&Tally) -> &AtomicU64| report.sum(counter);
    println!(
        "seed {seed}: {} raises of {} handlers, {} slept; {} installed, {} removed, {} drained, {} replaced, {} refused",
        sum(|tally| &tally.raises),
        sum(|tally| &tally.calls),
        sum(|tally| &tally.slept),
        sum(|tally| &tally.installed),
        sum(|tally| &tally.removed),
        sum(|tally| &tally.drained),
        sum(|tally| &tally.replaced),
        sum(|tally| &tally.refused),
    );
    if let Err(failure) = result {
        panic!("WHORL_SEED={seed}: {failure}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes seconds of a machine's full speed")]
fn every_raise_sees_one_set_and_everything_goes() {
    let chosen = std::env::var("WHORL_SEED").ok().and_then(|seed| seed.parse().ok());
    rage(chosen.unwrap_or(1), 2);
}

#[test]
#[ignore = "takes a minute"]
fn every_raise_sees_one_set_under_many_seeds() {
    (100..120).for_each(|seed| rage(seed, 3));
}
