//! One program, run by both.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::fmt::Debug;

use dispatcher::{
    Authority, BindingId, Event, Guard, Handler, InstallError, Merge, Order, Processor, Terms, Transaction,
    Verdict, event::Operation, guard::GuardId, key, observe::Observation,
};

use super::{
    Answer, Coverage, Difference,
    coverage::KINDS,
    model::{self, Incoming, Model},
    program::{Args, Field, Op, Pick, Policy, Side, Spec, Step, Test, Wish},
    trace::{self, Tag, called, fold, own},
};

/// The most handlers, where the program has not said otherwise.
const MOST: usize = 100;
/// The first tag of a handler; below are the intrinsic handlers and the defaults.
const FIRST_TAG: Tag = 16;
/// A binding that never was.
const NOBODY: BindingId = BindingId::from_number(u64::MAX);

/// Runs a program in lane `lane`, which nobody else uses meanwhile, on a machine of `cores` cores. What
/// it has installed is gone afterwards, or waits for the housekeeper.
///
/// # Errors
///
/// Where dispatcher and reference differ.
pub fn run<R: Answer, P: Processor>(
    program: &[Op],
    lane: u32,
    cores: usize,
    coverage: &mut Coverage,
) -> Result<(), Difference> {
    let bare: Event<Args, R, P> = Event::new("Reference.Bare", None).open();
    let owned: Event<Args, R, P> = Event::new("Reference.Owned", Some(intrinsic::<R, 0>)).open();
    let sides = [Half::new(&bare, None), Half::new(&owned, Some(0))];
    let mut both = Both { sides, known: Vec::new(), next_tag: FIRST_TAG, lane, cores, coverage };
    let outcome = program.iter().enumerate().try_for_each(|(at, op)| {
        trace::take(lane);
        both.coverage.operations += 1;
        let is_raise = matches!(op, Op::Raise(..));
        let outcome = both.step(op).and_then(|()| if is_raise { Ok(()) } else { both.compare() });
        outcome.map_err(|what| Difference { at, what })
    });
    both.clean_up();
    outcome
}

fn intrinsic<R: Answer, const WHICH: u32>(args: &Args) -> R {
    called(1 + WHICH, args)
}

fn default<R: Answer, const WHICH: u32>(args: &Args) -> R {
    called(3 + WHICH, args)
}

/// One event, and its model.
pub(super) struct Half<'a, R, P> {
    pub(super) event: &'a Event<Args, R, P>,
    authority: Authority<'a, Args, R, P>,
    pub(super) model: Model,
    /// Guards that were imposed, lifted ones too.
    guards: Vec<GuardId>,
    /// Who watches, and what he must have counted: raises, and unanswered ones.
    watched: Option<(Arc<Observation>, u64, u64)>,
}

impl<'a, R: Answer, P: Processor> Half<'a, R, P> {
    fn new(event: &'a Event<Args, R, P>, intrinsic: Option<u8>) -> Self {
        let authority = event.claim().expect("nobody else knows it");
        authority.set_most_handlers(MOST).expect("there is memory");
        let model = Model::new(intrinsic.map(|which| 1 + Tag::from(which)), Policy::Last, MOST);
        Self { event, authority, model, guards: Vec::new(), watched: None }
    }
}

/// The two events and their models.
pub(super) struct Both<'a, R, P> {
    pub(super) sides: [Half<'a, R, P>; 2],
    /// Every binding that there ever was.
    pub(super) known: Vec<BindingId>,
    next_tag: Tag,
    lane: u32,
    cores: usize,
    pub(super) coverage: &'a mut Coverage,
}

/// Both must say the same.
pub(super) fn same<T: PartialEq + Debug>(about: &str, dispatcher: T, reference: T) -> Result<(), String> {
    if dispatcher == reference {
        return Ok(());
    }
    Err(format!("{about}: the dispatcher says {dispatcher:?}, the reference {reference:?}"))
}

