//! What raises see: the arguments, in which handlers write down that they were called, and the judgement
//! over what they wrote.

use alloc::{format, string::String, sync::Arc};
use core::{
    array,
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering},
};

use dispatcher::{Processor, RaiseError};

use super::{
    DEEPEST, INTRINSIC, Storm, add,
    unit::{Condition, EVENTS, Life, PORTS, Place, REPLACED, Stand, UNITS, WIDEST, of_event, unit_order},
};
use crate::Dice;

/// How long a handler runs at most without sleeping, in nanoseconds.
const LONGEST_STAY_NS: usize = 2_000_000;

/// The arguments of a raise.
pub(super) struct Args {
    /// On this, handlers are keyed.
    pub(super) port: u64,
    core: u32,
    depth: u32,
    /// For what happens in handlers.
    dice: RefCell<Dice>,
    has_slept: Cell<bool>,
    /// Handlers that were called.
    calls: Cell<u64>,
    /// Of each handler the number of the change that it came with; 0 if it was not called.
    seen: [[Cell<u64>; WIDEST]; UNITS],
    /// Of each unit when it was called last, counted in calls.
    turns: [Cell<u64>; UNITS],
    /// Of each unit, after a sleep, the change before which all had been removed by then.
    woke: [Cell<u64>; UNITS],
    /// What went wrong in a handler.
    complaint: RefCell<Option<String>>,
}

/// A closure that can tell whether it was freed.
pub(super) struct Witness<P: Processor> {
    storm: Arc<Storm<P>>,
    at: usize,
    member: usize,
    number: u64,
    life: Arc<Life>,
    citizens: Arc<AtomicU64>,
    /// What stands here while it lives.
    pledge: AtomicU64,
}

