//! What there is to measure.
use super::recorder::{Limits, RAISES};

/// A suite of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// What a raise costs.
    Dispatch,
    /// What strands cost.
    Strands,
}

impl Suite {
    /// All of them.
    pub const ALL: [Suite; 2] = [Suite::Dispatch, Suite::Strands];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::Dispatch => "dispatch",
            Suite::Strands => "strands",
        }
    }

    /// The suite of that name.
    pub fn named(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// The kernel's command for many cores at once, `times` times on each.
    pub fn many_cores(self, times: u32) -> String {
        let which = match self {
            Suite::Dispatch => "parallel",
            Suite::Strands => "weave",
        };
        format!("bench {which} {times} raw")
    }

    /// What is wrong with a case on many cores at once.
    pub fn limits(self) -> fn(&str) -> Limits {
        match self {
            Suite::Dispatch => |_| RAISES,
            Suite::Strands => |case| match case {
                "yield" => Limits { tolerance: 0.05, may_share: false },
                "fork and join" => Limits { tolerance: 0.1, may_share: true },
                // What one core does for the other depends on who comes first.
                _ => Limits { tolerance: f64::INFINITY, may_share: true },
            },
        }
    }
}
