//! The naive dispatcher: an event as a list of bindings, everything in the most obvious way.
//!
//! It is written from the rules in the documentation of `dispatcher` and shares nothing with it but
//! the names of things. It knows no plans, no indices, no sorting: who runs next is found by looking
//! at all, whenever somebody asks.

use alloc::{vec, vec::Vec};

use dispatcher::{BindingId, InstallError, Order, RaiseError, event::Denial, guard::GuardId};

use super::{
    program::{Args, Field, Filter, Policy, Rules, Test},
    trace::{Answer, Call, Tag, fold, own},
};

/// The rules by which the authorizer denies.
pub(super) const NO_FILTERS: &str = "no filters";
/// As above.
pub(super) const NO_REPLACING: &str = "no replacing";

/// A handler that is to come in; whom it is about has been looked up.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) tag: Tag,
    /// What the dispatcher has called it; anything if it has refused it.
    pub(super) id: BindingId,
    pub(super) tests: Vec<Test>,
    pub(super) orders: Vec<Order>,
    pub(super) filter: Option<Filter>,
}

/// What a handler, once installed, is to the model.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) id: BindingId,
    pub(super) tests: Vec<Test>,
    /// No name: imposed when it came in.
    pub(super) imposed: Vec<(Option<GuardId>, Test)>,
    pub(super) filter: Option<Filter>,
    /// As it was asked for.
    pub(super) orders: Vec<Order>,
    tag: Tag,
    rank: Rank,
    before: Option<BindingId>,
    after: Option<BindingId>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    First,
    Middle,
    Last,
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// In the order of installation; who was put in another's place has that place.
    pub(super) bindings: Vec<Binding>,
    pub(super) intrinsic: Option<Tag>,
    pub(super) default: Option<Tag>,
    pub(super) policy: Policy,
    pub(super) most: usize,
    pub(super) rules: Option<Rules>,
}

/// Somebody in the order: a binding, or the intrinsic handler.
#[derive(Clone, Copy)]
struct Member {
    binding: Option<usize>,
    id: BindingId,
    rank: Rank,
    before: Option<BindingId>,
    after: Option<BindingId>,
}

impl Member {
    /// Must this one run before that one?
    fn precedes(&self, other: &Self) -> bool {
        self.before == Some(other.id) || other.after == Some(self.id)
    }
}

/// What one raise came to.
pub(super) struct Raised<R> {
    pub(super) result: Result<R, RaiseError>,
    pub(super) calls: Vec<Call>,
    /// Some handler ran, other than the default.
    pub(super) is_answered: bool,
}

impl Model {
    pub(super) fn new(intrinsic: Option<Tag>, policy: Policy, most: usize) -> Self {
        Self { bindings: Vec::new(), intrinsic, default: None, policy, most, rules: None }
    }

    fn has(&self, id: BindingId) -> bool {
        (id == BindingId::INTRINSIC && self.intrinsic.is_some()) || self.at(id).is_ok()
    }

    fn at(&self, id: BindingId) -> Result<usize, InstallError> {
        self.bindings.iter().position(|binding| binding.id == id).ok_or(InstallError::Unknown)
    }

    /// What the owner says; the test is imposed on whoever comes in.
    pub(super) fn ask(&self, incoming: &mut Incoming, replaces: bool) -> Result<Option<Test>, InstallError> {
        let Some(rules) = self.rules else { return Ok(None) };
        let denied = |rule| Err(InstallError::Denied(Denial::Rule(rule)));
        if rules.denies_filters && incoming.filter.is_some() {
            return denied(NO_FILTERS);
        }
        if rules.denies_replacing && replaces {
            return denied(NO_REPLACING);
        }
        incoming.orders.extend(rules.puts_last.then_some(Order::Last));
        Ok(rules.imposes)
    }

