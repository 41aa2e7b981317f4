//! Installs handlers on `Demo.Hello` in every way that the kit has, and checks itself what comes of it: from
//! 1,000 on a number names something to try, and the answer is one if all went as it should.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use spindle::{
    Binding, Error, Handler, OnFull, Order, Place, Posting,
    demo::{Guarded, Hello},
    filter, handler, post, raise, remove, remove_drained, strand,
};

/// The decimal digits of who was called, in this order.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Installs them all.
pub fn start() -> Result<(), Error> {
    let eighty = multiple(100, 80).install()?;
    for number in 81..90 {
        multiple(100, number).install()?;
    }
    handler(|hello: &Hello| hello.number + 700).when(|hello| hello.core == 7).install()?;

    let first = digit(1).install()?;
    digit(2).order(Order::First).install()?;
    digit(3).order(Order::Before(first)).install()?;
    digit(4).order(Order::Last).install()?;
    digit(5).order(Order::After(first)).install()?;

    handler(move |_| attempt(replaces(eighty))).key(number, 1_000).install()?;
    handler(|_| attempt(filters())).key(number, 1_001).install()?;
    handler(|_| attempt(is_refused())).key(number, 1_002).install()?;
    handler(|_| attempt(drops_what_is_drained())).key(number, 1_003).install()?;
    let outer = handler(|_| raised(1_005).unwrap_or(0)).key(number, 1_004).install()?;
    handler(move |_| u64::from(remove_drained(outer) == Err(Error::Context))).key(number, 1_005).install()?;
    handler(|_| attempt(is_told_later())).key(number, 1_006).install()?;
    handler(|_| attempt(queues_fill_up())).key(number, 1_007).install()?;
    // So slow that much waits for it when the spindle is unloaded.
    handler(|_: &Hello| strand::sleep(5_000_000).is_ok().into())
        .key(|hello| &hello.core, 9)
        .posted(Posting { place: Place::Core(0), capacity: 64, on_full: OnFull::Drop })
        .install()?;
    Ok(())
}

fn number(hello: &Hello) -> &u64 {
    &hello.number
}

/// A handler of one number, which answers with so many times that.
fn multiple(times: u64, of: u64) -> Handler<Hello> {
    handler(move |hello: &Hello| hello.number * times).key(number, of)
}

/// One of those that are called for 200, each with a digit of its own.
fn digit(digit: u64) -> Handler<Hello> {
    handler(move |_| {
        let before = CALLS.load(Ordering::Relaxed);
        CALLS.store(before * 10 + digit, Ordering::Relaxed);
        before * 10 + digit
    })
    .key(number, 200)
}

fn raised(number: u64) -> Result<u64, Error> {
    raise(&Hello { number, core: 0 })
}

/// One if all that it checked was so.
fn attempt(checked: Result<bool, Error>) -> u64 {
    u64::from(checked == Ok(true))
}

fn replaces(eighty: Binding<Hello>) -> Result<bool, Error> {
    let other = multiple(1_000, 80).replace(eighty)?;
    let is_replaced = raised(80)? == 80_000;
    let is_gone = remove(eighty) == Err(Error::UnknownBinding);
    remove_drained(other)?;
    let is_drained = raised(80) == Err(Error::NoHandler);
    let cannot_be_replaced = multiple(1, 80).replace(other) == Err(Error::UnknownBinding);
    Ok(is_replaced && is_gone && is_drained && cannot_be_replaced)
}

fn filters() -> Result<bool, Error> {
    let was = filter(|hello: &mut Hello| {
        hello.number = 81;
        0
    })
    .key(number, 300)
    .order(Order::First)
    .install()?;
    let hello = Hello { number: 300, core: 0 };
    let answer = raise(&hello)?;
    remove_drained(was)?;
    Ok(answer == 8_100 && hello.number == 300 && raise(&hello) == Err(Error::NoHandler))
}

