//! Uses `gang` in every way, and does the same without it. `Demo.Hello` with a number says what to do, and with how
//! many: the number is the scenario, and sixteen times the size of a group, zero for as many as there are cores. The
//! answer is what came of it. Only who raises in the name of core 0 is heard.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod watch;

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use gang_interface::Group;
use spindle::{
    Error,
    demo::Hello,
    handler, println, processor, raise,
    strand::{self, Builder, CoreSet, JoinHandle},
};
use watch::{Watch, compare, now};

/// How long rowers row, in nanoseconds.
const LONG_NS: u64 = 1_000_000_000;
/// How long somebody waits for what must come soon, in nanoseconds.
const PATIENCE_NS: u64 = 60_000_000_000;
/// A few periods of `gang`, in nanoseconds.
const WHILE_NS: u64 = 900_000_000;

/// Rowers of a crew of *n* raise `Demo.Hello` in the name of core [`EYE`] + *n*, each after so many looks at the clock: for
/// somebody who wants to see who runs at that moment.
const EYE: u32 = 100;
/// See [`EYE`].
const LOOKS: u64 = 400;
/// How often each looks around, on average.
const ROUNDS: u64 = 1_000;

/// What rowers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crew {
    Gang,
    Unmanaged,
}

/// Installs one handler; it works on a strand of whoever raises, and forks others.
pub fn start() -> Result<(), Error> {
    handler(|hello: &Hello| {
        if hello.core != 0 {
            return 0;
        }
        let size = match hello.number / 16 {
            0 => processor::cores().unwrap_or(1),
            size => size as u32,
        };
        let done = match hello.number % 16 {
            0 => once(size),
            1 => misuse(),
            2 => turns(size),
            3 => blocks(size, WHILE_NS),
            4 => ends(size),
            5 => row(size, Crew::Gang),
            6 => row(size, Crew::Unmanaged),
            7 => step(size, Crew::Gang),
            8 => step(size, Crew::Unmanaged),
            9 => for_ever(size),
            10 => halves(size),
            11 => blocks(size, 5_000_000_000),
            12 => incomplete(size),
            13 => let_go(size),
            _ => Ok(0),
        };
        done.unwrap_or_else(|error| u64::MAX - error as u64)
    })
    .install()?;
    Ok(())
}

/// A crew of so many, each told its number.
fn crew<T: Send + 'static>(
    size: u32,
    kind: Crew,
    body: impl Fn(u32) -> T + Clone + Send + 'static,
) -> Result<Vec<JoinHandle<T>>, Error> {
    let group = if kind == Crew::Gang { Some(Group::new(size)?) } else { None };
    let make = |number: u32| {
        let body = body.clone();
        match &group {
            Some(group) => group.fork("rower", move || body(number)),
            None => Builder::new("rower").cores(CoreSet::only(number)).spawn(move || body(number)),
        }
    };
    (0..size).map(make).collect()
}

fn join<T>(crew: Vec<JoinHandle<T>>) -> Result<Vec<T>, Error> {
    crew.into_iter().map(JoinHandle::join).collect()
}

/// Strands that compute on the first cores, and on some more than on others, so that slices do not fall together by chance.
struct Load {
    is_over: Arc<AtomicBool>,
    strands: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(cores: u32) -> Result<Self, Error> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut strands = Vec::new();
        for core in 0..cores {
            for _ in 0..1 + core % 3 {
                let is_over = is_over.clone();
                let spin = move || {
                    while !is_over.load(SeqCst) {
                        core::hint::spin_loop();
                    }
                };
                strands.push(Builder::new("load").cores(CoreSet::only(core)).spawn(spin)?);
            }
        }
        Ok(Self { is_over, strands })
    }

    fn stop(self) -> Result<(), Error> {
        self.is_over.store(true, SeqCst);
        join(self.strands).map(|_| ())
    }
}

/// Waits until `holds`; says whether it ever did.
fn wait_until(holds: impl Fn() -> bool) -> Result<bool, Error> {
    let deadline = now() + PATIENCE_NS;
    while !holds() {
        if now() > deadline {
            return Ok(false);
        }
        strand::sleep(1_000_000)?;
    }
    Ok(true)
}

/// Each adds its number plus one, and yields: the answer is the sum.
fn once(size: u32) -> Result<u64, Error> {
    let row = |number: u32| {
        let _ = strand::yield_now();
        u64::from(number) + 1
    };
    Ok(join(crew(size, Crew::Gang, row)?)?.into_iter().sum())
}

