//! How the wish for a handler crosses to the kernel: one block of words, which the kernel takes for an
//! allegation and checks.

use crate::{Event, plain::Plain};

/// The most guards that one handler brings along.
pub const MOST_GUARDS: usize = 8;

/// In place of a binding's number, or of a time: there is none.
pub const NONE: u64 = u64::MAX;

/// In [`Installation::rank`]: ahead of the others.
pub const FIRST: u64 = 1;
/// In [`Installation::rank`]: behind the others.
pub const LAST: u64 = 2;

/// The most invocations that may wait for one asynchronous handler.
pub const MOST_WAITING: u64 = 1_024;

/// In [`Condition::kind`]: a field must have a value.
pub const KEY: u64 = 1;
/// In [`Condition::kind`]: a procedure must say yes.
pub const PREDICATE: u64 = 2;

/// The most bytes that the arguments, or the result, of a spindle's own event may have.
pub const MOST_BYTES: usize = 256;
/// What they may be aligned to, in bytes.
pub const MOST_ALIGNED: usize = 8;

crate::plain! {
    /// What a spindle wants to have installed.
    pub struct Installation {
        /// [`SHAPE`](Self::LAYOUT) of this very block: a kit of another version is found out by it.
        pub shape: u64,
        /// The event, as its import's slot names it.
        pub event: usize,
        /// The handler's code.
        pub code: usize,
        /// What goes with it.
        pub closure: usize,
        /// 1 for a filter, 0 for any other handler.
        pub is_filter: u64,
        /// The binding that it replaces, or [`NONE`].
        pub replaces: u64,
        /// [`FIRST`], [`LAST`], or 0.
        pub rank: u64,
        /// The binding before which it runs, or [`NONE`].
        pub before: u64,
        /// The binding after which it runs, or [`NONE`].
        pub after: u64,
        /// How long it runs at most, in nanoseconds, or [`NONE`].
        pub bound_ns: u64,
        /// How many invocations may wait, if it is asynchronous, or 0.
        pub capacity: u64,
        /// The core on which it runs, if it is asynchronous, or [`NONE`]: that of the raiser.
        pub core: u64,
        /// 1 if invocations for which there is no room are dropped, 0 if the raiser is told.
        pub drops: u64,
        /// How many of the guards there are.
        pub guard_count: u64,
        /// All must hold.
        pub guards: [Condition; MOST_GUARDS],
    }

    /// What a spindle says of an event that it wants to export.
    pub struct Exportation {
        /// [`SHAPE`](Self::LAYOUT) of this very block.
        pub shape: u64,
        /// What whoever imports it must agree on.
        pub hash: u64,
        /// How many bytes the arguments have: [`MOST_BYTES`] at most.
        pub args_size: u64,
        /// How many bytes the result has: [`MOST_BYTES`] at most.
        pub result_size: u64,
        /// 1 if others may install handlers on it, 0 if nobody may.
        pub is_open: u64,
    }

    /// A guard.
    pub struct Condition {
        /// [`KEY`] or [`PREDICATE`].
        pub kind: u64,
        /// Of a key, the offset of the field in the arguments; of a predicate, its code.
        pub place: usize,
        /// Of a key, the width of the field in bytes.
        pub width: u64,
        /// Of a key, the value; of a predicate, the closure.
        pub value: u64,
    }
}

impl Exportation {
    /// What [`shape`](Self::shape) must be.
    pub const LAYOUT: u64 = <Self as Plain>::SHAPE;

    /// Of the event `E`, which must be small enough: it does not compile otherwise.
    #[must_use]
    pub const fn of<E: Event>(is_open: bool) -> Self {
        const {
            assert!(
                size_of::<E>() <= MOST_BYTES,
                "the arguments of an exported event have 256 bytes at most"
            );
            assert!(size_of::<E::Result>() <= MOST_BYTES, "its result has 256 bytes at most");
            assert!(
                align_of::<E>() <= MOST_ALIGNED && align_of::<E::Result>() <= MOST_ALIGNED,
                "as numbers are"
            );
        }
        Self {
            shape: Self::LAYOUT,
            hash: E::HASH,
            args_size: size_of::<E>() as u64,
            result_size: size_of::<E::Result>() as u64,
            is_open: is_open as u64,
        }
    }
}

impl Installation {
    /// What [`shape`](Self::shape) must be.
    pub const LAYOUT: u64 = <Self as Plain>::SHAPE;

    /// A handler without conditions.
    #[must_use]
    pub const fn new(event: usize, code: usize, closure: usize) -> Self {
        Self {
            shape: Self::LAYOUT,
            event,
            code,
            closure,
            is_filter: 0,
            replaces: NONE,
            rank: 0,
            before: NONE,
            after: NONE,
            bound_ns: NONE,
            capacity: 0,
            core: NONE,
            drops: 0,
            guard_count: 0,
            guards: [Condition { kind: 0, place: 0, width: 0, value: 0 }; MOST_GUARDS],
        }
    }
}
