//! Units: handlers of one event that are changed together.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::{
    Authority, BindingId, Guard, Handler, InstallError, Order, Processor, Transaction, event::Failure, key,
};

use super::{
    Storm, add,
    witness::{Args, Witness},
};
use crate::Dice;

/// How many events there are. Of the first there is one unit, of one handler.
pub(super) const EVENTS: usize = 4;
/// Each unit of this one has one handler, which is only ever replaced.
pub(super) const REPLACED: usize = 1;
/// Units of three handlers.
pub(super) const GROUPED: usize = 2;
/// Units of one handler behind a guard.
pub(super) const KEYED: usize = 3;

/// How many units each of the events has.
const COUNTS: [usize; EVENTS] = [1, 6, 4, 14];
/// How many units there are.
pub(super) const UNITS: usize = 25;
/// How many handlers a unit has at most.
pub(super) const WIDEST: usize = 3;
/// Different values of the arguments' key.
pub(super) const PORTS: u64 = 6;
/// A binding that never was.
const NOBODY: BindingId = BindingId::from_number(u64::MAX);

/// When a unit's handlers are called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    /// The port is this one, by a key.
    Port(u64),
    /// The port is below this one, by a predicate.
    Below(u64),
}

impl Condition {
    pub(super) fn holds(self, port: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Port(own) => own == port,
            Self::Below(limit) => port < limit,
        }
    }
}

/// What there is of a unit after its `number`th change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stand {
    pub(super) number: u64,
    pub(super) is_there: bool,
}

impl Stand {
    const fn pack(self) -> u64 {
        self.number << 1 | self.is_there as u64
    }

    const fn unpack(word: u64) -> Self {
        Self { number: word >> 1, is_there: word & 1 != 0 }
    }
}

pub(super) struct Unit {
    pub(super) event: usize,
    pub(super) width: usize,
    pub(super) condition: Condition,
    /// Who has it changes the unit. Nobody waits for it, so it may be held while waiting.
    held: spin::Mutex<Option<Held>>,
    begun: AtomicU64,
    settled: AtomicU64,
    /// What came with changes before this one has been removed.
    gone: AtomicU64,
}

/// What is installed of a unit.
struct Held {
    ids: Vec<BindingId>,
    number: u64,
    life: Arc<Life>,
}

/// Of the handlers that came with one change.
#[derive(Default)]
pub(super) struct Life {
    /// They were drained: none may be running.
    pub(super) is_over: AtomicBool,
}

/// What can be done to a unit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Install,
    Remove,
    Drain,
    Replace,
    /// Not done: a step of the transaction is impossible.
    Fail,
}

pub(super) fn units() -> [Unit; UNITS] {
    let mut next =
        COUNTS.iter().enumerate().flat_map(|(event, count)| (0..*count).map(move |at| (event, at)));
    core::array::from_fn(|_| {
        let (event, at) = next.next().expect("the counts add up");
        let condition = match (event, at) {
            (KEYED, 0) => Condition::Always,
            (KEYED, 1) => Condition::Below(PORTS / 2),
            (KEYED, at) => Condition::Port(at as u64 % PORTS),
            _ => Condition::Always,
        };
        Unit {
            event,
            width: if event == GROUPED { WIDEST } else { 1 },
            condition,
            held: spin::Mutex::new(None),
            begun: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            gone: AtomicU64::new(0),
        }
    })
}

/// The units of an event.
pub(super) fn of_event(event: usize) -> core::ops::Range<usize> {
    let first = COUNTS[..event].iter().sum();
    first..first + COUNTS[event]
}

impl Unit {
    /// Is it one that is drained at times?
    pub(super) fn may_drain(&self) -> bool {
        self.width == 1 && self.event != REPLACED
    }

    /// The last change that has returned.
    pub(super) fn settled(&self) -> Stand {
        // Acquire: pairs with the Release in `change`; what was published before is seen by a raise that
        // comes after.
        Stand::unpack(self.settled.load(Ordering::Acquire))
    }

    /// The last change that has begun.
    pub(super) fn begun(&self) -> Stand {
        // Relaxed: whoever saw a plan saw what was stored before it was published.
        Stand::unpack(self.begun.load(Ordering::Relaxed))
    }

    /// The number before which all has been removed.
    pub(super) fn gone(&self) -> u64 {
        // Acquire: pairs with the Release below; a raise that slept finds the mark of what was removed.
        self.gone.load(Ordering::Acquire)
    }

    /// Makes a change that leaves the unit so, with nothing of it but what comes by this change.
    fn change<T, E>(&self, is_there: bool, change: impl FnOnce(u64) -> Result<T, E>) -> Result<T, E> {
        let done = self.show(is_there, change)?;
        self.forget();
        Ok(done)
    }

