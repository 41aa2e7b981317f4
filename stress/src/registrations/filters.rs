//! Filters in the storm: pairs that come and go in one step, of which one takes away what the other adds.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use dispatcher::{BindingId, Event, Handler, Order, Processor, Transaction};

use super::{Storm, add};
use crate::Dice;

/// How many pairs there are.
const PAIRS: usize = 3;

/// The arguments that filters change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Passing {
    sum: u64,
    passed: u64,
}

const FRESH: Passing = Passing { sum: 7, passed: 0 };

pub(super) struct Filters<P> {
    event: Event<Passing, Passing, P>,
    pairs: [spin::Mutex<Option<[BindingId; 2]>>; PAIRS],
    /// Stands last and tells what is left.
    last: spin::Mutex<Option<BindingId>>,
}

/// One that is counted while it lives.
struct Citizen(Arc<AtomicU64>);

impl Citizen {
    fn new(citizens: &Arc<AtomicU64>) -> Self {
        citizens.fetch_add(1, Ordering::Relaxed);
        Self(citizens.clone())
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: Processor> Filters<P> {
    pub(super) fn new() -> Self {
        Self {
            event: Event::new("Storm.Filtered", None).open(),
            pairs: [const { spin::Mutex::new(None) }; PAIRS],
            last: spin::Mutex::new(None),
        }
    }

    pub(super) fn begin(&self, storm: &Storm<P>) -> Result<(), String> {
        let citizen = Citizen::new(&storm.citizens);
        let tell = Handler::trusted(move |passing: &Passing| {
            let _still_here = &citizen;
            *passing
        });
        let id = self.event.install(tell.order(Order::Last));
        *self.last.lock() = Some(id.map_err(|why| format!("the last filter: {why}"))?);
        Ok(())
    }

    pub(super) fn end(&self, storm: &Storm<P>) {
        let pairs = self.pairs.iter().filter_map(|pair| pair.lock().take()).flatten();
        for id in pairs.chain(self.last.lock().take()).collect::<Vec<_>>() {
            if let Err(why) = self.event.remove(id) {
                storm.wrong(0, || format!("at the end filter {id} could not be removed: {why}"));
            }
        }
    }

    /// Whole pairs have passed it, and its own arguments are as they were.
    pub(super) fn raise(&self, storm: &Storm<P>, core: u32) {
        let args = FRESH;
        let result = self.event.raise(&args);
        add(&storm.tallies[core as usize].raises);
        let is_right = result.is_ok_and(|left| left.sum == FRESH.sum && left.passed.is_multiple_of(2));
        if !is_right || args != FRESH {
            storm.wrong(core, || format!("half a pair of filters: {result:?}, the raiser's own {args:?}"));
        }
    }

    /// Brings a pair, replaces it or takes it away.
    pub(super) fn change(&self, storm: &Storm<P>, core: u32, dice: &mut Dice) {
        let Some(mut pair) = self.pairs[dice.below(PAIRS)].try_lock() else { return };
        let by = dice.next();
        let filter = |by: u64| {
            let citizen = Citizen::new(&storm.citizens);
            Handler::filter(move |passing: &mut Passing| {
                let _still_here = &citizen;
                *passing = Passing { sum: passing.sum.wrapping_add(by), passed: passing.passed + 1 };
                *passing
            })
        };
        let (one, other) = (filter(by), filter(by.wrapping_neg()));
        let tally = &storm.tallies[core as usize];
        let (transaction, counter) = match *pair {
            None => {
                (Transaction::new().install(&self.event, one).install(&self.event, other), &tally.installed)
            }
            Some([first, second]) if dice.one_in(2) => {
                let both = Transaction::new().replace(&self.event, first, one);
                (both.replace(&self.event, second, other), &tally.replaced)
            }
            Some([first, second]) => {
                (Transaction::new().remove(&self.event, first).remove(&self.event, second), &tally.removed)
            }
        };
        match transaction.commit() {
            Ok(ids) => {
                *pair = ids.try_into().ok();
                add(counter);
            }
            Err(why) => storm.wrong(core, || format!("a pair of filters: {why}")),
        }
    }
}
