//! What random programs have tried, and what they have not.

use alloc::{format, string::String, vec::Vec};

use dispatcher::{InstallError, plan::PlanKind};

/// What has been tried.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Operations of all kinds.
    pub operations: u64,
    /// Raises of plans of each kind, in the order of [`KINDS`].
    pub raises: [u64; KINDS.len()],
    /// Handlers that were called.
    pub calls: u64,
    /// Refusals of each kind, in the order of [`REFUSALS`].
    pub refusals: [u64; REFUSALS.len()],
    /// The longest list of handlers.
    pub longest: usize,
}

/// The kinds of plans.
pub const KINDS: [PlanKind; 6] = [
    PlanKind::Intrinsic,
    PlanKind::Empty,
    PlanKind::Single,
    PlanKind::Few,
    PlanKind::Keyed,
    PlanKind::General,
];

/// The kinds of refusals that a program can meet.
pub const REFUSALS: [&str; 5] = ["too many", "unknown", "no neighbour", "cycle", "denied"];

impl Coverage {
    /// Takes what another has tried.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
        self.raises.iter_mut().zip(other.raises).for_each(|(own, more)| *own += more);
        self.refusals.iter_mut().zip(other.refusals).for_each(|(own, more)| *own += more);
    }

    /// What was never tried, if anything.
    pub fn gaps(&self) -> Vec<String> {
        let kinds = KINDS.iter().zip(self.raises).filter(|(_, count)| *count == 0);
        let refusals = REFUSALS.iter().zip(self.refusals).filter(|(_, count)| *count == 0);
        let kinds = kinds.map(|(kind, _)| format!("a plan of kind {kind:?}"));
        kinds.chain(refusals.map(|(refusal, _)| format!("a refusal: {refusal}"))).collect()
    }

    pub(super) fn refused(&mut self, why: InstallError) {
        let kind = match why {
            InstallError::TooMany => 0,
            InstallError::Unknown => 1,
            InstallError::NoNeighbour(_) => 2,
            InstallError::Cycle => 3,
            InstallError::Denied(_) => 4,
            _ => return,
        };
        self.refusals[kind] += 1;
    }
}
