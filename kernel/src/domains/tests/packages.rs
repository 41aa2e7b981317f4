//! Thread packages that misbehave, a spindle in `stress/` for each way: the package goes, for the right reason; its
//! strands go on and end; an honest package, and everybody else, does not notice; and nothing is left behind.

use alloc::{sync::Arc, vec::Vec};
use core::{
    hint,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use sched::{Builder, Machine, package::ExitReason};
use spindle::demo::Hello;

use super::{hello, loaded, unload};
use crate::{
    events::HELLO,
    ktest::{Level, core_count, everywhere, guarded, ktest, on, wait_until},
    strands::{self, Cpu, Handle, Package},
};

/// The core by which tenants are told to ask their package for something.
const ASK: u32 = 1_000;
/// The core by which it is asked by none of its own.
const ASK_ONLY: u32 = 1_001;
/// So many tenants, and what they answer.
const TENANTS: u64 = 6;
const RENT: u64 = TENANTS * (TENANTS + 1) / 2;

fn package(name: &str) -> Option<Arc<Package>> {
    Cpu::scheduler().packages().all().into_iter().find(|package| package.name() == name)
}

/// Why the package of that number ended, if it has.
fn exit_of(number: u32) -> Option<ExitReason> {
    let exits = Cpu::scheduler().packages().exits();
    exits.iter().find(|exit| exit.number == number).map(|exit| exit.reason)
}

/// Strands of the kernel's that are scheduled by a package, and compute until they are told; each is on one core at
/// a time.
struct Crowd {
    strands: Vec<Handle>,
    is_over: Arc<AtomicBool>,
    turns: Arc<AtomicUsize>,
}

impl Crowd {
    fn new(package: &Arc<Package>, count: usize, is_greedy: bool) -> Self {
        let (is_over, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let one = |number: usize| {
            let (is_over, turns, is_running) = (is_over.clone(), turns.clone(), AtomicBool::new(false));
            let body = move || {
                let mut turn = number;
                while !is_over.load(Ordering::Relaxed) {
                    assert!(!is_running.swap(true, Ordering::SeqCst), "on two cores at once");
                    (0..100).for_each(|_| hint::spin_loop());
                    is_running.store(false, Ordering::SeqCst);
                    turns.fetch_add(1, Ordering::Relaxed);
                    turn += 1;
                    match turn % 4 {
                        _ if is_greedy => {}
                        0 => sched::sleep_ns::<Cpu>(200_000),
                        _ => sched::yield_now::<Cpu>(),
                    }
                }
            };
            strands::spawn_managed(package, Builder::new("managed"), body).expect("there is room")
        };
        Self { strands: (0..count).map(one).collect(), is_over, turns }
    }

    /// Waits until each, on average, has had another turn.
    #[track_caller]
    fn goes_on(&self) {
        let seen = self.turns.load(Ordering::Relaxed);
        wait_until("they go on", || self.turns.load(Ordering::Relaxed) >= seen + 2 * self.strands.len());
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.strands.into_iter().for_each(Handle::join);
    }
}

/// What a package that is loaded by that name is found to have ended for, with tenants in it and strands of the
/// kernel's, beside so many strands of an honest package's.
fn endures(name: &'static str, is_greedy: bool, neighbours: usize) -> ExitReason {
    let honest = loaded_package("queues");
    let others = Crowd::new(&honest, neighbours, false);
    let bad = loaded_package(name);
    let number = bad.number();
    loaded("tenants");
    let guests = Crowd::new(&bad, 3, is_greedy);
    drop(bad);
    let tenants = guarded(Builder::new("test"), move || {
        assert_eq!(hello(TENANTS), Ok(RENT));
    });
    wait_until("the package is ejected", || exit_of(number).is_some());
    let reason = exit_of(number).expect("it was there a moment ago");
    // They go on without it, and the others with theirs.
    guests.goes_on();
    tenants.join();
    guests.end();
    others.goes_on();
    wait_until("nothing of it is left", || package(name).is_none());
    assert!(!honest.is_ejected());
    assert_eq!(hello(TENANTS), Ok(RENT), "tenants live by themselves, too");
    others.end();
    drop(honest);
    assert_eq!(unload("tenants"), Ok(()));
    // One that fails is taken back by itself.
    let _ = unload(name);
    assert_eq!(unload("queues"), Ok(()));
    reason
}

#[track_caller]
fn loaded_package(name: &str) -> Arc<Package> {
    loaded(name);
    package(name).expect("it has registered")
}

/// Twice, so that what the directory grows by the first time does not count.
fn leaves_nothing(mut body: impl FnMut()) {
    body();
    let before = Level::settled();
    body();
    assert_eq!(Level::settled(), before);
}

/// The package is ejected for one of these reasons, and nothing comes of it.
fn harms_nobody(name: &'static str, is_greedy: bool, reasons: &[ExitReason]) {
    leaves_nothing(|| {
        let reason = endures(name, is_greedy, core_count());
        assert!(reasons.contains(&reason), "{name}: {reason}");
    });
}

#[ktest]
fn one_that_never_answers_with_its_strands() {
    harms_nobody("starves", false, &[ExitReason::Starved]);
}

#[ktest]
fn one_that_answers_with_a_foreign_strand() {
    harms_nobody("borrows", false, &[ExitReason::ForeignStrand]);
}

#[ktest]
fn one_that_answers_with_a_strand_on_another_core() {
    if core_count() > 1 {
        // Alone: one that shares its core loses it, now and then, to the very core that wants it, where it is right.
        leaves_nothing(|| assert_eq!(endures("doubles", true, 0), ExitReason::RunsElsewhere));
    }
}

#[ktest]
fn one_that_answers_with_a_strand_that_has_ended() {
    harms_nobody("exhumes", false, &[ExitReason::NoSuchStrand]);
}

#[ktest]
fn one_that_answers_with_a_strand_that_is_blocked() {
    harms_nobody("rouses", false, &[ExitReason::BlockedStrand]);
}

#[ktest]
fn one_that_panics_when_asked() {
    harms_nobody("stumbles", false, &[ExitReason::DomainGone]);
}

#[ktest]
fn one_that_loops_when_asked() {
    harms_nobody("dithers", false, &[ExitReason::DomainGone]);
}

#[ktest]
fn one_that_loops_when_told() {
    harms_nobody("broods", true, &[ExitReason::DomainGone]);
}

/// It resigns between the question and its answer: the strand that it answers with must not stay its own.
#[ktest]
fn one_that_resigns_when_asked() {
    harms_nobody("quits", true, &[ExitReason::Resigned]);
}

/// A strand of its own has its lock for ever: on a second core the package waits for it, and is late. With one core it
/// is asked no more, and can as little be unloaded as any spindle whose handler never returns.
#[ktest]
fn one_that_keeps_its_lock_for_ever() {
    if core_count() == 1 {
        return;
    }
    leaves_nothing(|| {
        let honest = loaded_package("queues");
        let others = Crowd::new(&honest, core_count(), false);
        let number = loaded_package("clutches").number();
        loaded("tenants");
        let tenants = guarded(Builder::new("test"), || {
            // Cut where they ask, they go on.
            assert_eq!(HELLO.raise(&Hello { number: TENANTS, core: ASK }), Ok(RENT));
        });
        wait_until("the package is ejected", || exit_of(number).is_some());
        others.goes_on();
        let _ = unload("clutches");
        assert_eq!(exit_of(number), Some(ExitReason::DomainGone));
        tenants.join();
        assert_eq!(unload("tenants"), Ok(()));
        others.goes_on();
        others.end();
        drop(honest);
        assert_eq!(unload("queues"), Ok(()));
    });
}

/// What it tries with cores and strands is refused, or does no harm: so it stays.
#[ktest]
fn one_that_meddles_with_cores_and_strands() {
    leaves_nothing(|| {
        let honest = loaded_package("queues");
        let others = Crowd::new(&honest, core_count(), false);
        let bad = loaded_package("meddles");
        loaded("tenants");
        let guests = Crowd::new(&bad, 3, true);
        for core in [0, ASK, 0, ASK] {
            assert_eq!(HELLO.raise(&Hello { number: TENANTS, core }), Ok(RENT));
        }
        guests.goes_on();
        others.goes_on();
        assert!(!bad.is_ejected() && !honest.is_ejected());
        let is_right = HELLO.raise(&Hello { number: 0, core: ASK_ONLY });
        assert_eq!(is_right, Ok(1), "what must be refused was");
        guests.end();
        drop(bad);
        assert_eq!(unload("tenants"), Ok(()));
        assert_eq!(unload("meddles"), Ok(()));
        others.goes_on();
        others.end();
        drop(honest);
        assert_eq!(unload("queues"), Ok(()));
    });
}

#[ktest]
fn one_that_grabs_what_it_can() {
    leaves_nothing(|| {
        let honest = loaded_package("queues");
        let others = Crowd::new(&honest, core_count(), false);
        loaded("grabs");
        let most = sched::package::registry::MOST_PACKAGES as u64;
        assert_eq!(hello(0), Ok(most - 1), "packages, and a thousand for each that should have been refused");
        assert!(super::load("starves").is_err(), "there is no room for one more");
        others.goes_on();
        assert_eq!(unload("grabs"), Ok(()));
        others.goes_on();
        others.end();
        drop(honest);
        assert_eq!(unload("queues"), Ok(()));
        assert!(Cpu::scheduler().packages().all().is_empty());
    });
}

/// Asks the package that is there.
fn ask(number: u64) -> u64 {
    HELLO.raise(&Hello { number, core: ASK_ONLY }).expect("the tenants are there")
}

/// Nobody else wants the cores on which its strands run its own code: they are taken from it all the same.
#[ktest]
fn one_that_ends_while_it_has_the_cores() {
    leaves_nothing(|| {
        let stays = loaded_package("stays");
        loaded("tenants");
        // One core for the test.
        let count = core_count() as u64 - 1;
        let tenants = guarded(Builder::new("test"), move || {
            assert_eq!(HELLO.raise(&Hello { number: count, core: ASK }), Ok(count * (count + 1) / 2));
        });
        wait_until("they are all inside", || ask(1_000) == count);
        stays.eject(ExitReason::Resigned, 0, 0);
        wait_until("its virtual processors are gone", || stays.is_gone());
        assert_eq!(ask(1_000), count, "they are inside still");
        ask(0);
        tenants.join();
        drop(stays);
        assert_eq!(unload("tenants"), Ok(()));
        assert_eq!(unload("stays"), Ok(()));
    });
}

/// More than was reserved for it goes to its own code for a while only, then to whoever else wants the core.
#[ktest]
fn one_that_overdraws_its_budget_in_its_own_code() {
    leaves_nothing(|| {
        let turns: Vec<_> = (0..core_count()).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let one = |core: usize| {
            let (turns, is_over) = (turns[core].clone(), is_over.clone());
            guarded(on(core), move || {
                while !is_over.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    sched::yield_now::<Cpu>();
                }
            })
        };
        let others: Vec<_> = (0..core_count()).map(one).collect();
        drop(loaded_package("overdraws"));
        loaded("tenants");
        let tenants = guarded(Builder::new("test"), || {
            assert_eq!(HELLO.raise(&Hello { number: 1, core: ASK }), Ok(1));
        });
        wait_until("it is inside", || ask(1_000) == 1);
        let seen: Vec<_> = turns.iter().map(|turns| turns.load(Ordering::Relaxed)).collect();
        let are_going_on =
            || turns.iter().zip(&seen).all(|(now, seen)| now.load(Ordering::Relaxed) > seen + 10);
        wait_until("somebody else runs on each core", are_going_on);
        assert_eq!(ask(1_000), 1, "it is inside still");
        ask(0);
        tenants.join();
        is_over.store(true, Ordering::Relaxed);
        others.into_iter().for_each(Handle::join);
        assert_eq!(unload("tenants"), Ok(()));
        assert_eq!(unload("overdraws"), Ok(()));
    });
}

/// It resigns between the question and its answer, on a core that nobody else wants: the strand that it answers with
/// does not stay its own.
#[ktest]
fn one_that_resigns_and_answers_has_no_core_left() {
    leaves_nothing(|| {
        let quits = loaded_package("quits");
        let last = core_count() - 1;
        let guests = Arc::new(spin::Mutex::new(None));
        let (package, place) = (quits.clone(), guests.clone());
        // Where it is made it runs, for that virtual processor is idle; and this test looks from core 0.
        guarded(on(last), move || *place.lock() = Some(Crowd::new(&package, 1, true))).join();
        guarded(on(0), move || {
            wait_until("its virtual processors are gone", || quits.is_gone());
        })
        .join();
        let guests = guests.lock().take().expect("they were made");
        guests.goes_on();
        guests.end();
        assert_eq!(unload("quits"), Ok(()));
    });
}

/// A strand that can go on is told of where somebody computes for ever; on another core there is nothing to do.
#[ktest]
fn nobody_waits_for_a_greedy_one_beside_an_idle_core() {
    if core_count() == 1 {
        return;
    }
    leaves_nothing(|| {
        let honest = loaded_package("queues");
        let greedy: Vec<_> = (0..core_count()).map(|_| Crowd::new(&honest, 1, true)).collect();
        let naps = Arc::new(AtomicUsize::new(0));
        let count = naps.clone();
        // Its naps are over while every core computes.
        let body = move || {
            for _ in 0..50 {
                sched::sleep_ns::<Cpu>(300_000);
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let napper = strands::spawn_managed(&honest, Builder::new("napper"), body).expect("there is room");
        guarded(on(0), move || {
            sched::sleep_ns::<Cpu>(10_000_000);
            // All but one that ends, wherever it is.
            let mut greedy = greedy;
            greedy.pop().expect("there is one").end();
            let seen = naps.load(Ordering::Relaxed);
            wait_until("it naps on", || naps.load(Ordering::Relaxed) > (seen + 5).min(49));
            greedy.into_iter().for_each(Crowd::end);
        })
        .join();
        napper.join();
        drop(honest);
        assert_eq!(unload("queues"), Ok(()));
    });
}

/// What the diners of `cthreads` answer to that number.
const fn dinner(number: u64) -> u64 {
    match number {
        0 => 100,
        1 => 20_100,
        2 => 6,
        count => 50 * count,
    }
}

#[ktest]
fn diners_on_all_cores() {
    leaves_nothing(|| {
        loaded("cthreads");
        loaded("diners");
        everywhere(|core| {
            for turn in 0..4 {
                let number = [0, 1, 2, 7][(core + turn) % 4];
                assert_eq!(hello(number), Ok(dinner(number)), "job {number}");
            }
        });
        // A strand is joined when it has left its spindle, a moment before it leaves its package.
        wait_until("all have left", || package("cthreads").is_some_and(|package| package.strands() == 0));
        assert_eq!(unload("diners"), Ok(()));
        assert_eq!(unload("cthreads"), Ok(()));
    });
}

/// While every core dines, this one is unloaded: what was not finished is an error, and nobody else notices.
fn leaves_the_table(name: &'static str) {
    leaves_nothing(|| {
        let honest = loaded_package("queues");
        let others = Crowd::new(&honest, core_count(), false);
        loaded("cthreads");
        loaded("diners");
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = is_gone.clone();
        everywhere(move |core| {
            if core == core_count() - 1 {
                sched::sleep_ns::<Cpu>(5_000_000);
                assert_eq!(unload(name), Ok(()));
                gone.store(true, Ordering::Relaxed);
                return;
            }
            for turn in 0.. {
                let number = [0, 1, 2, 7][(core + turn) % 4];
                let was_gone = gone.load(Ordering::Relaxed);
                match hello(number) {
                    Ok(answer) if answer == dinner(number) => assert!(!was_gone, "by whom?"),
                    // What the spindle says of an error, or nobody.
                    Ok(answer) => assert!(answer > u64::MAX - 1_000 || number == 2, "{answer} to {number}"),
                    Err(error) => assert_eq!(error, dispatcher::RaiseError::NoHandler),
                }
                if was_gone {
                    break;
                }
            }
        });
        others.goes_on();
        assert!(!honest.is_ejected());
        others.end();
        drop(honest);
        for name in ["diners", "cthreads", "queues"] {
            // One of them is gone.
            let _ = unload(name);
        }
        assert!(super::all().is_empty());
    });
}

#[ktest]
fn diners_leave_in_the_middle() {
    leaves_the_table("diners");
}

#[ktest]
fn cthreads_leaves_in_the_middle() {
    leaves_the_table("cthreads");
}
