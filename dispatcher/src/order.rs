//! In which order an event's handlers run.
//!
//! Handlers stand in three ranks: those that asked to be first, the rest, those that asked to be last.
//! A later `First` goes ahead of the earlier ones, a later `Last` behind them; within the middle the
//! order is that of installation. On top of that a handler may ask to run before or after another. If
//! it names no rank of its own, it stands in the middle if those whom it must precede or follow let it,
//! and else joins the nearest rank that they leave. The rank is settled when the handler comes in, and
//! kept though its neighbours go: so a removal never makes wishes contradict each other.

use alloc::{collections::BinaryHeap, vec::Vec};
use core::cmp::Reverse;

use hashbrown::HashMap;

use crate::{event::InstallError, handler::BindingId};

/// A place among an event's handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Ahead of all that there are, and of all that will not ask for the same.
    First,
    /// Behind all that there are, and all that will not ask for the same.
    Last,
    /// Some time before that binding, as long as it is there.
    Before(BindingId),
    /// Some time after that binding, as long as it is there.
    After(BindingId),
}

/// All that a handler asked for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Placing {
    /// As it was asked for.
    rank: Option<Rank>,
    /// In which it stands, once that is settled.
    settled: Rank,
    before: Option<BindingId>,
    after: Option<BindingId>,
    /// Two of a kind were given.
    is_ambiguous: bool,
}

/// Where among the others a handler stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Rank {
    First,
    #[default]
    Middle,
    Last,
}

impl Placing {
    pub(crate) fn add(&mut self, order: Order) {
        let taken = match order {
            Order::First => self.rank.replace(Rank::First).is_some(),
            Order::Last => self.rank.replace(Rank::Last).is_some(),
            Order::Before(id) => self.before.replace(id).is_some(),
            Order::After(id) => self.after.replace(id).is_some(),
        };
        self.is_ambiguous |= taken;
    }

    /// What was asked for, for people.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Order> {
        let rank = match self.rank {
            Some(Rank::First) => Some(Order::First),
            Some(Rank::Last) => Some(Order::Last),
            Some(Rank::Middle) | None => None,
        };
        [rank, self.before.map(Order::Before), self.after.map(Order::After)].into_iter().flatten()
    }

    /// Whoever asked for the one's neighbourhood is now a neighbour of the other.
    pub(crate) fn rename(&mut self, from: BindingId, to: BindingId) {
        for name in [&mut self.before, &mut self.after].into_iter().flatten() {
            if *name == from {
                *name = to;
            }
        }
    }

    /// The rank that was settled.
    pub(crate) fn rank(&self) -> Rank {
        self.settled
    }

    /// As it stands among those that there are, of which `rank_of` says the rank.
    ///
    /// # Errors
    ///
    /// [`InstallError::NoNeighbour`]; `Cycle` if its wishes contradict each other.
    pub(crate) fn settle(self, rank_of: impl Fn(BindingId) -> Option<Rank>) -> Result<Self, InstallError> {
        if self.is_ambiguous {
            return Err(InstallError::Cycle);
        }
        let rank_of = |name: BindingId| rank_of(name).ok_or(InstallError::NoNeighbour(name));
        let low = self.before.map_or(Ok(Rank::Last), rank_of)?;
        let high = self.after.map_or(Ok(Rank::First), rank_of)?;
        let settled = self.rank.unwrap_or(Rank::Middle.min(low).max(high));
        if settled > low || settled < high {
            return Err(InstallError::Cycle);
        }
        Ok(Self { settled, ..self })
    }
}

