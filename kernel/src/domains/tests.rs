//! Tests of domains in the booted kernel: spindles come and go, good ones and bad ones, and each time
//! all counts are what they were. Those that misbehave stand in `stress/`, a folder for each.

mod crowd;
mod dispatch;
mod edf;
mod exported;
mod forkjoin;
mod forks;
mod gang;
mod packages;
mod sync;

use alloc::{format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dispatcher::Processor;
use dispatcher::{Handler, RaiseError};
use object::Object;
use sched::State;
use spindle::{Error, Event, demo::Hello};

use super::{Domain, LoadError, all, exports, load, load_object, unload};
use crate::{
    boot::archive,
    events::{self, HELLO},
    ktest::{Level, Random, core_count, everywhere, guarded, ktest, on, wait_until},
    memory,
    strands::{Cpu, Handle},
    torment::Victim,
    trap,
};

/// The number that misbehaving spindles cannot bear.
const UNLUCKY: u64 = 13;

/// The object file of a spindle.
fn object(name: &str) -> &'static [u8] {
    archive::file(&format!("{name}.spindle")).expect("the spindle is in the boot archive")
}

#[track_caller]
fn loaded(name: &str) -> Arc<Domain> {
    load(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Raises `Demo.Hello` in the name of core 0.
fn hello(number: u64) -> Result<u64, RaiseError> {
    HELLO.raise(&Hello { number, core: 0 })
}

/// Waits until no domain is left.
#[track_caller]
fn wait_for_funerals() {
    wait_until("all domains are gone", || all().is_empty());
    // The undertaker has the lock until it has dropped the last of them.
    drop(super::CHANGES.lock());
}

/// How many handlers `Demo.Hello` has.
fn handlers() -> usize {
    HELLO.any().info::<Cpu>().bindings.len()
}

#[ktest]
fn load_and_unload_return_everything() {
    for _ in 0..10 {
        let before = Level::settled();
        let domain = loaded("echo");
        assert_eq!((domain.name(), domain.is_open(), handlers()), ("echo", true, 1));
        assert_ne!(Level::settled(), before, "a spindle takes memory");
        let heard = events::heard_of(0);
        assert_eq!(hello(4), Ok(5));
        assert_eq!(events::heard_of(0), heard + 1);
        memory::audit().expect("page tables are in order with a spindle loaded");
        drop(domain);
        assert_eq!(unload("echo"), Ok(()));
        assert_eq!((hello(4), handlers()), (Err(RaiseError::NoHandler), 0));
        assert_eq!(Level::settled(), before);
    }
    memory::audit().expect("page tables are in order");
    assert!(unload("echo").is_err());
}

#[ktest]
fn what_cannot_be_loaded_changes_nothing() {
    let domain = loaded("echo");
    let before = Level::settled();
    assert!(matches!(load("echo"), Err(LoadError::AlreadyLoaded(name)) if name == "echo"));
    match load("ghost") {
        Err(LoadError::NotFound { name, there }) => {
            assert_eq!(name, "ghost");
            assert!(there.iter().any(|name| name == "echo"));
        }
        _ => panic!("loaded what is not there"),
    }
    assert!(
        matches!(load_object("else", object("echo")), Err(LoadError::Misnamed { inside, .. }) if inside == "echo")
    );
    assert!(matches!(load_object("empty", &[]), Err(LoadError::Object(_))));
    assert_eq!(Level::settled(), before);
    assert_eq!(hello(1), Ok(2), "the first one is as it was");
    drop(domain);
    assert_eq!(unload("echo"), Ok(()));
}

#[ktest]
fn truncated_objects_are_refused() {
    let file = object("hoarder");
    let before = Level::settled();
    let lengths = (0..64).step_by(7).chain((64..file.len()).step_by(file.len() / 60)).chain([file.len() - 1]);
    for length in lengths {
        match load_object("hoarder", &file[..length]) {
            Err(LoadError::Object(_)) => {}
            Err(error) => panic!("{length} bytes of {}: {error}", file.len()),
            Ok(_) => panic!("loaded {length} bytes of {}", file.len()),
        }
    }
    assert_eq!(Level::settled(), before);
    assert!(all().is_empty());
}

/// Would this file be loaded? Then it may be run only if it is whole: objects are not signed yet, and
/// the code of a garbled one would do anything.
fn is_acceptable(name: &str, file: &[u8]) -> bool {
    Object::parse(file)
        .is_ok_and(|object| object.name() == name && exports::resolve(object.imports()).is_ok())
}

#[ktest]
fn garbled_objects_are_refused() {
    let file = object("hoarder");
    let before = Level::settled();
    let mut refused = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut garbled = file.to_vec();
        // Every other one where the headers are.
        let end = if seed % 2 == 0 { 512 } else { garbled.len() };
        for _ in 0..1 + random.below(8) {
            garbled[random.below(end)] ^= 1 << random.below(8);
        }
        if !is_acceptable("hoarder", &garbled) {
            match load_object("hoarder", &garbled) {
                Err(LoadError::Object(_) | LoadError::Misnamed { .. } | LoadError::Unresolved(_)) => {
                    refused += 1
                }
                Err(error) => panic!("seed {seed}: {error}"),
                Ok(_) => panic!("seed {seed}: loaded"),
            }
        }
    }
    assert!(refused > 100, "only {refused} were refused");
    assert_eq!(Level::settled(), before);
    assert!(all().is_empty());
}

#[ktest]
fn another_type_is_told_with_both_signatures() {
    let mut file = object("echo").to_vec();
    let hash = <Hello as Event>::HASH.to_le_bytes();
    let places: Vec<usize> = (0..file.len() - 8).filter(|at| file[*at..*at + 8] == hash).collect();
    assert!(!places.is_empty(), "the object carries the event's hash");
    places.into_iter().for_each(|at| file[at] ^= 1);
    let before = Level::settled();
    match load_object("echo", &file) {
        Err(LoadError::Unresolved(imports)) => {
            assert_eq!(imports.len(), 1);
            let told = format!("{}", imports[0]);
            assert_eq!(told.matches(<Hello as Event>::SIGNATURE).count(), 2, "{told}");
            assert!(told.contains(<Hello as Event>::NAME), "{told}");
        }
        _ => panic!("it was not refused for its import"),
    }
    assert_eq!(Level::settled(), before);
}

/// Loads a spindle that ends when it is told a number: the raiser gets an error, the domain goes, and
/// the next one of that name is as good as new.
#[track_caller]
fn dies_of(name: &str, number: u64) {
    let before = Level::settled();
    for _ in 0..3 {
        let domain = loaded(name);
        assert!(hello(1).is_ok());
        assert_eq!(hello(number), Err(RaiseError::Cut));
        assert!(!domain.is_open());
        drop(domain);
        wait_for_funerals();
        assert_eq!((hello(1), handlers()), (Err(RaiseError::NoHandler), 0));
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn a_panic_ends_the_domain() {
    dies_of("panics", UNLUCKY);
}

#[ktest]
fn a_division_by_zero_ends_the_domain() {
    dies_of("divides", UNLUCKY);
}

#[ktest]
fn a_stack_overflow_ends_the_domain() {
    dies_of("overflows", UNLUCKY);
}

#[ktest]
fn interrupts_find_no_stack_and_need_none() {
    let before = Level::settled();
    for _ in 0..2 {
        loaded("burrows");
        // Two on a core, so that the timer interrupts them all the way down; on few cores, as it takes long.
        let dig = |index: usize| {
            guarded(on(index / 2 % core_count()), || {
                let answer = hello(0);
                assert!(matches!(answer, Err(RaiseError::Cut | RaiseError::NoHandler)), "{answer:?}");
            })
        };
        let strands: Vec<_> = (0..4).map(dig).collect();
        strands.into_iter().for_each(Handle::join);
        wait_for_funerals();
    }
    assert_eq!(Level::settled(), before);
}

/// Core `core` still has its timer and its kicks: a strand that is sent there sleeps and ends.
fn is_well(core: usize) {
    guarded(on(core), || (0..5).for_each(|_| sched::sleep_ns::<Cpu>(200_000))).join();
}

#[ktest]
fn interrupts_where_the_stack_ends_end_the_domain() {
    const ROOM: u64 = trap::INTERRUPT_ROOM as u64;
    let before = Level::settled();
    for core in 0..core_count() {
        // Where there is room for a switch of strands, for a handler, for a frame, and for nothing;
        // and with the stack pointer below the end.
        for left in [ROOM + 1_500, ROOM - 500, 1_200, 600, 300, 150, 301] {
            let domain = loaded("brims");
            let (is_over, naps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
            let napper = guarded(on(core), {
                let (is_over, naps) = (is_over.clone(), naps.clone());
                move || {
                    while !is_over.load(Ordering::Relaxed) {
                        sched::sleep_ns::<Cpu>(200_000);
                        naps.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let digger = guarded(on(core), move || {
                let naps_before = naps.load(Ordering::Relaxed);
                let answer = hello(left);
                if left < ROOM {
                    assert_eq!(answer, Err(RaiseError::Cut), "{left} bytes left");
                } else {
                    assert_eq!(answer, Ok(left + 1));
                    assert!(naps.load(Ordering::Relaxed) > naps_before, "nobody else had a turn");
                }
            });
            digger.join();
            is_well(core);
            is_over.store(true, Ordering::Relaxed);
            napper.join();
            assert_eq!(domain.is_open(), left >= ROOM);
            drop(domain);
            if left >= ROOM {
                assert_eq!(unload("brims"), Ok(()));
            }
            wait_for_funerals();
        }
    }
    everywhere(|_| sched::sleep_ns::<Cpu>(1_000_000));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn an_allocation_past_the_quota_ends_the_domain() {
    dies_of("hoarder", UNLUCKY);
}

#[ktest]
fn a_request_past_the_quota_is_an_error() {
    let before = Level::settled();
    let domain = loaded("hoarder");
    assert_eq!(hello(100), Ok(100));
    let most = (super::domain::HEAP_QUOTA >> 10) as u64;
    let got = hello(10 * most).expect("asking does no harm");
    assert!((most / 2..=most).contains(&got), "{got} KiB of {most}");
    assert_eq!(hello(100), Ok(100), "what was given back can be had again");
    drop(domain);
    assert_eq!(unload("hoarder"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn others_answer_when_one_is_cut() {
    loaded("echo");
    loaded("panics");
    assert_eq!(hello(UNLUCKY), Ok(UNLUCKY + 1), "the answer of the one that did not fail");
    wait_until("one is gone", || all().len() == 1);
    drop(super::CHANGES.lock());
    assert_eq!((hello(UNLUCKY), handlers()), (Ok(UNLUCKY + 1), 1));
    assert_eq!(unload("echo"), Ok(()));
}

#[ktest]
fn a_start_that_fails_leaves_nothing() {
    for _ in 0..3 {
        let before = Level::settled();
        assert_eq!(load("refuses").err(), Some(LoadError::Refused(Error::Limit)));
        assert_eq!(load("panics-at-start").err(), Some(LoadError::Failed));
        assert_eq!((all().len(), handlers()), (0, 0));
        assert_eq!(Level::settled(), before);
    }
}

#[ktest]
fn all_cores_fail_in_one_domain_at_once() {
    for _ in 0..3 {
        loaded("panics");
        everywhere(|core| {
            for number in 0..200 {
                let answer = HELLO.raise(&Hello { number, core: core as u32 });
                // Whoever comes late finds it closed, or gone.
                let is_right = match answer {
                    Ok(answer) => answer == number + 1 && number != UNLUCKY,
                    Err(RaiseError::Cut) => number == UNLUCKY,
                    Err(RaiseError::NoHandler) => true,
                    Err(_) => false,
                };
                assert!(is_right, "{number}: {answer:?}");
            }
        });
        wait_for_funerals();
    }
}

/// Raises `number` on a strand of core `core`, once it is inside a handler and `state`.
fn raise_inside(core: usize, number: u64, answer: impl Fn(u64) -> bool + Send + 'static) -> Handle {
    guarded(on(core), move || {
        let got = hello(number).expect("the handler ends well");
        assert!(answer(got), "{got}");
    })
}

#[ktest]
fn unloading_ends_sleeps_and_waits_for_sleepers() {
    let before = Level::settled();
    let domain = loaded("sleeper");
    assert_eq!(hello(2), Ok(3));
    // An hour, which unloading makes short.
    let sleepers: Vec<_> =
        (0..core_count()).map(|core| raise_inside(core, 3_600_000, |got| got == u64::MAX)).collect();
    wait_until("all sleep", || domain.sleepers() == sleepers.len());
    drop(domain);
    assert_eq!(unload("sleeper"), Ok(()));
    sleepers.into_iter().for_each(Handle::join);
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn a_sleeper_does_not_delay_another_unload() {
    let domain = loaded("sleeper");
    let sleeper = raise_inside(core_count() - 1, 2_000, |got| got == 2_001 || got == u64::MAX);
    wait_until("it sleeps", || domain.sleepers() == 1);
    let begun = Cpu::now_ns();
    loaded("echo");
    assert_eq!(unload("echo"), Ok(()));
    let took = Cpu::now_ns() - begun;
    // On a crowded machine an unload may take long, but a sleeper that is still there delayed it by nothing.
    assert!(domain.sleepers() == 1 || took > 1_900_000_000, "it waited {took} ns for the sleeper");
    drop(domain);
    assert_eq!(unload("sleeper"), Ok(()));
    sleeper.join();
}

#[ktest]
fn unloading_waits_for_who_computes() {
    let before = Level::settled();
    let domain = loaded("spins");
    let cores = core_count();
    let computed = Arc::new(AtomicUsize::new(0));
    let spinner = |index: usize| {
        let computed = computed.clone();
        guarded(on(index % cores), move || match hello(60) {
            Ok(got) => {
                assert_eq!(got, 61);
                computed.fetch_add(1, Ordering::Relaxed);
            }
            // Its turn came too late.
            Err(error) => assert_eq!(error, RaiseError::NoHandler),
        })
    };
    let spinners: Vec<_> = (0..2 * cores).map(spinner).collect();
    let is_running = |handle: &Handle| matches!(handle.strand().state(), State::Running | State::Runnable);
    // Computing takes more than anything before it.
    wait_until("they compute", || {
        spinners.iter().all(|spinner| spinner.strand().run_ns() > 1_000_000 || !is_running(spinner))
    });
    drop(domain);
    assert_eq!(unload("spins"), Ok(()));
    spinners.into_iter().for_each(Handle::join);
    assert!(computed.load(Ordering::Relaxed) >= cores, "whoever computes is waited for");
    // It counts among the heap's bytes.
    drop(computed);
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn nesting_ends_for_want_of_stack() {
    let before = Level::settled();
    loaded("nests");
    everywhere(|_| {
        let depth = hello(0).expect("an error at the bottom, and an answer at the top");
        assert!((10..1_000).contains(&depth), "{depth} deep");
    });
    assert_eq!(unload("nests"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn many_domains_at_once() {
    let before = Level::settled();
    let names = ["echo", "greeter", "panics", "sleeper", "hoarder", "overflows", "divides", "spins"];
    let domains: Vec<_> = names.iter().map(|name| loaded(name)).collect();
    for (index, one) in domains.iter().enumerate() {
        let end = |domain: &Domain| domain.place().0 + domain.place().1 as u64;
        for other in &domains[..index] {
            assert!(end(one) <= other.place().0 || end(other) <= one.place().0, "they overlap");
        }
    }
    assert_eq!((all().len(), handlers()), (names.len(), names.len()));
    memory::audit().expect("page tables are in order with many spindles loaded");
    assert!(hello(2).is_ok());
    drop(domains);
    // Neither in the order of loading nor against it.
    for name in [3, 0, 7, 1, 5, 2, 6, 4].map(|index| names[index]) {
        assert_eq!(unload(name), Ok(()));
    }
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn many_load_and_unload_at_once() {
    let before = Level::settled();
    static LOADS: AtomicU64 = AtomicU64::new(0);
    LOADS.store(0, Ordering::Relaxed);
    everywhere(|core| {
        let name = ["echo", "spins", "divides"][core % 3];
        for _ in 0..5 {
            // Another core may have it loaded already, or unload it under our hands.
            if load(name).is_ok() {
                LOADS.fetch_add(1, Ordering::Relaxed);
            }
            let _ = hello(1);
            let _ = unload(name);
        }
    });
    assert!(LOADS.load(Ordering::Relaxed) >= 5);
    assert!(all().is_empty());
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn unload_while_all_others_raise() {
    let level = log::max_level();
    log::set_max_level(level.min(log::LevelFilter::Warn));
    let (report, result) = stress::loads::storm(&Victim, 8, &mut |_| ());
    log::set_max_level(level);
    if let Err(failure) = result {
        panic!("{failure}");
    }
    assert_eq!(report.rounds, 8);
}

#[ktest]
fn a_domain_that_fails_does_not_disturb_raisers() {
    let is_over = Arc::new(AtomicBool::new(false));
    let steady = HELLO.install(Handler::trusted(|hello: &Hello| hello.number + 1)).expect("there is room");
    let raise = |core: usize| {
        let is_over = is_over.clone();
        guarded(on(core), move || {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(HELLO.raise(&Hello { number, core: core as u32 }), Ok(number + 1));
                number = (number + 1) % 100;
            }
        })
    };
    let raisers: Vec<_> = (0..core_count()).map(raise).collect();
    for _ in 0..3 {
        // A raiser may come before its start procedure has returned, which then goes no further either.
        match load("panics") {
            Ok(_) | Err(LoadError::Failed) => wait_for_funerals(),
            Err(error) => panic!("panics: {error}"),
        }
    }
    is_over.store(true, Ordering::Relaxed);
    raisers.into_iter().for_each(Handle::join);
    HELLO.remove(steady).expect("it is installed");
}
