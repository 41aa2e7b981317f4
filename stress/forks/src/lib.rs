//! Makes strands and joins them, and tries what must not be done with them. Answers `Demo.Hello`: below 1,000 with
//! the sum of what so many strands return, above with 1 for an attempt that came out as it should.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spindle::{
    Error, clock,
    demo::Hello,
    install, processor,
    strand::{self, Builder, CoreSet, JoinHandle, Strand},
};

/// The most strands of a spindle.
const MOST: usize = 1_024;
/// An hour, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;
/// Cores that stand for what is to be done with the strand whose name is the number.
const UNBLOCK: u32 = 1_001;
const WAIT_FOR: u32 = 1_002;
const TERMINATE: u32 = 1_003;

/// Installs the one handler.
pub fn start() -> Result<(), Error> {
    install(answer)?;
    Ok(())
}

fn answer(hello: &Hello) -> u64 {
    let result = match (hello.core, hello.number) {
        (UNBLOCK, name) => strand::unblock(Strand::from_word(name)).map(|()| 1),
        (WAIT_FOR, name) => strand::wait_for(Strand::from_word(name)).map(|()| 1),
        (TERMINATE, name) => strand::terminate(Strand::from_word(name)).map(|()| 1),
        (_, count @ 0..1_000) => sum(count),
        (_, attempt) => attempted(attempt).map(u64::from),
    };
    result.unwrap_or_else(|error| 1_000 + error as u64)
}

fn attempted(attempt: u64) -> Result<bool, Error> {
    match attempt {
        1_001 => ping_pong(),
        1_002 => past_the_quota(),
        1_003 => itself(),
        1_004 => twice(),
        1_005 => terminated_while_it_waits(),
        1_006 => terminated_before_it_begins(),
        1_007 => refused(),
        1_008 => names(),
        1_009 => on_every_core(),
        1_010 => sleeps(),
        // The same from a strand of its own.
        1_101..1_200 => strand::spawn(move || attempted(attempt - 100))?.join()?,
        _ => Ok(false),
    }
}

/// Forks so many, and adds up what they return.
fn sum(count: u64) -> Result<u64, Error> {
    let strands: Result<Vec<_>, Error> =
        (0..count).map(|number| strand::spawn(move || vec![number; 3])).collect();
    strands?.into_iter().map(|strand| strand.join().map(|numbers| numbers[2])).sum()
}

/// Two strands wake each other.
fn ping_pong() -> Result<bool, Error> {
    const ROUNDS: u64 = 200;
    struct Ball {
        turn: AtomicU64,
        names: [AtomicU64; 2],
    }
    let ball = Arc::new(Ball { turn: AtomicU64::new(0), names: [const { AtomicU64::new(0) }; 2] });
    let player = |own: u64| {
        let ball = ball.clone();
        move || -> Result<(), Error> {
            ball.names[own as usize].store(strand::current()?.to_word(), Ordering::SeqCst);
            for round in 0..ROUNDS {
                while ball.turn.load(Ordering::SeqCst) != 2 * round + own {
                    strand::block()?;
                }
                ball.turn.fetch_add(1, Ordering::SeqCst);
                strand::unblock(Strand::from_word(ball.names[1 - own as usize].load(Ordering::SeqCst)))?;
            }
            Ok(())
        }
    };
    let players = [strand::spawn(player(0))?, strand::spawn(player(1))?];
    for player in players {
        player.join()??;
    }
    Ok(ball.turn.load(Ordering::SeqCst) == 2 * ROUNDS)
}

/// A strand that waits until it is asked to end.
fn waits() -> Result<JoinHandle<Error>, Error> {
    strand::spawn(|| {
        loop {
            if let Err(error) = strand::block() {
                return error;
            }
        }
    })
}

/// It was asked to end, before it began or later.
fn was_terminated(strand: JoinHandle<Error>) -> bool {
    matches!(strand.join(), Ok(Error::Terminated) | Err(Error::Terminated))
}

fn past_the_quota() -> Result<bool, Error> {
    // Whoever runs this counts, if it is a strand of this spindle.
    let mut strands = Vec::with_capacity(MOST);
    let refused = loop {
        match waits() {
            Ok(strand) => strands.push(strand),
            Err(error) => break error,
        }
    };
    let is_full = refused == Error::Limit && (MOST - 1..=MOST).contains(&strands.len());
    for strand in &strands {
        strand.terminate()?;
    }
    let have_ended = strands.into_iter().all(was_terminated);
    // Those who were waited for count no more.
    let all = MOST as u64 - 100;
    Ok(is_full && have_ended && sum(all)? == all * (all - 1) / 2)
}

fn itself() -> Result<bool, Error> {
    let strand = strand::spawn(|| strand::wait_for(strand::current()?))?;
    Ok(strand.join()? == Err(Error::Context))
}