    /// Makes a change after which raises see the unit so.
    fn show<T, E>(&self, is_there: bool, change: impl FnOnce(u64) -> Result<T, E>) -> Result<T, E> {
        let next = Stand { number: self.begun().number + 1, is_there };
        // Relaxed: the plan is published after it.
        self.begun.store(next.pack(), Ordering::Relaxed);
        let result = change(next.number)?;
        // Release: pairs with the Acquire in `settled`.
        self.settled.store(next.pack(), Ordering::Release);
        Ok(result)
    }

    /// All that came before the last change has been removed.
    fn forget(&self) {
        // Release: pairs with the Acquire in `gone`.
        self.gone.store(self.begun().number, Ordering::Release);
    }
}

impl<P: Processor> Storm<P> {
    /// Installs what is there from the start: each of the units that are only replaced.
    pub(super) fn begin(self: &Arc<Self>) -> Result<(), String> {
        for at in of_event(REPLACED) {
            self.install(at).map_err(|why| format!("unit {at} could not be installed: {why}"))?;
        }
        self.filters.begin(self)
    }

    /// Removes everything, once nobody raises any more.
    pub(super) fn end(&self) {
        for unit in &self.units {
            let held = unit.held.lock().take();
            for id in held.iter().flat_map(|held| &held.ids) {
                if let Err(why) = self.events[unit.event].remove(*id) {
                    self.wrong(0, || format!("at the end {id} could not be removed: {why}"));
                }
            }
        }
        self.filters.end(self);
    }

    /// Changes a unit at random, if nobody else is changing it. `may_wait`: not from a handler.
    pub(super) fn change(self: &Arc<Self>, core: u32, dice: &mut Dice, may_wait: bool) {
        let at = dice.below(UNITS);
        let unit = &self.units[at];
        let Some(mut held) = unit.held.try_lock() else { return };
        let act = match (unit.event, &*held) {
            (REPLACED, _) => dice.of(&[Act::Replace, Act::Replace, Act::Replace, Act::Fail]),
            (_, None) => Act::Install,
            (_, Some(_)) => dice.of(&[
                Act::Remove,
                if may_wait && unit.may_drain() { Act::Drain } else { Act::Remove },
                if may_wait && unit.may_drain() { Act::Drain } else { Act::Remove },
                Act::Replace,
                Act::Replace,
                Act::Fail,
            ]),
        };
        let result = match held.take() {
            None => self.bring(at, dice).map(Some),
            Some(own) => self.treat(at, own, act, dice),
        };
        let tally = &self.tallies[core as usize];
        match result {
            Ok(now) => {
                *held = now;
                let counter = match act {
                    Act::Install => &tally.installed,
                    Act::Remove => &tally.removed,
                    Act::Drain => &tally.drained,
                    Act::Replace => &tally.replaced,
                    Act::Fail => &tally.refused,
                };
                add(counter);
            }
            Err(why) => self.wrong(core, || format!("unit {at} could not be changed: {why}")),
        }
    }