fn is_refused() -> Result<bool, Error> {
    let gone = multiple(1, 90).install()?;
    remove(gone)?;
    let by_one_that_is_gone = multiple(1, 90).order(Order::After(gone)).install();
    // Whoever is first cannot come after the last.
    let last = multiple(1, 90).order(Order::Last).install()?;
    let in_a_circle = multiple(1, 90).order(Order::First).order(Order::After(last)).install();
    remove(last)?;
    // Its owner has a rule against that one, and none against this.
    let against_a_rule = filter(|guarded: &mut Guarded| guarded.number).install();
    let by_the_rules = handler(|guarded: &Guarded| guarded.number + 2).install()?;
    let terms = [raise(&Guarded { number: 6, core: 0 })?, raise(&Guarded { number: 7, core: 0 })?];
    remove(by_the_rules)?;
    Ok(by_one_that_is_gone == Err(Error::UnknownBinding)
        && in_a_circle == Err(Error::Order)
        && against_a_rule == Err(Error::Denied)
        && terms == [8, 8])
}

fn drops_what_is_drained() -> Result<bool, Error> {
    let token = Arc::new(());
    let (one, other) = (token.clone(), token.clone());
    let holder = handler(move |_: &Hello| Arc::strong_count(&one) as u64)
        .when(move |hello| hello.number == 91 && Arc::strong_count(&other) > 0)
        .install()?;
    let held = raised(91)?;
    remove_drained(holder)?;
    Ok(held == 3 && Arc::strong_count(&token) == 1)
}

/// The number that was told last, plus one.
static TOLD: AtomicU64 = AtomicU64::new(0);
static GUESTS: AtomicU64 = AtomicU64::new(0);

fn is_told_later() -> Result<bool, Error> {
    let posting = Posting { place: Place::Here, capacity: 128, on_full: OnFull::Refuse };
    TOLD.store(2_000, Ordering::Relaxed);
    GUESTS.store(0, Ordering::Relaxed);
    let told = handler(|hello: &Hello| {
        // None is told twice, left out, or told before another.
        let _ = TOLD.compare_exchange(hello.number, hello.number + 1, Ordering::Relaxed, Ordering::Relaxed);
        0
    })
    .when(|hello| (2_000..2_100).contains(&hello.number))
    .posted(posting)
    .install()?;
    let guest = handler(|_: &Guarded| GUESTS.fetch_add(1, Ordering::Relaxed)).install()?;
    for number in 2_000..2_100 {
        if raised(number) != Err(Error::Posted) {
            return Ok(false);
        }
    }
    for number in 0..60 {
        post(&Guarded { number, core: 0 })?;
    }
    while TOLD.load(Ordering::Relaxed) < 2_100 || GUESTS.load(Ordering::Relaxed) < 30 {
        strand::sleep(100_000)?;
    }
    remove_drained(told)?;
    remove_drained(guest)?;
    let takes_none = post(&Hello { number: 1, core: 0 }) == Err(Error::NoQueue);
    Ok(takes_none && raised(2_000) == Err(Error::NoHandler))
}

fn queues_fill_up() -> Result<bool, Error> {
    let slow = |on_full, capacity| {
        handler(|_: &Hello| strand::sleep(1_000_000).is_ok().into()).key(number, 92).posted(Posting {
            place: Place::Here,
            capacity,
            on_full,
        })
    };
    let refusing = slow(OnFull::Refuse, 4).install()?;
    let is_refused = (0..10_000).any(|_| raised(92) == Err(Error::Full));
    let dropping = slow(OnFull::Drop, 4).replace(refusing)?;
    let is_dropped = (0..100).all(|_| raised(92) == Err(Error::Posted));
    remove_drained(dropping)?;
    let wants_too_much = slow(OnFull::Drop, 1_025).install() == Err(Error::Limit);
    let nowhere = Posting { place: Place::Core(1_000), capacity: 1, on_full: OnFull::Drop };
    let is_nowhere = handler(|_: &Hello| 0).posted(nowhere).install() == Err(Error::BadArgument);
    let changes = filter(|_: &mut Hello| 0).posted(Posting { place: Place::Here, ..nowhere }).install();
    Ok(is_refused && is_dropped && wants_too_much && is_nowhere && changes == Err(Error::BadArgument))
}