fn twice() -> Result<bool, Error> {
    let strand = waits()?;
    let name = strand.strand();
    // Of two who wait for it, one is told that there is another, and ends it.
    let waiter = move || {
        let result = strand::wait_for(name);
        if result == Err(Error::Context) {
            let _ = strand::terminate(name);
        }
        result
    };
    let (first, second) = (strand::spawn(waiter)?, strand::spawn(waiter)?);
    let results = (first.join()?, second.join()?);
    let is_one = [(Ok(()), Err(Error::Context)), (Err(Error::Context), Ok(()))].contains(&results);
    // Once it has ended, anybody may wait, and need not.
    Ok(is_one && strand::wait_for(name).is_ok() && was_terminated(strand) && strand::wait_for(name).is_ok())
}

fn terminated_while_it_waits() -> Result<bool, Error> {
    let begun = Arc::new(AtomicU64::new(0));
    let noted = |wait: fn(Strand) -> Result<(), Error>, other: Strand| {
        let begun = begun.clone();
        strand::spawn(move || {
            begun.fetch_add(1, Ordering::SeqCst);
            loop {
                if let Err(error) = wait(other) {
                    // And so are all waits from now on.
                    return if strand::sleep(HOUR) == Err(error) { error } else { Error::Failed };
                }
            }
        })
    };
    let sleeper = noted(|_| strand::sleep(HOUR), Strand::NONE)?;
    let strands = [
        noted(|_| strand::block(), Strand::NONE)?,
        noted(|_| strand::block_until(HOUR), Strand::NONE)?,
        noted(strand::wait_for, sleeper.strand())?,
        noted(
            |_| match strand::is_terminated()? {
                true => Err(Error::Terminated),
                false => strand::yield_now(),
            },
            Strand::NONE,
        )?,
    ];
    while begun.load(Ordering::SeqCst) < 5 {
        strand::sleep(100_000)?;
    }
    // Some wait by now, and some are about to.
    for strand in &strands {
        strand.terminate()?;
    }
    let have_ended = strands.into_iter().all(|strand| strand.join() == Ok(Error::Terminated));
    sleeper.terminate()?;
    Ok(have_ended && sleeper.join() == Ok(Error::Terminated))
}

fn terminated_before_it_begins() -> Result<bool, Error> {
    // On the same core and less urgent, it has no turn before this waits.
    let on_first = Builder::new("first").cores(CoreSet::only(0));
    let maker = on_first.spawn(|| {
        let (has_run, kept) = (Arc::new(AtomicBool::new(false)), Arc::new(()));
        let (flag, held) = (has_run.clone(), kept.clone());
        let strand = Builder::new("second").priority(8).cores(CoreSet::only(0)).spawn(move || {
            flag.store(true, Ordering::SeqCst);
            drop(held);
        })?;
        strand.terminate()?;
        let result = strand.join();
        Ok(result == Err(Error::Terminated)
            && !has_run.load(Ordering::SeqCst)
            && Arc::strong_count(&kept) == 1)
    })?;
    maker.join()?
}

fn refused() -> Result<bool, Error> {
    let kept = Arc::new(());
    let refused = |builder: Builder<'_>, error| {
        let held = kept.clone();
        builder.spawn(move || drop(held)).is_err_and(|got| got == error)
    };
    let builder = Builder::new("a name that is too long, and not in letters alone: \u{7}\u{e9}");
    let are_refused = refused(builder.priority(17), Error::Limit)
        && refused(builder.priority(255), Error::Limit)
        && refused(builder.cores(CoreSet(0)), Error::BadArgument)
        && refused(builder.cores(CoreSet::only(63)), Error::BadArgument)
        && refused(builder.package(u32::MAX), Error::BadArgument);
    let is_made = builder.priority(0).spawn(|| 7)?.join()? == 7;
    Ok(are_refused && is_made && Arc::strong_count(&kept) == 1)
}

fn names() -> Result<bool, Error> {
    let strand = strand::spawn(strand::current)?;
    let name = strand.strand();
    let is_its_own = strand.join()? == Ok(name);
    let invented =
        [Strand::NONE, Strand::from_word(u64::MAX), Strand::from_word(name.to_word() ^ 1 << 40), name];
    let are_nobody = invented.into_iter().all(|name| {
        strand::unblock(name).is_ok() && strand::wait_for(name).is_ok() && strand::terminate(name).is_ok()
    });
    Ok(is_its_own && are_nobody && strand::current()? == strand::current()? && strand::current()? != name)
}

fn on_every_core() -> Result<bool, Error> {
    let builder = Builder::new("pinned");
    let strands: Result<Vec<_>, Error> = (0..processor::cores()?)
        .map(|core| builder.cores(CoreSet::only(core)).spawn(move || processor::core() == Ok(core)))
        .collect();
    strands?.into_iter().try_fold(true, |so_far, strand| Ok(so_far && strand.join()?))
}

fn sleeps() -> Result<bool, Error> {
    const NAP: u64 = 2_000_000;
    let begun = clock::now()?;
    strand::sleep_until(begun + NAP)?;
    let slept = clock::now()?;
    strand::sleep_until(begun)?;
    while clock::now()? < slept + NAP {
        // Nobody wakes it.
        strand::block_until(slept + NAP)?;
    }
    Ok(slept >= begun + NAP)
}