    /// Hides a unit behind a guard that never holds, and then removes it. For the owner of its event.
    pub(super) fn veil(&self, authorities: &[Authority<'_, Args, u64, P>], dice: &mut Dice) {
        let at = dice.below(UNITS);
        let unit = &self.units[at];
        let Some(mut held) = unit.held.try_lock() else { return };
        if !unit.may_drain() {
            return;
        }
        let Some(own) = held.take() else { return };
        let authority = &authorities[unit.event];
        let veil = |_| authority.impose(own.ids[0], Guard::predicate(|_: &Args| false));
        // In between it is there for a raise that slept, which has the plan without the guard.
        let done = unit.show(false, veil).and_then(|_| authority.remove(own.ids[0]));
        match done {
            Ok(()) => {
                unit.forget();
                add(&self.tallies[0].removed);
            }
            Err(why) => self.wrong(0, || format!("unit {at} could not be hidden: {why}")),
        }
    }

    fn install(self: &Arc<Self>, at: usize) -> Result<(), String> {
        let held = self.bring(at, &mut Dice::new(at as u64))?;
        *self.units[at].held.lock() = Some(held);
        Ok(())
    }

    /// Installs a unit.
    fn bring(self: &Arc<Self>, at: usize, dice: &mut Dice) -> Result<Held, String> {
        let unit = &self.units[at];
        let event = &self.events[unit.event];
        let life = Arc::new(Life::default());
        let done = unit.change(true, |number| {
            let handler = |member| self.handler(at, member, number, &life);
            let ids = if unit.width == 1 && dice.one_in(2) {
                event.install(handler(0)).map(|id| [id].into()).map_err(one)
            } else {
                let mut all = Transaction::new();
                for member in 0..unit.width {
                    all = all.install(event, handler(member));
                }
                all.commit()
            };
            ids.map(|ids| (ids, number))
        });
        let (ids, number) = done.map_err(|failure| format!("install: {failure}"))?;
        Ok(Held { ids, number, life })
    }

    /// Does something to a unit that is there; says what is there of it then.
    fn treat(
        self: &Arc<Self>,
        at: usize,
        held: Held,
        act: Act,
        dice: &mut Dice,
    ) -> Result<Option<Held>, String> {
        let unit = &self.units[at];
        let event = &self.events[unit.event];
        let remove_all = || held.ids.iter().fold(Transaction::<P>::new(), |all, id| all.remove(event, *id));
        match act {
            Act::Install => Ok(Some(held)),
            Act::Remove => {
                unit.change(false, |_| remove_all().commit()).map_err(|why| format!("remove: {why}"))?;
                Ok(None)
            }
            Act::Drain => {
                unit.change(false, |_| {
                    event.remove_drained(held.ids[0])?;
                    // Release: pairs with the Acquire of a handler that should not run any more.
                    held.life.is_over.store(true, Ordering::Release);
                    Ok::<_, InstallError>(())
                })
                .map_err(|why| format!("remove, drained: {why}"))?;
                Ok(None)
            }
            Act::Replace => {
                let life = Arc::new(Life::default());
                let done = unit.change(true, |number| {
                    let handler = |member| self.handler(at, member, number, &life);
                    let ids = if unit.width == 1 && dice.one_in(2) {
                        event.replace(held.ids[0], handler(0)).map(|id| [id].into()).map_err(one)
                    } else {
                        let mut all = Transaction::new();
                        for (member, id) in held.ids.iter().enumerate() {
                            all = all.replace(event, *id, handler(member));
                        }
                        all.commit()
                    };
                    ids.map(|ids| (ids, number))
                });
                let (ids, number) = done.map_err(|failure| format!("replace: {failure}"))?;
                Ok(Some(Held { ids, number, life }))
            }
            Act::Fail => {
                let other = &self.events[dice.below(EVENTS)];
                match remove_all().remove(other, NOBODY).commit() {
                    Err(Failure { step, why: InstallError::Unknown }) if step == held.ids.len() => {
                        Ok(Some(held))
                    }
                    other => Err(format!("a transaction with an impossible step: {other:?}")),
                }
            }
        }
    }

    /// From inside of the handler with this number: draining it must be refused.
    pub(super) fn drain_oneself(&self, at: usize, member: usize, number: u64, core: u32) {
        let unit = &self.units[at];
        let Some(held) = unit.held.try_lock() else { return };
        let Some(held) = held.as_ref().filter(|held| held.number == number) else { return };
        match self.events[unit.event].remove_drained(held.ids[member]) {
            Err(InstallError::WouldWaitForItself) => _ = add(&self.tallies[core as usize].refused),
            other => self.wrong(core, || format!("unit {at} drained itself: {other:?}")),
        }
    }

    /// A handler of a unit.
    fn handler(
        self: &Arc<Self>,
        at: usize,
        member: usize,
        number: u64,
        life: &Arc<Life>,
    ) -> Handler<Args, u64> {
        let witness = Witness::new(self, at, member, number, life);
        let handler = Handler::trusted(move |args: &Args| witness.answer(args));
        let handler = match self.units[at].condition {
            Condition::Always => handler,
            Condition::Port(port) => handler.key(key!(Args, port), port),
            Condition::Below(limit) => handler.when(move |args: &Args| args.port < limit),
        };
        // Once, when they come: who is put in their place stands where they stood.
        match unit_order(at).filter(|_| number == 1) {
            Some(Place::First) => handler.order(Order::First),
            Some(Place::Last) => handler.order(Order::Last),
            Some(Place::BeforeSecond) => {
                let second = self.units[of_event(REPLACED).start + 1].held.lock();
                second.iter().fold(handler, |handler, held| handler.order(Order::Before(held.ids[0])))
            }
            Some(Place::Second | Place::Third | Place::Fourth) | None => handler,
        }
    }
}

/// Where a unit stands among the others of its event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Second,
    Third,
    Fourth,
    /// It came after them all.
    BeforeSecond,
    Last,
}

/// The units that are replaced have places, which they keep.
pub(super) fn unit_order(at: usize) -> Option<Place> {
    let places = [Place::First, Place::Second, Place::Third, Place::Fourth, Place::BeforeSecond, Place::Last];
    places.get(at.checked_sub(of_event(REPLACED).start)?).copied()
}

fn one(why: InstallError) -> Failure {
    Failure { step: 0, why }
}