impl<P: Processor> Drop for Witness<P> {
    fn drop(&mut self) {
        // Relaxed: only a mistake reads it afterwards.
        self.pledge.store(0, Ordering::Relaxed);
        self.citizens.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: Processor> Witness<P> {
    pub(super) fn new(
        storm: &Arc<Storm<P>>,
        at: usize,
        member: usize,
        number: u64,
        life: &Arc<Life>,
    ) -> Self {
        storm.citizens.fetch_add(1, Ordering::Relaxed);
        Self {
            storm: storm.clone(),
            at,
            member,
            number,
            life: life.clone(),
            citizens: storm.citizens.clone(),
            pledge: AtomicU64::new(Self::pledge(at, number)),
        }
    }

    const fn pledge(at: usize, number: u64) -> u64 {
        0x5717_0000_0000_0000 | (at as u64) << 32 | number
    }

    /// The handler.
    pub(super) fn answer(&self, args: &Args) -> u64 {
        // Both before and after whatever happens in here.
        self.look(args);
        let seen = &args.seen[self.at][self.member];
        if self.number < args.woke[self.at].get() {
            args.complain(|| {
                format!("a handler of unit {} was called after it had gone in a sleep", self.at)
            });
        }
        if seen.replace(self.number) != 0 {
            args.complain(|| format!("handler {} of unit {} was called twice", self.member, self.at));
        }
        args.calls.set(args.calls.get() + 1);
        args.turns[self.at].set(args.calls.get());
        self.happen(args);
        self.look(args);
        1
    }

    fn look(&self, args: &Args) {
        let pledge = self.pledge.load(Ordering::Relaxed);
        if pledge != Self::pledge(self.at, self.number) {
            args.complain(|| format!("a closure of unit {} was freed while it ran: {pledge:#x}", self.at));
        }
        // Acquire: pairs with the Release of whoever drained it.
        if self.life.is_over.load(Ordering::Acquire) {
            args.complain(|| format!("a handler of unit {} ran after it was drained", self.at));
        }
    }

    /// What befalls a strand inside of a handler.
    fn happen(&self, args: &Args) {
        let (storm, core) = (&self.storm, args.core);
        let roll = args.dice.borrow_mut().below(96);
        match roll {
            0 if args.depth == 0 => {
                // At times for longer than a grace period, where somebody may drain meanwhile: he must wait.
                let may_drain = storm.units[self.at].may_drain();
                let is_long = may_drain && args.dice.borrow_mut().one_in(4);
                let naps = if is_long { 400 } else { 1 };
                let has_blocked = (0..naps).fold(false, |has, _| storm.kernel.pause() || has);
                args.wake(storm, has_blocked);
            }
            1..4 if args.depth < DEEPEST => {
                let mut dice = Dice::new(args.dice.borrow_mut().next());
                let event = dice.below(EVENTS);
                // A sleep in there was a sleep of this raise too.
                if storm.raise(event, core, args.depth + 1, &mut dice) {
                    args.wake(storm, false);
                }
            }
            4 => storm.change(core, &mut args.dice.borrow_mut(), false),
            5 => storm.drain_oneself(self.at, self.member, self.number, core),
            6..10 => storm.kernel.breathe(),
            // Long enough for a grace period to end, if this raise did not hold it up.
            10 => {
                let until = P::now_ns() + args.dice.borrow_mut().below(LONGEST_STAY_NS) as u64;
                while P::now_ns() < until {
                    storm.kernel.breathe();
                }
            }
            _ => {}
        }
    }
}

impl Args {
    /// The raise may have slept, in which case it may miss what went meanwhile. If it surely has, it must.
    fn wake<P: Processor>(&self, storm: &Storm<P>, has_blocked: bool) {
        self.has_slept.set(true);
        if has_blocked {
            self.woke.iter().zip(&storm.units).for_each(|(woke, unit)| woke.set(unit.gone()));
        }
    }

    fn complain(&self, what: impl FnOnce() -> String) {
        self.complaint.borrow_mut().get_or_insert_with(what);
    }
}

impl<P: Processor> Storm<P> {
    /// Raises, and judges what was seen. Says whether it slept.
    pub(super) fn raise(&self, event: usize, core: u32, depth: u32, dice: &mut Dice) -> bool {
        let args = Args {
            port: dice.next() % PORTS,
            core,
            depth,
            dice: RefCell::new(Dice::new(dice.next())),
            has_slept: Cell::new(false),
            calls: Cell::new(0),
            seen: array::from_fn(|_| array::from_fn(|_| Cell::new(0))),
            turns: array::from_fn(|_| Cell::new(0)),
            woke: array::from_fn(|_| Cell::new(0)),
            complaint: RefCell::new(None),
        };
        let before: [Stand; UNITS] = array::from_fn(|at| self.units[at].settled());
        let result = self.events[event].raise(&args);
        let after: [Stand; UNITS] = array::from_fn(|at| self.units[at].begun());
        let tally = &self.tallies[core as usize];
        add(&tally.raises);
        tally.calls.fetch_add(args.calls.get(), Ordering::Relaxed);
        if args.has_slept.get() {
            add(&tally.slept);
        }
        let complaint = args.complaint.take().or_else(|| {
            let unit = of_event(event)
                .find_map(|at| args.judge(at, self.units[at].condition, before[at], after[at]));
            unit.or_else(|| args.judge_order(event)).or_else(|| args.judge_result(event, result))
        });
        if let Some(complaint) = complaint {
            self.wrong(core, || complaint);
        }
        args.has_slept.get()
    }
}

impl Args {
    /// What is wrong with what was seen of a unit, if anything.
    fn judge(&self, at: usize, condition: Condition, before: Stand, after: Stand) -> Option<String> {
        let event = (0..EVENTS).find(|event| of_event(*event).contains(&at)).unwrap_or(EVENTS);
        let width = if event == super::unit::GROUPED { WIDEST } else { 1 };
        let seen: [u64; WIDEST] = array::from_fn(|member| self.seen[at][member].get());
        let (seen, slept) = (&seen[..width], self.has_slept.get());
        let told = |what: &str| {
            Some(format!("unit {at}, {what}: saw {seen:?}, between {before:?} and {after:?}, slept: {slept}"))
        };
        let number = *seen.iter().max()?;
        if !seen.iter().all(|other| *other == number || (slept && *other == 0)) {
            return told("not all of one change");
        }
        if !condition.holds(self.port) {
            return if number == 0 { None } else { told("its guard does not hold") };
        }
        if number == 0 {
            let may_be_missing = if event == REPLACED {
                false
            } else {
                !before.is_there || !after.is_there || after.number - before.number > 1
            };
            return if may_be_missing || slept { None } else { told("missing") };
        }
        // Of the changes between nobody knows any more what each was, but this one came with a handler.
        let is_possible = match number {
            _ if number == before.number => before.is_there,
            _ if number == after.number => after.is_there,
            _ => before.number < number && number < after.number,
        };
        if is_possible { None } else { told("out of its time") }
    }

    /// Is anything wrong with the order of the units that have a place?
    fn judge_order(&self, event: usize) -> Option<String> {
        if event != REPLACED || self.has_slept.get() {
            return None;
        }
        let turn = |wanted| {
            of_event(REPLACED).find(|at| unit_order(*at) == Some(wanted)).map(|at| self.turns[at].get())
        };
        let order =
            [Place::First, Place::Third, Place::Fourth, Place::BeforeSecond, Place::Second, Place::Last];
        let turns = order.map(turn);
        // The third and the fourth have no wish; the second waits for one that came after them.
        (!turns.is_sorted()).then(|| format!("called in the order {turns:?}"))
    }

    fn judge_result(&self, event: usize, result: Result<u64, RaiseError>) -> Option<String> {
        let calls = self.calls.get();
        let wanted = match (event, calls) {
            (REPLACED, _) => Ok(INTRINSIC + calls),
            (_, 0) => Err(RaiseError::NoHandler),
            _ => Ok(calls),
        };
        (result != wanted).then(|| format!("event {event} brought {result:?}, not {wanted:?}"))
    }
}
