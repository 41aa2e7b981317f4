//! Threads that raise, install, remove, sleep, are preempted and change cores at random, while a
//! housekeeper destroys what it may. `WHORL_SEED` repeats a run's dice (not its interleaving).

mod common;

use std::{
    cell::RefCell,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Census, Citizen, Dice};
use dispatcher::{
    BindingId, Departure, Event, Handler,
    host::{self, Host, HostCore, World},
};

const THREADS: usize = 4;
const MOST_INSTALLED: usize = 6;

/// The arguments of a raise: who was called, and the dice that decide what happens in handlers.
struct Raise {
    called: RefCell<Vec<usize>>,
    dice: RefCell<Dice>,
    has_slept: RefCell<bool>,
    storm: &'static Storm,
    nesting: usize,
}

struct Storm {
    event: Event<Raise, usize, Host>,
    census: Census,
    /// Every set of handlers that there was or may soon be; the last one is the newest.
    history: Mutex<History>,
    /// How many sets are surely past their beginning.
    settled: AtomicUsize,
    /// Cores on which a preempted strand can go on.
    cores: Mutex<Vec<HostCore>>,
    raises: AtomicUsize,
    stop: AtomicBool,
}

#[derive(Default)]
struct History {
    sets: Vec<Vec<usize>>,
    installed: Vec<(usize, BindingId)>,
    next: usize,
}

fn handler(storm: &'static Storm, number: usize) -> Handler<Raise, usize> {
    let citizen: Citizen = storm.census.citizen();
    Handler::trusted(move |raise: &Raise| {
        raise.called.borrow_mut().push(number);
        happen(raise);
        let _still_here = &citizen;
        number
    })
}

/// What befalls a strand inside a handler.
fn happen(raise: &Raise) {
    let event = raise.dice.borrow_mut().roll(64);
    match event {
        0 => {
            *raise.has_slept.borrow_mut() = true;
            move_to_another_core(raise.storm, Departure::Blocked);
        }
        1 | 2 => move_to_another_core(raise.storm, Departure::Preempted),
        3 if raise.nesting < 3 => {
            let seed = raise.dice.borrow_mut().roll(1 << 30);
            // A sleep in there was a sleep of this border too.
            if raise_once(raise.storm, seed, raise.nesting + 1) {
                *raise.has_slept.borrow_mut() = true;
            }
        }
        4 if raise.nesting < 3 => change(raise.storm, &mut raise.dice.borrow_mut()),
        5 => thread::yield_now(),
        6..16 => host::poll(),
        _ => {}
    }
}

fn move_to_another_core(storm: &'static Storm, why: Departure) {
    host::leave(why, |core| {
        let mut cores = storm.cores.lock().unwrap();
        cores.insert(0, core);
        drop(cores);
        thread::yield_now();
        storm.cores.lock().unwrap().pop().expect("one was put there")
    });
}

/// Raises, and finds the set that it saw among those that there were; says whether it slept.
fn raise_once(storm: &'static Storm, seed: usize, nesting: usize) -> bool {
    let raise = Raise {
        called: RefCell::default(),
        dice: RefCell::new(Dice::new(seed as u64)),
        has_slept: RefCell::new(false),
        storm,
        nesting,
    };
    let first = storm.settled.load(Ordering::Acquire);
    let result = storm.event.raise(&raise);
    let called = raise.called.into_inner();
    storm.raises.fetch_add(1, Ordering::Relaxed);
    assert_eq!(result.ok(), called.last().copied(), "the last result counts, and there is one for each");
    let history = storm.history.lock().unwrap();
    let mut possible = history.sets[first..].iter();
    let has_slept = raise.has_slept.into_inner();
    let is_right = if has_slept {
        // What was removed during a sleep is passed over.
        possible.any(|set| is_subsequence(&called, set))
    } else {
        possible.any(|set| *set == called)
    };
    assert!(is_right, "called {called:?}, of which there never was a set in {:?}", &history.sets[first..]);
    has_slept
}

fn is_subsequence(part: &[usize], whole: &[usize]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|number| whole.any(|other| other == number))
}