/// In which order those run that were installed in this one: the indices. Cost: O(n log n).
///
/// # Errors
///
/// [`InstallError::Cycle`] if they cannot all have what they asked for, `OutOfMemory`.
pub(crate) fn arrange(bindings: &[(BindingId, Placing)]) -> Result<Vec<u32>, InstallError> {
    let mut order = Vec::new();
    order.try_reserve_exact(bindings.len()).map_err(|_| InstallError::OutOfMemory)?;
    if bindings.iter().all(|(_, placing)| *placing == Placing::default()) {
        order.extend(0..bindings.len() as u32);
        return Ok(order);
    }
    let graph = Graph::new(bindings)?;
    graph.sort(&mut order)?;
    // Whoever stands in a circle was never free to go.
    if order.len() == bindings.len() { Ok(order) } else { Err(InstallError::Cycle) }
}

struct Graph {
    /// Of each: its rank, and where in it.
    places: Vec<(Rank, i64)>,
    /// Who waits for whom, sorted.
    edges: Vec<(u32, u32)>,
    /// For how many each waits.
    waits: Vec<u32>,
}

impl Graph {
    fn new(bindings: &[(BindingId, Placing)]) -> Result<Self, InstallError> {
        let mut index = HashMap::new();
        index.try_reserve(bindings.len()).map_err(|_| InstallError::OutOfMemory)?;
        index.extend(bindings.iter().enumerate().map(|(at, (id, _))| (*id, at)));
        let (mut places, mut edges, mut waits) = (Vec::new(), Vec::new(), Vec::new());
        places.try_reserve_exact(bindings.len()).map_err(|_| InstallError::OutOfMemory)?;
        edges.try_reserve_exact(2 * bindings.len()).map_err(|_| InstallError::OutOfMemory)?;
        waits.try_reserve_exact(bindings.len()).map_err(|_| InstallError::OutOfMemory)?;
        waits.resize(bindings.len(), 0);
        for (at, (_, placing)) in bindings.iter().enumerate() {
            let neighbour = |name: Option<BindingId>| name.and_then(|name| index.get(&name).copied());
            let (before, after) = (neighbour(placing.before), neighbour(placing.after));
            // One that was put in another's place may stand in another rank than that had.
            let rank = placing.settled;
            let rank_of = |other: usize| bindings[other].1.settled;
            if before.is_some_and(|other| rank > rank_of(other))
                || after.is_some_and(|other| rank < rank_of(other))
            {
                return Err(InstallError::Cycle);
            }
            places.push((rank, if rank == Rank::First { -(at as i64) } else { at as i64 }));
            edges.extend(before.map(|other| (at as u32, other as u32)));
            edges.extend(after.map(|other| (other as u32, at as u32)));
        }
        edges.sort_unstable();
        edges.iter().for_each(|(_, later)| waits[*later as usize] += 1);
        Ok(Self { places, edges, waits })
    }

