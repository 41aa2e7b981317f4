//! The policy in a deterministic simulation: the scheduler itself, under a virtual clock, on a machine whose
//! cores take turns by dice, with strands that do whatever may upset it. Laws are looked at in every round.
//!
//! A failure shows its seed and the shortest program that was found to fail: `WHORL_SEED` runs one seed alone.
#![cfg(not(any(loom, miri)))]

mod laws;
mod machine;
mod program;

use std::{
    cell::{Cell, RefCell},
    io::Write,
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use laws::{LONGEST_ROUND_NS, Laws};
use machine::{NoStack, Rest, Sim, World, compute};
use program::{Op, Program, generate, shrink};
use sched::{
    AffinityError, Builder, CoreSet, Priority, State, Strand, block_until, is_terminated, lend, reap,
    set_affinity, set_priority, take_back, terminate, try_sleep_ns, unblock, yield_now,
};
use stress::dice::Dice;

const THREADS: u64 = 2;
const MOST_ROUNDS: usize = 30_000;

/// What the strands of a run share: on one thread.
#[derive(Default)]
struct Shared {
    strands: Vec<Arc<Strand<Sim>>>,
    deadlines: Vec<Option<u64>>,
    /// What was lent and must be taken back: by whom, to whom, and for how many turns more.
    loans: Vec<(usize, usize, Priority, u8)>,
    has_finished: Vec<bool>,
}

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::default();
}

fn strand(number: u8) -> Arc<Strand<Sim>> {
    SHARED.with_borrow(|shared| shared.strands[usize::from(number) % shared.strands.len()].clone())
}

fn set_deadline(own: usize, deadline: Option<u64>) {
    SHARED.with_borrow_mut(|shared| shared.deadlines[own] = deadline);
}

/// A turn of computing; what was lent comes back in time, and the dead are buried.
fn spend(own: usize) {
    compute();
    let mut due = Vec::new();
    SHARED.with_borrow_mut(|shared| {
        shared.loans.retain_mut(|(lender, to, priority, left)| {
            if *lender != own {
                return true;
            }
            *left = left.saturating_sub(1);
            if *left == 0 {
                due.push((*to, *priority));
            }
            *left > 0
        });
    });
    due.into_iter().for_each(|(to, priority)| take_back(&strand(to as u8), priority));
    if machine::world().must_reap.take() {
        reap::<Sim>();
    }
}

fn perform(own: usize, op: Op) {
    let now = machine::world().now.get();
    match op {
        Op::Compute(turns) => {
            for _ in 0..turns {
                spend(own);
                if is_terminated::<Sim>() {
                    break;
                }
            }
        }
        Op::Yield => yield_now::<Sim>(),
        Op::Block(microseconds) => {
            let deadline = now + u64::from(microseconds) * 1000;
            set_deadline(own, Some(deadline));
            block_until::<Sim>(deadline);
            set_deadline(own, None);
        }
        Op::Sleep(microseconds) => {
            let nanoseconds = u64::from(microseconds) * 1000;
            set_deadline(own, Some(now + nanoseconds + LONGEST_ROUND_NS));
            let _ = try_sleep_ns::<Sim>(nanoseconds);
            set_deadline(own, None);
        }
        Op::Unblock(other) => unblock(&strand(other)),
        Op::SetPriority(other, priority) => set_priority(&strand(other), Priority::new(priority)),
        Op::SetAffinity(other, cores) => {
            let set = |cores| set_affinity(&strand(other), CoreSet(cores));
            if set(u64::from(cores)) == Err(AffinityError::NoSuchCore) {
                set(u64::MAX).expect("some core is there");
            }
        }
        Op::Lend(other, priority, turns) => {
            let priority = Priority::new(priority);
            lend(&strand(other), priority);
            let to = SHARED.with_borrow(|shared| usize::from(other) % shared.strands.len());
            SHARED.with_borrow_mut(|shared| shared.loans.push((own, to, priority, turns.max(1))));
        }
        Op::Terminate(other) => {
            terminate(&strand(other));
        }
    }
}

fn live(own: usize, ops: &[Op]) {
    for op in ops {
        perform(own, *op);
        if is_terminated::<Sim>() {
            break;
        }
    }
    // All debts are settled before the end.
    while SHARED.with_borrow(|shared| shared.loans.iter().any(|(lender, ..)| *lender == own)) {
        spend(own);
    }
    SHARED.with_borrow_mut(|shared| shared.has_finished[own] = true);
}

/// Says when a strand's entry was dropped unbegun, too.
struct Entry(usize);

