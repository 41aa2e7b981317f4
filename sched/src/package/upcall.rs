//! What a package is asked and told.

/// Whom a virtual processor shall run: the answer to `Strand.Resume`. Strands are named by their handles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nobody: the core is for others until there is a notice, or [`Package::wake`](super::Package::wake).
    Idle,
    /// Nobody; asks again at that time at the latest, in nanoseconds.
    IdleUntil(u64),
    /// This strand, until it blocks or the global scheduler wants the core.
    Run(u64),
    /// This strand, and no longer than until then, in nanoseconds.
    RunUntil(u64, u64),
}

/// Why a strand of a package's lost its core without having asked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Why {
    /// The global scheduler gave the core to somebody else for a while.
    Preempted = 0,
    /// The package had said how long it should run.
    Limit = 1,
    /// The package asked for the virtual processor back.
    Recalled = 2,
}

impl Why {
    pub(crate) fn of(word: u8) -> Self {
        match word {
            0 => Self::Preempted,
            1 => Self::Limit,
            _ => Self::Recalled,
        }
    }
}

/// Why a strand of a package's gives up its core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reason {
    /// It waits for somebody, and cannot run until `Strand.Unblock`.
    Blocked = 0,
    /// It lets others run first, and can go on.
    Yielded = 1,
    /// It is over.
    Ended = 2,
}

/// The package has not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silent {
    /// Its handler is not there, was cut, or had no result.
    Failed,
    /// There was not enough stack to ask it, which is not its fault.
    NoRoom,
}
