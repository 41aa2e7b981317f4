//! The dispatcher against a naive one, on random programs (see `stress::reference`). `WHORL_SEED`
//! runs one program alone; a failure says which, and shows the shortest program that was found to fail.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use dispatcher::host::{Host, World};
use stress::reference::{Answer, Coverage, Difference, LENGTH, program, run, shrink};

const THREADS: u64 = 2;

fn run_one<R: Answer>(
    seed: u64,
    lane: u32,
    coverage: &mut Coverage,
) -> Result<(), (Difference, Vec<program::Op>)> {
    let program = program::generate(seed, LENGTH);
    let Err(difference) = run::<R, Host>(&program, lane, 1, coverage) else { return Ok(()) };
    let mut last = difference;
    let shortest = shrink(program, &mut |program| {
        let difference = run::<R, Host>(program, lane, 1, &mut Coverage::default()).err()?;
        last = difference.clone();
        Some(difference.at)
    });
    Err((last, shortest))
}

/// The programs of so many seeds, whose results are of every width in turn.
fn compare(seeds: std::ops::Range<u64>, longest: Duration) -> Coverage {
    let all = Mutex::new(Coverage::default());
    let began = Instant::now();
    thread::scope(|scope| {
        for lane in 0..THREADS {
            let (seeds, all) = (seeds.clone(), &all);
            scope.spawn(move || {
                let world = World::new();
                let _core = world.attach();
                let mut coverage = Coverage::default();
                let mut count = 0;
                for seed in seeds.filter(|seed| seed % THREADS == lane) {
                    if began.elapsed() > longest {
                        break;
                    }
                    let outcome = match seed % 3 {
                        0 => run_one::<u64>(seed, lane as u32, &mut coverage),
                        1 => run_one::<[u64; 3]>(seed, lane as u32, &mut coverage),
                        _ => run_one::<u8>(seed, lane as u32, &mut coverage),
                    };
                    if let Err((difference, program)) = outcome {
                        let lines: Vec<_> = program.iter().map(|op| format!("  {op:?}")).collect();
                        panic!("WHORL_SEED={seed}: {difference}\n{}", lines.join("\n"));
                    }
                    count += 1;
                    if count % 100 == 0 {
                        world.drain();
                    }
                }
                world.drain();
                assert_eq!(world.retired().len(), 0, "everything is freed");
                println!("thread {lane}: {count} programs in {:?}", began.elapsed());
                all.lock().unwrap().add(&coverage);
            });
        }
    });
    all.into_inner().unwrap()
}

#[test]
fn random_programs_run_as_the_naive_dispatcher_runs_them() {
    let chosen: Option<u64> = std::env::var("WHORL_SEED").ok().and_then(|seed| seed.parse().ok());
    if let Some(seed) = chosen {
        compare(seed..seed + 1, Duration::MAX);
        return;
    }
    // Under Miri a program takes seconds.
    let seeds = if cfg!(miri) { 0..6 } else { 0..2500 };
    let coverage = compare(seeds, Duration::from_secs(60));
    println!("{coverage:?}");
    if !cfg!(miri) {
        assert_eq!(coverage.gaps(), [""; 0], "never tried");
    }
}

#[test]
#[ignore = "takes a minute"]
fn many_more_random_programs() {
    let coverage = compare(1_000_000..u64::MAX, Duration::from_secs(60));
    assert_eq!(coverage.gaps(), [""; 0], "never tried");
}