    /// Kahn's algorithm: of those who wait for nobody, the one with the foremost place goes next.
    fn sort(mut self, order: &mut Vec<u32>) -> Result<(), InstallError> {
        let place = |at: u32| self.places[at as usize];
        let mut free = Vec::new();
        // Room for all: pushing allocates no more.
        free.try_reserve_exact(self.places.len()).map_err(|_| InstallError::OutOfMemory)?;
        let waits_for_none = (0..self.places.len() as u32).filter(|at| self.waits[*at as usize] == 0);
        free.extend(waits_for_none.map(|at| Reverse((place(at), at))));
        let mut free = BinaryHeap::from(free);
        while let Some(Reverse((_, at))) = free.pop() {
            order.push(at);
            let first = self.edges.partition_point(|(earlier, _)| *earlier < at);
            for (_, later) in self.edges[first..].iter().take_while(|(earlier, _)| *earlier == at) {
                self.waits[*later as usize] -= 1;
                if self.waits[*later as usize] == 0 {
                    free.push(Reverse((place(*later), *later)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    fn placing(orders: &[Order]) -> Placing {
        let mut placing = Placing::default();
        orders.iter().for_each(|order| placing.add(*order));
        placing
    }

    fn arranged(orders: &[&[Order]]) -> Result<Vec<u32>, InstallError> {
        let mut bindings: Vec<(BindingId, Placing)> = Vec::new();
        for (id, orders) in (1..).zip(orders) {
            // Whoever is not there yet will come in the place of another.
            let rank_of =
                |id| bindings.iter().find(|(own, _)| *own == id).map_or(Rank::Middle, |(_, own)| own.rank());
            let placing = placing(orders).settle(|id| Some(rank_of(id)))?;
            bindings.push((BindingId(id), placing));
        }
        arrange(&bindings)
    }

    #[test]
    fn without_wishes_it_is_the_order_of_installation() {
        assert_eq!(arranged(&[&[], &[], &[]]), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn later_firsts_go_ahead_and_later_lasts_behind() {
        use Order::{First, Last};
        assert_eq!(arranged(&[&[], &[Last], &[First], &[Last], &[First], &[]]), Ok(vec![4, 2, 0, 5, 1, 3]));
    }

    #[test]
    fn neighbours_are_respected_and_nothing_else_moves() {
        use Order::{After, Before};
        let (one, three) = (BindingId(1), BindingId(3));
        assert_eq!(arranged(&[&[], &[], &[], &[Before(one)], &[After(three)]]), Ok(vec![1, 2, 3, 0, 4]));
    }

    #[test]
    fn who_names_no_rank_joins_that_of_his_neighbour() {
        use Order::{After, Before, First, Last};
        assert_eq!(arranged(&[&[First], &[], &[Before(BindingId(1))]]), Ok(vec![2, 0, 1]));
        assert_eq!(arranged(&[&[Last], &[], &[After(BindingId(1))]]), Ok(vec![1, 0, 2]));
        assert_eq!(arranged(&[&[First], &[Last, Before(BindingId(1))]]), Err(InstallError::Cycle));
        assert_eq!(
            arranged(&[&[First], &[Last], &[Before(BindingId(1)), After(BindingId(2))]]),
            Err(InstallError::Cycle)
        );
    }

    #[test]
    fn circles_are_found() {
        use Order::{After, Before};
        let (one, two) = (BindingId(1), BindingId(2));
        assert_eq!(arranged(&[&[], &[After(one)], &[Before(one), After(two)]]), Err(InstallError::Cycle));
        assert_eq!(arranged(&[&[], &[], &[Before(one), After(two)]]), Ok(vec![1, 2, 0]));
        assert_eq!(arranged(&[&[Before(one)]]), Err(InstallError::Cycle), "nobody precedes himself");
    }

    #[test]
    fn wishes_about_who_is_gone_lapse() {
        assert_eq!(arranged(&[&[], &[Order::Before(BindingId(77))]]), Ok(vec![0, 1]));
    }

    #[test]
    fn a_rank_is_kept_when_the_neighbour_goes() {
        use Order::{After, Before, First};
        let ranks = [(BindingId(1), Rank::First)];
        let rank_of = |id| ranks.iter().find(|(own, _)| *own == id).map(|(_, rank)| *rank);
        let joined = placing(&[Before(BindingId(1))]).settle(rank_of).unwrap();
        let behind = placing(&[First, After(BindingId(2))]).settle(|_| Some(joined.rank())).unwrap();
        // The one by whom both came into their rank is gone; nothing contradicts anything.
        assert_eq!(arrange(&[(BindingId(2), joined), (BindingId(3), behind)]), Ok(vec![0, 1]));
    }

    #[test]
    fn a_wish_about_a_stranger_or_two_of_a_kind_cannot_be_had() {
        let one = BindingId(1);
        let check =
            |orders: &[Order]| placing(orders).settle(|id| (id == one).then_some(Rank::Middle)).map(drop);
        assert_eq!(check(&[Order::Before(one)]), Ok(()));
        assert_eq!(check(&[Order::After(BindingId(2))]), Err(InstallError::NoNeighbour(BindingId(2))));
        assert_eq!(check(&[Order::First, Order::Last]), Err(InstallError::Cycle));
    }
}