/// What must be refused is refused: the answer counts what was.
fn misuse() -> Result<u64, Error> {
    let cores = processor::cores()?;
    let mut refused = u64::from(Group::new(cores + 1).err() == Some(Error::Limit));
    refused += u64::from(Group::new(0).err() == Some(Error::BadArgument));
    let group = Group::new(1)?;
    let only = group.fork("only", || ())?;
    refused += u64::from(group.fork("second", || ()).err() == Some(Error::Limit));
    only.join()?;
    Ok(refused)
}

/// They row, each by himself, beside others, until they have looked around so often: how much of the time in which any
/// ran all did, in thousandths.
fn row(size: u32, kind: Crew) -> Result<u64, Error> {
    let load = Load::start(size)?;
    let from = now();
    let all = Arc::new(AtomicU64::new(0));
    let row = move |_| {
        let mut watch = Watch::start();
        for turn in 1.. {
            let now = watch.look();
            if turn % LOOKS == 0 {
                // Nobody needs to answer.
                let _ = raise(&Hello { number: 0, core: EYE + size });
                if all.fetch_add(1, SeqCst) >= u64::from(size) * ROUNDS || now > from + PATIENCE_NS {
                    break;
                }
            }
        }
        watch.stop()
    };
    let notes = join(crew(size, kind, row)?)?;
    load.stop()?;
    let to = now();
    let found = compare(&notes, from, to);
    let ratio = found.all * 1_000 / found.any.max(1);
    println!(
        "{}: {ratio} thousandths together; apart at most {} us, median {} us; ran {} ms of {}",
        name(kind),
        found.longest_apart / 1_000,
        found.median_apart / 1_000,
        found.sum / u64::from(size) / 1_000_000,
        (to - from) / 1_000_000,
    )?;
    Ok(ratio)
}

fn name(kind: Crew) -> &'static str {
    if kind == Crew::Gang { "gang" } else { "unmanaged" }
}