    /// The handler as a binding, if what it asks of its place can be had.
    fn admit(&self, incoming: Incoming, imposed: Option<Test>) -> Result<Binding, InstallError> {
        let (mut own_rank, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for order in &incoming.orders {
            match *order {
                Order::First => own_rank.push(Rank::First),
                Order::Last => own_rank.push(Rank::Last),
                Order::Before(id) => before.push(id),
                Order::After(id) => after.push(id),
            }
        }
        if own_rank.len() > 1 || before.len() > 1 || after.len() > 1 {
            return Err(InstallError::Cycle);
        }
        if let Some(stranger) = before.iter().chain(&after).find(|id| !self.has(**id)) {
            return Err(InstallError::NoNeighbour(*stranger));
        }
        // The rank that is nearest to the middle of those that its neighbours leave.
        let rank_of = |id: &BindingId| self.at(*id).map_or(Rank::Middle, |at| self.bindings[at].rank);
        let behind = after.first().map_or(Rank::First, rank_of);
        let ahead = before.first().map_or(Rank::Last, rank_of);
        let possible = |rank: &Rank| behind <= *rank && *rank <= ahead;
        let wanted = match own_rank.first() {
            Some(rank) => vec![*rank],
            None => vec![Rank::Middle, Rank::First, Rank::Last],
        };
        let rank = wanted.into_iter().find(possible).ok_or(InstallError::Cycle)?;
        Ok(Binding {
            id: incoming.id,
            tests: incoming.tests,
            imposed: imposed.map(|test| (None, test)).into_iter().collect(),
            filter: incoming.filter,
            orders: incoming.orders,
            tag: incoming.tag,
            rank,
            before: before.first().copied(),
            after: after.first().copied(),
        })
    }

    pub(super) fn install(&mut self, incoming: Incoming, imposed: Option<Test>) -> Result<(), InstallError> {
        if self.bindings.len() >= self.most {
            return Err(InstallError::TooMany);
        }
        let binding = self.admit(incoming, imposed)?;
        self.bindings.push(binding);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: BindingId) -> Result<(), InstallError> {
        let at = self.at(id)?;
        self.bindings.remove(at);
        Ok(())
    }

    pub(super) fn replace(
        &mut self,
        old: BindingId,
        incoming: Incoming,
        imposed: Option<Test>,
    ) -> Result<(), InstallError> {
        let at = self.at(old)?;
        let new_id = incoming.id;
        let has_wishes = !incoming.orders.is_empty();
        let mut new = self.admit(incoming, imposed)?;
        let was = &self.bindings[at];
        new.imposed.extend(was.imposed.iter().filter(|(name, _)| name.is_some()).cloned());
        if !has_wishes {
            new = Binding {
                rank: was.rank,
                before: was.before,
                after: was.after,
                orders: was.orders.clone(),
                ..new
            };
        }
        self.bindings[at] = new;
        for binding in &mut self.bindings {
            let names = [&mut binding.before, &mut binding.after].into_iter().flatten();
            names.filter(|name| **name == old).for_each(|name| *name = new_id);
            for order in &mut binding.orders {
                match order {
                    Order::Before(name) | Order::After(name) if *name == old => *name = new_id,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn impose(
        &mut self,
        id: BindingId,
        guard: Option<GuardId>,
        test: Test,
    ) -> Result<(), InstallError> {
        let at = self.at(id)?;
        self.bindings[at].imposed.push((guard, test));
        Ok(())
    }

    pub(super) fn lift(&mut self, id: BindingId, guard: GuardId) -> Result<(), InstallError> {
        let at = self.at(id)?;
        let imposed = &mut self.bindings[at].imposed;
        let found = imposed.iter().position(|(name, _)| *name == Some(guard)).ok_or(InstallError::Unknown)?;
        imposed.remove(found);
        Ok(())
    }

    /// In which order they run: places among the bindings, none for the intrinsic handler.
    pub(super) fn order(&self) -> Result<Vec<Option<usize>>, InstallError> {
        let intrinsic = self.intrinsic.map(|_| Member {
            binding: None,
            id: BindingId::INTRINSIC,
            rank: Rank::Middle,
            before: None,
            after: None,
        });
        let others = self.bindings.iter().enumerate().map(|(at, binding)| Member {
            binding: Some(at),
            id: binding.id,
            rank: binding.rank,
            before: binding.before,
            after: binding.after,
        });
        let mut left: Vec<Member> = intrinsic.into_iter().chain(others).collect();
        let contradicts =
            |one: &Member| left.iter().any(|other| one.precedes(other) && one.rank > other.rank);
        if left.iter().any(contradicts) {
            return Err(InstallError::Cycle);
        }
        // By rank, the first ones latest first; and then, again and again, the foremost that may go.
        left.sort_by_key(|one| {
            let age = one.binding.map_or(-1, |at| at as i64);
            (one.rank, if one.rank == Rank::First { -age } else { age })
        });
        let mut order = Vec::new();
        while !left.is_empty() {
            let is_free = |one: &Member| !left.iter().any(|other| other.precedes(one));
            let next = left.iter().position(is_free).ok_or(InstallError::Cycle)?;
            order.push(left.remove(next).binding);
        }
        Ok(order)
    }

    /// Raises it.
    pub(super) fn raise<R: Answer>(&self, args: &Args) -> Raised<R> {
        let (mut copy, mut calls) = (*args, Vec::new());
        let mut results = Vec::new();
        for at in self.order().expect("nothing is accepted that has no order") {
            let (tag, id, filter) = match at {
                None => (self.intrinsic.expect("it is in the order"), BindingId::INTRINSIC, None),
                Some(at) => {
                    let binding = &self.bindings[at];
                    let mut tests = binding.tests.iter().chain(binding.imposed.iter().map(|(_, test)| test));
                    if !tests.all(|test| holds(*test, &copy)) {
                        continue;
                    }
                    (binding.tag, binding.id, binding.filter)
                }
            };
            let call = Call { tag, seen: copy };
            calls.push(call);
            results.push((call.answer::<R>(), id));
            if let Some(filter) = filter {
                apply(filter, &mut copy);
            }
        }
        let is_answered = !results.is_empty();
        let mut result = self.merge(&results).ok_or(RaiseError::NoHandler);
        if let (Err(_), Some(tag)) = (&result, self.default) {
            let call = Call { tag, seen: *args };
            calls.push(call);
            result = Ok(call.answer());
        }
        Raised { result, calls, is_answered }
    }

    fn merge<R: Answer>(&self, results: &[(R, BindingId)]) -> Option<R> {
        let (first, rest) = results.split_first()?;
        if self.bindings.is_empty() {
            // Nothing but the intrinsic handler: no policy is asked.
            return Some(first.0);
        }
        Some(match self.policy {
            Policy::First => first.0,
            Policy::Last => rest.last().unwrap_or(first).0,
            Policy::Fold => rest.iter().fold(first.0, |so_far, (next, _)| fold(so_far, *next)),
            Policy::Own => {
                let begin = own(None, first.0, first.1);
                rest.iter().fold(begin, |so_far, (next, id)| own(Some(so_far), *next, *id))
            }
        })
    }
}

/// Does it hold?
pub(super) fn holds(test: Test, args: &Args) -> bool {
    match test {
        Test::Key(Field::Number, value) => args.number == value,
        Test::Key(Field::Port, value) => args.port == value as u32,
        Test::Key(Field::Kind, value) => args.kind == value as u16,
        Test::Key(Field::Flag, value) => args.flag == value as u8,
        Test::Key(Field::Sign, value) => args.sign == value as i8,
        Test::IsEven => args.number.is_multiple_of(2),
        Test::PortBelow(port) => args.port < port,
        Test::KindIsNot(kind) => args.kind != kind,
        Test::Never => false,
    }
}

/// Does what a filter does.
pub(super) fn apply(filter: Filter, args: &mut Args) {
    match filter {
        Filter::Add(number) => args.number = args.number.wrapping_add(number),
        Filter::Port(port) => args.port = port,
        Filter::Kind(kind) => (args.kind, args.flag) = (kind, kind as u8),
    }
}