/// Installs or removes a handler, and keeps the record.
fn change(storm: &'static Storm, dice: &mut Dice) {
    // Like the lock of an event: nobody waits in here, so a strand that holds it does not leave.
    let mut history = storm.history.lock().unwrap();
    let mut set = history.sets.last().unwrap().clone();
    let count = history.installed.len();
    if count == 0 || (count < MOST_INSTALLED && dice.roll(2) == 0) {
        let number = history.next;
        history.next += 1;
        set.push(number);
        history.sets.push(set);
        let id = storm.event.install(handler(storm, number)).unwrap();
        history.installed.push((number, id));
    } else {
        let (number, id) = history.installed.remove(dice.roll(count));
        set.retain(|other| *other != number);
        history.sets.push(set);
        storm.event.remove(id).unwrap();
    }
    // Release: a raise that finds it settled (Acquire in `raise_once`) finds the plan.
    storm.settled.store(history.sets.len() - 1, Ordering::Release);
}

fn strand(storm: &'static Storm, core: HostCore, seed: u64) {
    let _core = core.attach();
    let mut dice = Dice::new(seed);
    while !storm.stop.load(Ordering::Relaxed) {
        match dice.roll(16) {
            0 => change(storm, &mut dice),
            1 => move_to_another_core(storm, Departure::Preempted),
            2 => move_to_another_core(storm, Departure::Blocked),
            3..6 => host::poll(),
            _ => {
                raise_once(storm, dice.roll(1 << 30), 0);
            }
        }
    }
}

/// A storm of so long and so many changes, whichever ends first; afterwards, everything is gone.
fn storm(seed: u64, length: Duration, most_sets: usize) {
    let world = World::with_participants(64);
    let storm: &'static Storm = Box::leak(Box::new(Storm {
        event: Event::new("Test.Storm", None).open(),
        census: Census::default(),
        history: Mutex::new(History { sets: vec![vec![]], ..History::default() }),
        settled: AtomicUsize::new(0),
        cores: Mutex::default(),
        raises: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    }));
    STORMS.lock().unwrap().push(storm);
    let start = Instant::now();
    thread::scope(|scope| {
        let strands: Vec<_> = (0..THREADS)
            .map(|number| {
                let core = world.core();
                scope.spawn(move || strand(storm, core, seed * 100 + number as u64))
            })
            .collect();
        while !strands.iter().all(|strand| strand.is_finished()) {
            world.keep();
            thread::yield_now();
            let is_long = storm.settled.load(Ordering::Relaxed) >= most_sets;
            let has_failed = strands.iter().any(|strand| strand.is_finished());
            if is_long || has_failed || start.elapsed() > length {
                storm.stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let _core = world.attach();
    let (raises, sets) = (storm.raises.load(Ordering::Relaxed), storm.settled.load(Ordering::Relaxed));
    assert!(raises > 0 && sets > 0, "it was no storm: {raises} raises, {sets} changes");
    println!("seed {seed}: {raises} raises, {sets} changes in {:?}", start.elapsed());
    for (_, id) in storm.history.lock().unwrap().installed.drain(..) {
        storm.event.remove(id).unwrap();
    }
    world.drain();
    assert_eq!((storm.census.alive(), world.retired().len()), (0, 0), "every closure is gone");
    let (all, free) = world.epochs().participants();
    assert_eq!(all - free, THREADS + 1, "one participant for each core, and none is lost");
}

/// Where leak checkers find them.
static STORMS: Mutex<Vec<&'static Storm>> = Mutex::new(Vec::new());

#[test]
fn every_raise_sees_one_set_and_everything_goes() {
    let chosen = std::env::var("WHORL_SEED").ok().and_then(|seed| seed.parse().ok());
    let (seeds, length, most_sets) = match (chosen, cfg!(miri)) {
        (Some(seed), _) => (seed..seed + 1, Duration::from_secs(5), usize::MAX),
        (None, false) => (1..5, Duration::from_millis(400), usize::MAX),
        (None, true) => (1..2, Duration::from_secs(3600), 12),
    };
    for seed in seeds {
        println!("WHORL_SEED={seed}");
        storm(seed, length, most_sets);
    }
}
