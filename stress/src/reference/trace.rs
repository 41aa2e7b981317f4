//! What handlers write down, and what they answer.
//!
//! Intrinsic and default handlers are plain procedures, without a closure in which they could keep
//! where to write; so there is a *lane* for each program that runs at once, and the arguments name it.

use alloc::vec::Vec;
use core::fmt::Debug;

use dispatcher::BindingId;

use super::program::Args;

/// How many programs can run at once.
pub const LANES: usize = 64;

/// Who was called: a number for each handler of a program.
pub(super) type Tag = u32;

/// One call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) tag: Tag,
    /// The arguments, as the handler found them.
    pub(super) seen: Args,
}

/// What one program's handlers have written down since it was last read.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) calls: Vec<Call>,
    /// Predicates that were called: whose, and which of his tests.
    pub(super) asked: Vec<(Tag, usize)>,
}

static TRACES: [spin::Mutex<Trace>; LANES] =
    [const { spin::Mutex::new(Trace { calls: Vec::new(), asked: Vec::new() }) }; LANES];

/// Writes a call down and says what the handler answers.
pub(super) fn called<R: Answer>(tag: Tag, args: &Args) -> R {
    let call = Call { tag, seen: *args };
    TRACES[args.lane as usize].lock().calls.push(call);
    call.answer()
}

/// Writes down that a predicate was called.
pub(super) fn asked(tag: Tag, number: usize, args: &Args) {
    TRACES[args.lane as usize].lock().asked.push((tag, number));
}

/// What was written down, which is forgotten.
pub(super) fn take(lane: u32) -> Trace {
    core::mem::take(&mut *TRACES[lane as usize].lock())
}

/// The result of an event.
pub trait Answer: Copy + PartialEq + Debug + Send + 'static {
    /// The result that comes of this number.
    fn of(word: u64) -> Self;
    /// A number that comes of it.
    fn word(self) -> u64;
}

impl Answer for u64 {
    fn of(word: u64) -> Self {
        word
    }

    fn word(self) -> u64 {
        self
    }
}

impl Answer for u8 {
    fn of(word: u64) -> Self {
        (word >> 7) as Self
    }

    fn word(self) -> u64 {
        u64::from(self)
    }
}

/// Wider than a register.
impl Answer for [u64; 3] {
    fn of(word: u64) -> Self {
        [word, !word, word.rotate_left(17)]
    }

    fn word(self) -> u64 {
        self[0] ^ self[1].rotate_left(1) ^ self[2].rotate_left(2)
    }
}

impl Call {
    /// What the handler answers: it depends on who was called, and on everything that he saw.
    pub(super) fn answer<R: Answer>(&self) -> R {
        let Args { number, port, kind, flag, sign, lane: _ } = self.seen;
        let seen = [number, u64::from(port), u64::from(kind), u64::from(flag), sign as u64];
        R::of(seen.into_iter().fold(u64::from(self.tag), mix))
    }
}

/// The policy of a fold: it tells every order apart.
pub(super) fn fold<R: Answer>(so_far: R, next: R) -> R {
    R::of(mix(so_far.word(), next.word()))
}

/// An owner's own policy: it looks at who answered, too.
pub(super) fn own<R: Answer>(so_far: Option<R>, next: R, who: BindingId) -> R {
    R::of(mix(mix(so_far.map_or(3, Answer::word), next.word()), who.number()))
}

const fn mix(one: u64, other: u64) -> u64 {
    (one ^ other.wrapping_add(0x9e37_79b9)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
}