impl<R: Answer, P: Processor> Both<'_, R, P> {
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Raise(side, args) => self.raise(*side, args),
            Op::Change(Step::Install(side, spec)) => {
                let (mut incoming, handler) = self.handler(*side, spec);
                let half = &mut self.sides[*side];
                let got = half.event.install(handler);
                incoming.id = got.unwrap_or(NOBODY);
                let asked = half.model.ask(&mut incoming, false);
                let model = self.attempt(*side, |model| model.install(incoming, asked?));
                self.came_in("install", got, model)
            }
            Op::Change(Step::Remove(side, pick)) => {
                let id = self.look_up(*side, *pick);
                let got = self.sides[*side].event.remove(id);
                let model = self.attempt(*side, |model| model.remove(id));
                self.settled("remove", got, model)
            }
            Op::Change(Step::Replace(side, pick, spec)) => {
                let old = self.look_up(*side, *pick);
                let (mut incoming, handler) = self.handler(*side, spec);
                let half = &mut self.sides[*side];
                let got = half.event.replace(old, handler);
                incoming.id = got.unwrap_or(NOBODY);
                let asked = half.model.ask(&mut incoming, true);
                let model = self.attempt(*side, |model| model.replace(old, incoming, asked?));
                self.came_in("replace", got, model)
            }
            Op::Drain(side, pick) => {
                let id = self.look_up(*side, *pick);
                let got = self.sides[*side].event.remove_drained(id);
                let model = self.attempt(*side, |model| model.remove(id));
                self.settled("remove, drained", got, model)
            }
            Op::Transaction(steps) => self.transaction(steps),
            Op::Clear(side) => {
                let ids: Vec<_> = self.sides[*side].model.bindings.iter().map(|binding| binding.id).collect();
                let event = self.sides[*side].event;
                let transaction = ids.iter().fold(Transaction::new(), |all, id| all.remove(event, *id));
                let got = transaction.commit().map(drop).map_err(|failure| failure.why);
                self.sides[*side].model.bindings.clear();
                self.settled("remove all", got, Ok(()))
            }
            Op::Impose(side, pick, test) => {
                let id = self.look_up(*side, *pick);
                let half = &mut self.sides[*side];
                let got = half.authority.impose(id, guard(*test, FIRST_TAG - 1, usize::MAX));
                half.guards.extend(got);
                let model = half.model.impose(id, got.ok(), *test);
                self.settled("impose", got.map(drop), model)
            }
            Op::Lift(side, pick, which) => {
                let id = self.look_up(*side, *pick);
                let half = &mut self.sides[*side];
                let Some(guard) = which.among(&half.guards) else { return Ok(()) };
                let got = half.authority.lift(id, guard);
                let model = half.model.lift(id, guard);
                self.settled("lift", got, model)
            }
            Op::Merge(side, policy) => {
                let merge = match policy {
                    Policy::Last => Merge::Last,
                    Policy::First => Merge::First,
                    Policy::Fold => Merge::Fold(fold),
                    Policy::Own => Merge::Own(own),
                };
                let got = self.sides[*side].authority.set_merge(merge);
                self.sides[*side].model.policy = *policy;
                self.settled("set the policy", got, Ok(()))
            }
            Op::Default(side, which) => {
                let half = &mut self.sides[*side];
                half.authority
                    .set_default(which.map(|which| [default::<R, 0>, default::<R, 1>][which as usize]));
                half.model.default = which.map(|which| 3 + Tag::from(which));
                Ok(())
            }
            Op::Intrinsic(side, which) => {
                let procedure = which.map(|which| [intrinsic::<R, 0>, intrinsic::<R, 1>][which as usize]);
                let got = self.sides[*side].authority.set_intrinsic(procedure);
                let model = self.attempt(*side, |model| {
                    model.intrinsic = which.map(|which| 1 + Tag::from(which));
                    Ok(())
                });
                self.settled("set the intrinsic handler", got, model)
            }
            Op::Limit(side, most) => {
                let got = self.sides[*side].authority.set_most_handlers(*most);
                self.sides[*side].model.most = *most;
                self.settled("set the limit", got, Ok(()))
            }
            Op::Authorize(side, rules) => {
                let (half, own) = (&mut self.sides[*side], *rules);
                half.authority.authorize(move |request| {
                    if own.denies_filters && request.is_filter {
                        return Verdict::Deny(model::NO_FILTERS);
                    }
                    if own.denies_replacing && request.operation != Operation::Install {
                        return Verdict::Deny(model::NO_REPLACING);
                    }
                    let terms = if own.puts_last { Terms::free().order(Order::Last) } else { Terms::free() };
                    Verdict::Allow(match own.imposes {
                        Some(test) => terms.imposing(guard(test, FIRST_TAG - 1, usize::MAX)),
                        None => terms,
                    })
                });
                half.model.rules = Some(own);
                Ok(())
            }
            Op::Watch(side, true) => {
                let got = self.sides[*side].event.any().observe::<P>(self.cores);
                self.sides[*side].watched = got.as_ref().ok().map(|seen| (seen.clone(), 0, 0));
                self.settled("watch", got.map(drop), Ok(()))
            }
            Op::Watch(side, false) => {
                let got = self.sides[*side].event.any().unobserve::<P>();
                self.sides[*side].watched = None;
                self.settled("watch no more", got, Ok(()))
            }
        }
    }

    fn raise(&mut self, side: Side, args: &Args) -> Result<(), String> {
        let args = Args { lane: self.lane, ..*args };
        let half = &mut self.sides[side];
        let kind = half.event.any().info::<P>().kind;
        let got = half.event.raise(&args);
        let trace = trace::take(self.lane);
        let wanted = half.model.raise::<R>(&args);
        same("calls", &trace.calls, &wanted.calls)?;
        same("result", got, wanted.result)?;
        let has_asked_twice =
            |at: usize| trace.asked[..at].contains(&trace.asked[at]) && trace.asked[at].1 != usize::MAX;
        if (0..trace.asked.len()).any(has_asked_twice) {
            return Err(format!("a predicate was called twice in one raise: {:?}", trace.asked));
        }
        if let Some((seen, raises, unanswered)) = &mut half.watched {
            *raises += 1;
            *unanswered += u64::from(!wanted.is_answered);
            let sum = seen.seen().fold((0, 0), |sum, core| (sum.0 + core.raises, sum.1 + core.unanswered));
            same("raises and unanswered ones that were watched", sum, (*raises, *unanswered))?;
        }
        let coverage = &mut *self.coverage;
        coverage.calls += wanted.calls.len() as u64;
        coverage.longest = coverage.longest.max(half.model.bindings.len());
        let counts = KINDS.iter().zip(&mut coverage.raises);
        counts.filter(|(one, _)| **one == kind).for_each(|(_, count)| *count += 1);
        Ok(())
    }

    /// Changes a model, all or nothing.
    fn attempt(
        &mut self,
        side: Side,
        change: impl FnOnce(&mut Model) -> Result<(), InstallError>,
    ) -> Result<(), InstallError> {
        let model = &mut self.sides[side].model;
        let mut changed = model.clone();
        change(&mut changed)?;
        changed.order()?;
        *model = changed;
        Ok(())
    }

    fn came_in(
        &mut self,
        about: &str,
        got: Result<BindingId, InstallError>,
        wanted: Result<(), InstallError>,
    ) -> Result<(), String> {
        self.known.extend(got);
        self.settled(about, got.map(drop), wanted)
    }

    fn settled(
        &mut self,
        about: &str,
        got: Result<(), InstallError>,
        wanted: Result<(), InstallError>,
    ) -> Result<(), String> {
        got.err().into_iter().for_each(|why| self.coverage.refused(why));
        same(about, got, wanted)
    }

    /// What each event shows to people after a change.
    fn compare(&self) -> Result<(), String> {
        for half in &self.sides {
            let info = half.event.any().info::<P>();
            let shown: Vec<_> = info
                .bindings
                .iter()
                .map(|binding| (binding.id, binding.guards.len(), binding.is_filter, binding.orders.len()))
                .collect();
            let order = half.model.order().expect("nothing is accepted that has no order");
            let wanted = order.into_iter().map(|at| match at {
                None => (BindingId::INTRINSIC, 0, false, 0),
                Some(at) => {
                    let binding = &half.model.bindings[at];
                    let guards = binding.tests.len() + binding.imposed.len();
                    (binding.id, guards, binding.filter.is_some(), binding.orders.len())
                }
            });
            same(info.name, shown, wanted.collect())?;
        }
        Ok(())
    }

    /// Whom an operation is about: mostly somebody who is there.
    pub(super) fn look_up(&self, side: Side, pick: Pick) -> BindingId {
        let live: Vec<_> = self.sides[side].model.bindings.iter().map(|binding| binding.id).collect();
        let rest = Pick(pick.0 / 16);
        let anybody = || rest.among(&self.known).unwrap_or(NOBODY);
        match pick.0 % 16 {
            0 => BindingId::INTRINSIC,
            1 => NOBODY,
            2 => anybody(),
            _ => rest.among(&live).unwrap_or_else(anybody),
        }
    }

    pub(super) fn handler(&mut self, side: Side, spec: &Spec) -> (Incoming, Handler<Args, R>) {
        let tag = self.next_tag;
        self.next_tag += 1;
        let mut handler = match spec.filter {
            None => Handler::trusted(move |args: &Args| called::<R>(tag, args)),
            Some(filter) => Handler::filter(move |args: &mut Args| {
                let result = called::<R>(tag, args);
                model::apply(filter, args);
                result
            }),
        };
        for (number, test) in spec.tests.iter().enumerate() {
            handler = handler.guarded(guard(*test, tag, number));
        }
        let order = |wish: &Wish| match *wish {
            Wish::First => Order::First,
            Wish::Last => Order::Last,
            Wish::Before(pick) => Order::Before(self.look_up(side, pick)),
            Wish::After(pick) => Order::After(self.look_up(side, pick)),
        };
        let orders: Vec<_> = spec.wishes.iter().map(order).collect();
        handler = orders.iter().fold(handler, |handler, order| handler.order(*order));
        if spec.is_bounded {
            handler = handler.bounded_ns(10_000_000_000);
        }
        let incoming = Incoming { tag, id: NOBODY, tests: spec.tests.clone(), orders, filter: spec.filter };
        (incoming, handler)
    }

    /// Leaves the events empty, so that nothing is lost with them.
    fn clean_up(&mut self) {
        for half in &self.sides {
            // Whatever the last difference was about: neither an order nor a watcher may stand in the way.
            _ = half.event.any().unobserve::<P>();
            let ids: Vec<_> =
                half.event.any().info::<P>().bindings.into_iter().map(|binding| binding.id).collect();
            for id in ids.into_iter().filter(|id| *id != BindingId::INTRINSIC) {
                _ = half.event.remove(id);
            }
        }
        trace::take(self.lane);
    }
}

impl Pick {
    fn among<T: Copy>(self, all: &[T]) -> Option<T> {
        all.get(self.0 as usize % all.len().max(1)).copied()
    }
}

/// A guard, the `number`th of handler `tag`.
fn guard(test: Test, tag: Tag, number: usize) -> Guard<Args> {
    let (field, value) = match test {
        Test::Key(field, value) => (field, value),
        predicate => {
            return Guard::predicate(move |args: &Args| {
                trace::asked(tag, number, args);
                model::holds(predicate, args)
            });
        }
    };
    let key = match field {
        Field::Number => key!(Args, number),
        Field::Port => key!(Args, port),
        Field::Kind => key!(Args, kind),
        Field::Flag => key!(Args, flag),
        Field::Sign => key!(Args, sign),
    };
    Guard::key(key, value)
}