impl Drop for Entry {
    fn drop(&mut self) {
        let _ = SHARED.try_with(|shared| {
            if let Ok(mut shared) = shared.try_borrow_mut()
                && let Some(flag) = shared.has_finished.get_mut(self.0)
            {
                *flag = true;
            }
        });
    }
}

/// A machine with the strands of a program, which have not begun.
fn set_up(program: &Program, seed: u64) -> &'static World {
    let world = World::new(program.cores, Dice::new(seed ^ 0x5eed));
    SHARED.with_borrow_mut(|shared| {
        *shared = Shared {
            deadlines: vec![None; program.plans.len()],
            has_finished: vec![false; program.plans.len()],
            ..Shared::default()
        }
    });
    for (own, plan) in program.plans.iter().enumerate() {
        let ops = plan.ops.clone();
        let builder = Builder::new("simulated").priority(Priority::new(plan.priority));
        let affinity = if plan.affinity == u8::MAX { CoreSet::ALL } else { CoreSet(plan.affinity.into()) };
        let entry = Entry(own);
        let body = move || {
            live(entry.0, &ops);
        };
        let handle = builder.affinity(affinity).spawn::<Sim>(NoStack, body).expect("its cores are there");
        SHARED.with_borrow_mut(|shared| shared.strands.push(handle.strand().clone()));
    }
    world
}

/// Every core has a turn, or several, in an order by chance; then all come to rest.
fn round(world: &World, dice: &mut Dice) -> Result<u64, String> {
    let round_ns = match dice.below(8) {
        0 => 0,
        1..=5 => dice.below(200_000) as u64,
        _ => dice.below(LONGEST_ROUND_NS as usize) as u64,
    };
    world.now.set(world.now.get() + round_ns);
    let cores = world.cores.len();
    // Sometimes one is far ahead of the others.
    let hare = dice.below(2 * cores);
    let first = dice.below(cores);
    for step in 0..cores {
        let core = (first + step) % cores;
        let turns = if core == hare { 6 } else { 1 + dice.below(2) };
        for _ in 0..turns {
            world.turn(core);
        }
    }
    for _ in 0..10_000 {
        let Some(core) = (0..cores).find(|core| world.cores[*core].rest.get() == Rest::Between) else {
            return match world.complaint.take() {
                None => Ok(round_ns),
                Some(complaint) => Err(complaint),
            };
        };
        world.turn(core);
    }
    Err("cores go from strand to strand for ever".into())
}

/// What has happened in all.
#[derive(Default, Debug)]
struct Coverage {
    rounds: AtomicU64,
    looks: AtomicU64,
    switches: AtomicU64,
    preemptions: AtomicU64,
    steals: AtomicU64,
}

fn run(program: &Program, seed: u64, coverage: &Coverage) -> Result<(), String> {
    let world = set_up(program, seed);
    let outcome = run_on(world, seed, coverage);
    world.end();
    SHARED.with_borrow_mut(|shared| *shared = Shared::default());
    outcome
}

fn run_on(world: &'static World, seed: u64, coverage: &Coverage) -> Result<(), String> {
    let mut dice = Dice::new(seed ^ 0x0dd);
    let strands = SHARED.with_borrow(|shared| shared.strands.clone());
    let mut laws = Laws::new(strands.len(), world.cores.len());
    let mut rounds = 0;
    let is_over = || strands.iter().all(|strand| strand.state() == State::Ended);
    while !is_over() {
        if rounds > MOST_ROUNDS {
            return Err("somebody never ends".into());
        }
        rounds += 1;
        let round_ns = round(world, &mut dice).map_err(|error| format!("{error}, in round {rounds}"))?;
        if TRACED.get() {
            trace(world, &strands, rounds);
        }
        let deadlines = SHARED.with_borrow(|shared| shared.deadlines.clone());
        laws.check(world, &strands, &deadlines, round_ns)
            .map_err(|error| format!("{error}, in round {rounds}"))?;
    }
    if !SHARED.with_borrow(|shared| shared.has_finished.iter().all(|has| *has)) {
        return Err("a strand has ended that had not finished".into());
    }
    if strands.iter().any(|strand| strand.priority() != strand.base_priority()) {
        return Err("something that was taken back still counts".into());
    }
    let sum = |of: fn(&Strand<Sim>) -> u64| strands.iter().map(|strand| of(strand)).sum::<u64>();
    for (counter, value) in [
        (&coverage.rounds, rounds as u64),
        (&coverage.looks, laws.looks),
        (&coverage.switches, sum(Strand::switches)),
        (&coverage.preemptions, sum(Strand::preemptions)),
        (&coverage.steals, sum(Strand::steals)),
    ] {
        counter.fetch_add(value, Ordering::Relaxed);
    }
    Ok(())
}

