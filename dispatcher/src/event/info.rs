//! Events and bindings, for people to read.

use alloc::vec::Vec;

use crate::{
    guard::{RawGuard, RawKey, Test},
    handler::BindingId,
    order::Order,
    plan::{PlanKind, Record},
    post::Counts,
};

/// One event, for people to read.
#[derive(Clone, Debug)]
pub struct EventInfo {
    /// `Interface.Event`.
    pub name: &'static str,
    /// What a raise runs now.
    pub kind: PlanKind,
    /// How results are merged: `last`, `first`, `fold` or `own`.
    pub merge: &'static str,
    /// The bindings in the order in which they run.
    pub bindings: Vec<BindingInfo>,
    /// Is it watched?
    pub is_observed: bool,
}

/// One binding, for people to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingInfo {
    /// Its id; [`BindingId::INTRINSIC`] is the event's own.
    pub id: BindingId,
    /// Whose it is: none is the core's.
    pub domain: Option<u32>,
    /// Its own guards and those imposed on it.
    pub guards: Vec<GuardInfo>,
    /// What it asked of its place.
    pub orders: Vec<Order>,
    /// How long it may run at a time, in nanoseconds.
    pub bound_ns: Option<u64>,
    /// How often it ran longer.
    pub overruns: u64,
    /// May it change the arguments?
    pub is_filter: bool,
    /// How many strands sleep in it.
    pub sleepers: usize,
    /// What became of what was posted to it, if it is asynchronous.
    pub posts: Option<Counts>,
}

/// One guard, for people to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardInfo {
    /// A field must have a value.
    Key(RawKey, u64),
    /// A procedure decides.
    Predicate,
}

impl GuardInfo {
    pub(super) fn of(guard: &RawGuard) -> Self {
        match &guard.0 {
            Test::Key(key, value) => Self::Key(*key, *value),
            Test::Predicate(_) => Self::Predicate,
        }
    }
}

impl BindingInfo {
    pub(super) fn intrinsic() -> Self {
        Self {
            id: BindingId::INTRINSIC,
            domain: None,
            guards: Vec::new(),
            orders: Vec::new(),
            bound_ns: None,
            overruns: 0,
            is_filter: false,
            sleepers: 0,
            posts: None,
        }
    }

    pub(super) fn of(record: &Record) -> Self {
        let binding = &record.binding;
        let imposed = record.imposed.iter().map(|(_, guard)| guard);
        Self {
            id: binding.id,
            domain: binding.domain().map(|domain| domain.id()),
            guards: binding.guards.iter().chain(imposed).map(|guard| GuardInfo::of(guard)).collect(),
            orders: record.placing.orders().collect(),
            bound_ns: binding.bound_ns,
            overruns: binding.overruns(),
            is_filter: binding.is_filter,
            sleepers: binding.sleepers(),
            posts: record.mailbox.as_ref().map(|mailbox| mailbox.counts()),
        }
    }
}