/// They pass a barrier all the time, beside others: how many steps they made for each thousand looks
/// at the clock, which they take while they wait: what they have done for their time.
fn step(size: u32, kind: Crew) -> Result<u64, Error> {
    let load = Load::start(processor::cores()?)?;
    let to = now() + LONG_NS;
    let arrived = Arc::new(AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let (count, over) = (arrived.clone(), is_over.clone());
    let row = move |_| {
        let mut looks = 0;
        // All must stop at the same step: the first who sees that it is late says so before he comes to the barrier.
        for turn in 1.. {
            for _ in 0..100 {
                core::hint::spin_loop();
            }
            looks += 1;
            if now() >= to {
                over.store(true, SeqCst);
            }
            count.fetch_add(1, SeqCst);
            while count.load(SeqCst) < turn * u64::from(size) && !over.load(SeqCst) {
                looks += 1;
                if now() >= to {
                    over.store(true, SeqCst);
                }
            }
            if over.load(SeqCst) {
                break;
            }
        }
        looks
    };
    let looks: u64 = join(crew(size, kind, row)?)?.into_iter().sum();
    load.stop()?;
    let steps = arrived.load(SeqCst) / u64::from(size);
    let rate = steps * 1_000 * u64::from(size) / looks.max(1);
    println!("{}: {steps} steps, {looks} looks: {rate} for each thousand", name(kind))?;
    Ok(rate)
}

/// Two crews of that size, from when both have begun: the answer is what the one that did less did of what both did, in
/// thousandths.
fn turns(size: u32) -> Result<u64, Error> {
    let counts: Arc<[AtomicU64; 2]> = Arc::new([const { AtomicU64::new(0) }; 2]);
    let is_over = Arc::new(AtomicBool::new(false));
    let row = |own: usize| {
        let (counts, is_over) = (counts.clone(), is_over.clone());
        move |_| {
            while !is_over.load(SeqCst) {
                counts[own].fetch_add(1, SeqCst);
            }
        }
    };
    let crews = [crew(size, Crew::Gang, row(0))?, crew(size, Crew::Gang, row(1))?];
    let seen = || [counts[0].load(SeqCst), counts[1].load(SeqCst)];
    wait_until(|| seen().iter().all(|count| *count > 0))?;
    let before = seen();
    strand::sleep(4 * LONG_NS)?;
    let after = seen();
    is_over.store(true, SeqCst);
    for crew in crews {
        join(crew)?;
    }
    let (one, other) = (after[0] - before[0], after[1] - before[1]);
    Ok(one.min(other) * 1_000 / (one + other).max(1))
}

/// Two crews of half that size, which fit into one row: the first ends when it has seen the second step on often, and the
/// other way round, though each runs only when all of its own do. The answer is how many have ended.
fn halves(size: u32) -> Result<u64, Error> {
    let steps: Arc<[AtomicU64; 2]> = Arc::new([const { AtomicU64::new(0) }; 2]);
    let row = |own: usize| {
        let steps = steps.clone();
        move |_| {
            let deadline = now() + PATIENCE_NS;
            while steps[1 - own].load(SeqCst) < 100_000 && now() < deadline {
                steps[own].fetch_add(1, SeqCst);
            }
            steps[own].fetch_add(100_000, SeqCst);
            now() < deadline
        }
    };
    let crews = [crew(size / 2, Crew::Gang, row(0))?, crew(size / 2, Crew::Gang, row(1))?];
    let [one, other] = crews.map(join);
    let ended = one?.into_iter().chain(other?).filter(|is_in_time| *is_in_time);
    Ok(ended.count() as u64)
}

/// One of them blocks, for that long: the answer is 1 if meanwhile the others stood still, 2 more if they went on after it.
fn blocks(size: u32, while_ns: u64) -> Result<u64, Error> {
    let turns = Arc::new(AtomicU64::new(0));
    let (is_blocking, is_called, is_over) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (count, blocking, called, over) =
        (turns.clone(), is_blocking.clone(), is_called.clone(), is_over.clone());
    let row = move |number| {
        if number == 0 {
            blocking.store(true, SeqCst);
            while !called.load(SeqCst) && strand::block().is_ok() {}
        }
        while !over.load(SeqCst) {
            count.fetch_add(1, SeqCst);
        }
    };
    let rowers = crew(size, Crew::Gang, row)?;
    wait_until(|| is_blocking.load(SeqCst))?;
    // Time for all to stop.
    strand::sleep(WHILE_NS)?;
    let seen = turns.load(SeqCst);
    strand::sleep(while_ns)?;
    let stood = turns.load(SeqCst) == seen;
    is_called.store(true, SeqCst);
    strand::unblock(rowers[0].strand())?;
    let went_on = wait_until(|| turns.load(SeqCst) > seen)?;
    is_over.store(true, SeqCst);
    join(rowers)?;
    Ok(u64::from(stood) + 2 * u64::from(went_on))
}

/// One of them ends at once: the answer is how many of the others went on.
fn ends(size: u32) -> Result<u64, Error> {
    let counts: Arc<Vec<AtomicU64>> = Arc::new((0..size).map(|_| AtomicU64::new(0)).collect());
    let is_over = Arc::new(AtomicBool::new(false));
    let (own, over) = (counts.clone(), is_over.clone());
    let row = move |number: u32| {
        while number > 0 && !over.load(SeqCst) {
            own[number as usize].fetch_add(1, SeqCst);
        }
    };
    let mut rowers = crew(size, Crew::Gang, row)?;
    rowers.remove(0).join()?;
    let seen: Vec<u64> = counts.iter().map(|count| count.load(SeqCst)).collect();
    let went_on = || counts.iter().zip(&seen).filter(|(count, seen)| count.load(SeqCst) > **seen).count();
    wait_until(|| went_on() + 1 == size as usize)?;
    is_over.store(true, SeqCst);
    join(rowers)?;
    Ok(went_on() as u64)
}

/// Two crews that row until they are cut short, and one whose first waits for ever.
fn for_ever(size: u32) -> Result<u64, Error> {
    let row = |_| {
        while strand::is_terminated() == Ok(false) {
            core::hint::spin_loop();
        }
    };
    let wait = move |number| {
        if number == 0 {
            while strand::block().is_ok() {}
        }
        row(number);
    };
    crew(size, Crew::Gang, row)?;
    crew(size, Crew::Gang, row)?;
    crew(size, Crew::Gang, wait)?;
    Ok(u64::from(size) * 3)
}

/// The first member is asked to end before the others are there: they go on without it. How many have.
fn let_go(size: u32) -> Result<u64, Error> {
    let group = Group::new(size)?;
    let first = group.fork("rower", || ())?;
    first.terminate()?;
    let others: Result<Vec<_>, _> = (1..size).map(|_| group.fork("rower", || 1)).collect();
    let sum = join(others?)?.into_iter().sum();
    // Alone it may have run already.
    if first.join() == Err(Error::Terminated) || size == 1 { Ok(sum) } else { Err(Error::Closed) }
}

/// A group that is given up before all were forked: the answer is how many have ended, and is one less than the size.
fn incomplete(size: u32) -> Result<u64, Error> {
    let group = Group::new(size)?;
    let rowers = (1..size).map(|_| group.fork("rower", || ())).collect::<Result<Vec<_>, _>>()?;
    strand::sleep(WHILE_NS)?;
    drop(group);
    Ok(join(rowers)?.len() as u64)
}