/// Shows who is where: of the last run of a program that fails.
fn trace(world: &World, strands: &[Arc<Strand<Sim>>], round: usize) {
    let cores: Vec<_> = world.cores.iter().map(|wires| format!("{:?}", wires.rest.get())).collect();
    let show = |strand: &Arc<Strand<Sim>>| {
        format!("{}@{}^{}", strand.state(), strand.core(), strand.priority().number())
    };
    let strands: Vec<_> = strands.iter().map(show).collect();
    println!("round {round}: {} | {}", cores.join(" "), strands.join(" "));
}

/// A panic in a strand ends the process before anything is reported: its seed is told at once.
fn tell_seeds() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let seed = CURRENT.get();
            let _ = writeln!(std::io::stderr(), "WHORL_SEED={seed}: {info}");
            before(info);
        }));
    });
}

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

fn try_seeds(seeds: std::ops::Range<u64>) -> Coverage {
    tell_seeds();
    let coverage = Coverage::default();
    thread::scope(|scope| {
        for lane in 0..THREADS {
            let (seeds, coverage) = (seeds.clone(), &coverage);
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % THREADS == lane) {
                    CURRENT.set(seed);
                    let program = generate(seed);
                    let Err(error) = run(&program, seed, coverage) else { continue };
                    let shortest =
                        shrink(program, &mut |program| run(program, seed, &Coverage::default()).is_err());
                    TRACED.set(true);
                    let last = run(&shortest, seed, &Coverage::default()).expect_err("it still fails");
                    let plans: Vec<_> = shortest.plans.iter().map(|plan| format!("  {plan:?}")).collect();
                    let (cores, plans) = (shortest.cores, plans.join("\n"));
                    panic!("WHORL_SEED={seed}: {error}\nthe shortest, on {cores} cores: {last}\n{plans}");
                }
            });
        }
    });
    coverage
}

#[test]
fn the_laws_hold_under_random_programs() {
    let chosen: Option<u64> = std::env::var("WHORL_SEED").ok().and_then(|seed| seed.parse().ok());
    if let Some(seed) = chosen {
        try_seeds(seed..seed + 1);
        return;
    }
    let coverage = try_seeds(0..1500);
    println!("{coverage:?}");
    for (name, count) in [
        ("looks", &coverage.looks),
        ("switches", &coverage.switches),
        ("preemptions", &coverage.preemptions),
        ("steals", &coverage.steals),
    ] {
        assert!(count.load(Ordering::Relaxed) > 2000, "hardly any {name}: the programs test nothing");
    }
}

#[test]
#[ignore = "takes minutes"]
fn the_laws_hold_under_many_more() {
    try_seeds(1_000_000..1_010_000);
}

/// Equal strands that compute for ever, pinned to one core or as many as there are cores.
fn equals(cores: usize, strands: usize, priority: u8, pin: Option<u8>) -> Program {
    let affinity = pin.map_or(u8::MAX, |core| 1 << core);
    let plan = program::Plan { priority, affinity, ops: vec![Op::Compute(255); 10_000] };
    Program { cores, plans: vec![plan; strands] }
}

#[test]
fn equals_have_equal_shares() {
    tell_seeds();
    for (cores, strands, priority, pin) in [
        (1, 2, 16, None),
        (1, 5, 16, None),
        (1, 3, 8, None),
        (2, 4, 24, Some(1)),
        (4, 4, 16, None),
        (8, 3, 30, Some(7)),
    ] {
        for seed in 0..5 {
            CURRENT.set(seed);
            let program = equals(cores, strands, priority, pin);
            let world = set_up(&program, seed);
            let mut dice = Dice::new(seed);
            let all = SHARED.with_borrow(|shared| shared.strands.clone());
            // Every one has been there before it counts.
            let first: Vec<u64> = {
                while world.now.get() < 500_000_000 {
                    round(world, &mut dice).unwrap();
                }
                all.iter().map(|strand| strand.run_ns()).collect()
            };
            let begun = world.now.get();
            while world.now.get() < begun + 20_000_000_000 {
                round(world, &mut dice).unwrap();
            }
            let shares: Vec<u64> =
                all.iter().zip(first).map(|(strand, first)| strand.run_ns() - first).collect();
            let used = if pin.is_some() { 1 } else { cores.min(strands) } as u64;
            let fair = (world.now.get() - begun) * used / strands as u64;
            for share in &shares {
                let off = share.abs_diff(fair) as f64 / fair as f64;
                assert!(off < 0.05, "{cores} cores, seed {seed}: {shares:?} for {fair} each");
            }
            world.end();
        }
    }
}
