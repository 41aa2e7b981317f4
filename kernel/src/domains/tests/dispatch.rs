//! Tests of what spindles do with the dispatcher: conditions, order, authority, contexts, and time bounds,
//! which those that misbehave do not keep.

use alloc::vec::Vec;

use dispatcher::{InstallError, Processor, RaiseError, event::GuardInfo, plan::PlanKind};
use sched::State;
use spindle::{
    Error,
    demo::{Guarded, Hello},
    installation::{Condition, Installation, KEY, MOST_GUARDS, MOST_WAITING, PREDICATE},
};

use super::super::{Domain, procedures::dispatch::handler};
use super::{UNLUCKY, all, handlers, hello, loaded, unload, wait_for_funerals};
use crate::{
    events::{GUARDED, HELLO},
    ktest::{Level, Random, core_count, everywhere, guarded, ktest, on, wait_until},
    strands::{Cpu, Handle},
};

/// Raises `Demo.Hello` with that in the place of the core.
fn hello_from(number: u64, core: u32) -> Result<u64, RaiseError> {
    HELLO.raise(&Hello { number, core })
}

#[ktest]
fn handlers_are_called_on_their_conditions_and_in_their_order() {
    let before = Level::settled();
    loaded("chooser");
    let info = HELLO.any().info::<Cpu>();
    assert_eq!(info.kind, PlanKind::Keyed);
    let guards = info.bindings.iter().flat_map(|binding| &binding.guards);
    assert_eq!(guards.filter(|guard| matches!(guard, GuardInfo::Predicate)).count(), 1);
    drop(info);
    everywhere(|_| {
        for number in 80..90 {
            assert_eq!(hello_from(number, 1), Ok(100 * number));
            assert_eq!(hello_from(number, 7), Ok(700 + number), "the last one's result");
        }
        assert_eq!(hello_from(5, 7), Ok(705));
        assert_eq!(hello_from(5, 6), Err(RaiseError::NoHandler));
    });
    assert_eq!(hello_from(200, 0), Ok(23_154), "first, before, itself, after, last");
    // These change what is installed, so each runs alone.
    for number in [1_001, 1_002, 1_003, 1_004, 1_006, 1_007, 1_000] {
        assert_eq!(hello_from(number, 0), Ok(1), "attempt {number}");
    }
    assert_eq!(hello_from(80, 1), Err(RaiseError::NoHandler), "it was replaced and removed");
    // Unloading does not wait for what waits in a queue, and loses none of its memory.
    (0..50).for_each(|number| assert_eq!(hello_from(number, 9), Err(RaiseError::Posted)));
    assert_eq!(unload("chooser"), Ok(()));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn contexts_are_kept_row_by_row() {
    const FINE: u64 = 0;
    const CONTEXT: u64 = Error::Context as u64;
    const MEMORY: u64 = Error::OutOfMemory as u64;
    const UNKNOWN: u64 = Error::UnknownBinding as u64;
    // Sleep, give way, allocate, raise, install and remove, remove what is not there, and wait for it.
    let table: [(&str, u32, [u64; 7]); 4] = [
        ("handler", 1_001, [FINE, FINE, FINE, FINE, FINE, UNKNOWN, UNKNOWN]),
        ("bounded handler", 1_002, [CONTEXT, CONTEXT, FINE, FINE, FINE, UNKNOWN, CONTEXT]),
        ("filter", 1_003, [FINE, FINE, FINE, FINE, FINE, UNKNOWN, UNKNOWN]),
        ("guard", 1_004, [CONTEXT, CONTEXT, MEMORY, CONTEXT, CONTEXT, CONTEXT, CONTEXT]),
    ];
    let before = Level::settled();
    loaded("contexts");
    for (place, core, row) in table {
        for (what, wanted) in (0..).zip(row) {
            assert_eq!(hello_from(what, core), Ok(wanted), "{place}, attempt {what}");
        }
    }
    // An asynchronous handler may do what any other may; its raiser is told nothing.
    for (what, wanted) in (0..).zip([FINE, FINE, FINE, FINE, FINE, UNKNOWN, UNKNOWN]) {
        assert_eq!(hello_from(what, 1_005), Err(RaiseError::Posted));
        wait_until("it was tried", || match hello_from(0, 1_006) {
            Ok(u64::MAX) => false,
            seen => {
                assert_eq!(seen, Ok(wanted), "asynchronous handler, attempt {what}");
                true
            }
        });
    }
    // The last column: each of them can be cut, and a guard that is cut counts as false.
    for (place, core, _) in table {
        if all().is_empty() {
            loaded("contexts");
        }
        let cut = if place == "guard" { RaiseError::NoHandler } else { RaiseError::Cut };
        assert_eq!(hello_from(99, core), Err(cut), "{place}");
        wait_for_funerals();
    }
    loaded("contexts");
    assert_eq!(hello_from(99, 1_005), Err(RaiseError::Posted));
    wait_for_funerals();
    assert_eq!(Level::settled(), before);
}

/// The spindle `overruns` has this number on each core at once, and once more on the first: all are cut.
#[track_caller]
fn is_late_with(number: u64) {
    let before = Level::settled();
    let domain = loaded("overruns");
    everywhere(|_| assert_eq!(hello(1), Ok(2)));
    let begun = Cpu::now_ns();
    let cut_on = |core: usize| {
        guarded(on(core), move || {
            let answer = hello(number);
            // Who was on the way when another had failed already finds it closed.
            assert!(matches!(answer, Err(RaiseError::Cut | RaiseError::NoHandler)), "{answer:?}");
            assert!(hello(number).is_err());
        })
    };
    let raisers: Vec<_> = (0..core_count()).chain([0]).map(cut_on).collect();
    raisers.into_iter().for_each(Handle::join);
    let took = Cpu::now_ns() - begun;
    log::info!("{number}: {} cores late with a bound of 100 ms, all on in {} us", core_count(), took / 1_000);
    assert!(!domain.is_open());
    drop(domain);
    wait_for_funerals();
    assert_eq!((hello(1), handlers()), (Err(RaiseError::NoHandler), 0));
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn a_bounded_handler_that_loops_is_cut() {
    is_late_with(UNLUCKY);
}

#[ktest]
fn a_bounded_handler_that_lives_in_calls_is_cut() {
    is_late_with(14);
}

#[ktest]
fn a_bounded_handler_that_raises_for_ever_is_cut() {
    is_late_with(15);
}

#[ktest]
fn a_guard_of_a_bounded_handler_that_loops_is_cut() {
    is_late_with(17);
}

/// It is preempted for one who needs the core for a while and then goes: without ticks of its own nobody
/// would see that it is late.
#[ktest]
fn a_bounded_handler_that_has_its_core_back_is_cut() {
    let before = Level::settled();
    loaded("overruns");
    let core = core_count() - 1;
    let late = guarded(on(core), || assert_eq!(hello(UNLUCKY), Err(RaiseError::Cut)));
    let other = guarded(on(core), || {
        let until = Cpu::now_ns() + 40_000_000;
        while Cpu::now_ns() < until {}
    });
    other.join();
    wait_until("it is cut", || late.strand().state() == State::Ended);
    late.join();
    wait_for_funerals();
    assert_eq!(Level::settled(), before);
}

#[ktest]
fn a_bounded_handler_must_not_sleep() {
    loaded("overruns");
    everywhere(|_| assert_eq!(hello(16), Ok(Error::Context as u64)));
    assert_eq!(unload("overruns"), Ok(()));
}

#[ktest]
fn handlers_that_loop_are_cut_when_their_domain_fails_elsewhere() {
    let before = Level::settled();
    for failing in 0..core_count() {
        let domain = loaded("lingers");
        // One for each core, alone there and so without ticks, and another one where it fails.
        let looping: Vec<_> = (0..core_count())
            .chain([failing])
            .map(|core| guarded(on(core), || assert_eq!(hello(666), Err(RaiseError::Cut))))
            .collect();
        let is_inside =
            |handle: &Handle| handle.strand().run_ns() > 0 || handle.strand().state() == State::Running;
        wait_until("all loop", || looping.iter().all(is_inside));
        guarded(on(failing), || assert_eq!(hello(UNLUCKY), Err(RaiseError::Cut))).join();
        let begun = Cpu::now_ns();
        looping.into_iter().for_each(Handle::join);
        log::info!("those that looped were found in {} us", (Cpu::now_ns() - begun) / 1_000);
        assert!(!domain.is_open());
        drop(domain);
        wait_for_funerals();
    }
    assert_eq!(Level::settled(), before);
}

fn ask(number: u64) -> Result<u64, RaiseError> {
    GUARDED.raise(&Guarded { number, core: 0 })
}

#[ktest]
fn an_owner_lets_in_on_his_terms() {
    let before = Level::settled();
    assert!(GUARDED.claim().is_none(), "the kernel has it");
    let domain = loaded("guest");
    let info = GUARDED.any().info::<Cpu>();
    let [own, guest] = &info.bindings[..] else { panic!("two handlers, not {:?}", info.bindings) };
    assert_eq!((own.domain, guest.domain), (None, Some(domain.id())));
    assert_eq!((&guest.guards[..], guest.bound_ns), (&[GuardInfo::Predicate][..], Some(200_000_000)));
    drop(info);
    // It would panic if an odd one came through.
    everywhere(|_| (0..100).for_each(|number| assert_eq!(ask(number), Ok(number + 1))));
    assert!(domain.is_open());
    // The owner answers when the guest is cut.
    assert_eq!(ask(1_000), Ok(1_001));
    assert!(!domain.is_open());
    drop(domain);
    wait_for_funerals();
    assert_eq!(ask(1_000), Ok(1_001));
    assert_eq!(Level::settled(), before);
}

/// A good wish of that domain's, which is granted and never called.
fn wish(domain: &Domain) -> Installation {
    let code = domain.place().0 as usize;
    let mut wish = Installation::new(1, code, 0);
    wish.guards[0] = Condition { kind: KEY, place: 0, width: 8, value: 1 };
    wish.guards[1] = Condition { kind: PREDICATE, place: code, width: 0, value: 0 };
    wish.guard_count = 2;
    wish
}

#[ktest]
fn a_wish_that_lies_is_refused() {
    let before = Level::settled();
    let domain = loaded("echo");
    let (start, size) = domain.place();
    let (start, end) = (start as usize, start as usize + size);
    let refused = |spoil: &mut dyn FnMut(&mut Installation)| {
        let mut wish = wish(&domain);
        spoil(&mut wish);
        handler(&domain, &wish).err()
    };
    assert_eq!(refused(&mut |_| ()), None);
    let bad = Some(Error::BadArgument);
    for code in [0, 1, start - 1, end, usize::MAX, handler as *const () as usize] {
        assert_eq!(refused(&mut |wish| wish.code = code), bad, "code at {code:#x}");
        assert_eq!(refused(&mut |wish| wish.guards[1].place = code), bad, "a predicate at {code:#x}");
    }
    assert_eq!(refused(&mut |wish| wish.guard_count = MOST_GUARDS as u64 + 1), Some(Error::Limit));
    assert_eq!(refused(&mut |wish| wish.guard_count = u64::MAX), Some(Error::Limit));
    assert_eq!(refused(&mut |wish| wish.guard_count = 3), bad, "the third is of no kind");
    assert_eq!(refused(&mut |wish| wish.guards[0].kind = 3), bad);
    assert_eq!(refused(&mut |wish| wish.guards[0].place = 1 << 32), bad);
    assert_eq!(refused(&mut |wish| wish.guards[0].width = 1 << 32), bad);
    assert_eq!(refused(&mut |wish| wish.rank = 3), bad);
    assert_eq!(refused(&mut |wish| wish.is_filter = 2), bad);
    assert_eq!(refused(&mut |wish| wish.drops = 2), bad);
    assert_eq!(refused(&mut |wish| wish.capacity = MOST_WAITING + 1), Some(Error::Limit));
    // Whether a key fits the arguments the event knows.
    for (place, width) in [(16, 1), (15, 2), (9, 8), (0, 3), (0, 0), (0, 16), (u32::MAX as usize, 8)] {
        let mut wish = wish(&domain);
        (wish.guards[0].place, wish.guards[0].width) = (place, width);
        let handler = handler(&domain, &wish).expect("its form is right");
        // SAFETY: it is refused, so nobody calls it.
        let installed = unsafe { HELLO.install_raw(handler) };
        assert_eq!(installed, Err(InstallError::BadKey), "{width} bytes at {place}");
    }
    // Words that mean anything are refused or granted, and nothing worse.
    let mut random = Random::new(3);
    let granted = (0..2_000).filter(|_| {
        refused(&mut |wish| {
            let mut any = || [0, 1, 2, 8, u64::MAX, random.next()][random.below(6)];
            match any() % 8 {
                0 => wish.rank = any(),
                1 => (wish.before, wish.after) = (any(), any()),
                2 => wish.bound_ns = any(),
                3 => (wish.capacity, wish.core) = (any(), any()),
                4 => wish.guard_count = any(),
                5 => wish.guards[0].kind = any(),
                6 => wish.code = any() as usize,
                _ => wish.guards[1].value = any(),
            }
        })
        .is_none()
    });
    let granted = granted.count();
    assert!((1..2_000).contains(&granted), "{granted} granted");
    drop(domain);
    assert_eq!(unload("echo"), Ok(()));
    assert_eq!(Level::settled(), before);
}
