//! Inheritance: a strand that waits for a lock lends its urgency to whoever has it.
//!
//! Each mutex lends its owner the greatest urgency among those in its line, if that is more than the owner's
//! own. When a strand's urgency changes while it waits, so may what its mutex lends to its owner, and so
//! on along the chain of owners: [`walk`] goes along, one link at a time, and no further than [`MOST_LINKS`].
//! For that, each strand's [`Lending`] says for which mutex it waits.
//!
//! Lock order: a mutex's inner lock, then that of a strand's lending, or the scheduler's. Along the chain it
//! is the other way round: there the inner lock is only tried.
//!
//! Loans are made under the inner lock, and taken back after it was given back: so of each loan the end
//! comes after the beginning, and a strand that becomes less urgent can give way at once. Who hands a lock on
//! makes the next owner run before he gives back what he was lent: else others could come between.

use core::ptr::NonNull;

use crate::{
    lock::Lock,
    mutex::{Core, Hold},
    primitive::constructor,
    strands::Strands,
};

/// How far urgency is passed on: to the owner, to the owner of what that one waits for, and so on. It
/// ends, too, where strands wait for each other in a circle.
pub const MOST_LINKS: usize = 8;

/// For what a strand waits. Part of the strand.
pub struct Lending<S: Strands> {
    waits_for: Lock<Place<S>, S>,
}

/// The mutex in whose line the strand stands. Set and cleared under that mutex's inner lock, too.
struct Place<S: Strands>(Option<NonNull<Core<S>>>);

// SAFETY: a mutex is pointed to while somebody stands in its line, and so borrows it; it can be shared.
unsafe impl<S: Strands<Strand: Send>> Send for Place<S> {}

impl<S: Strands> Lending<S> {
    constructor! {
        /// Of a strand that does not wait.
        pub fn new() -> Self {
            Self { waits_for: Lock::new(Place(None)) }
        }
    }
}

#[cfg(not(loom))]
impl<S: Strands> Default for Lending<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is to be done when the inner lock was given back, after what its owner is lent has changed.
#[must_use = "what is not given back stays lent"]
pub(crate) struct Change<S: Strands> {
    owner: S::Strand,
    taken_back: Option<u8>,
}

impl<S: Strands> Change<S> {
    /// The first link. Outside of locks.
    fn carry_out(self) -> S::Strand {
        if let Some(urgency) = self.taken_back {
            S::take_back(&self.owner, urgency);
        }
        self.owner
    }

    /// The whole chain. Outside of locks.
    pub(crate) fn pass_on(self) {
        let owner = self.carry_out();
        walk::<S>(&owner);
    }
}

/// The running strand, `this`, is about to stand in the line of `core`, under its inner lock. What the owner
/// is lent more by that.
pub(crate) fn stand_in_line<S: Strands>(
    this: &S::Strand,
    core: &Core<S>,
    hold: &mut Hold<S>,
) -> Option<Change<S>> {
    let urgency = {
        let mut waits_for = S::lending(this)?.waits_for.acquire();
        waits_for.0 = Some(NonNull::from(core));
        // Under that lock: who lends this strand more later, and then looks for what it waits, finds it.
        S::urgency(this)
    };
    let is_more = hold.lent < Some(urgency) && urgency > S::own_urgency(hold.owner.as_ref()?);
    if is_more { lend(hold, Some(urgency)) } else { None }
}

/// A strand stands in no line any more. Under the inner lock of the mutex for which it waited.
pub(crate) fn step_out<S: Strands>(strand: &S::Strand) {
    if let Some(lending) = S::lending(strand) {
        lending.waits_for.acquire().0 = None;
    }
}

/// Lends the owner what it should be lent, after the line has changed. Under the inner lock. Cost: a look at
/// all who wait.
pub(crate) fn settle<S: Strands>(hold: &mut Hold<S>) -> Option<Change<S>> {
    let owner = hold.owner.as_ref()?;
    S::lending(owner)?;
    let own = S::own_urgency(owner);
    let wanted = hold.queue.strands().map(S::urgency).max().filter(|urgency| *urgency > own);
    if wanted != hold.lent { lend(hold, wanted) } else { None }
}

fn lend<S: Strands>(hold: &mut Hold<S>, wanted: Option<u8>) -> Option<Change<S>> {
    let owner = hold.owner.clone()?;
    if let Some(urgency) = wanted {
        S::lend(&owner, urgency);
    }
    let taken_back = core::mem::replace(&mut hold.lent, wanted);
    Some(Change { owner, taken_back })
}

/// A strand's urgency has changed: passes that on to the owner of what it waits for, and so on. Outside of
/// locks. Cost: for each link of the chain a few dozen instructions and a look at those in line.
pub fn walk<S: Strands>(strand: &S::Strand) {
    let mut owner;
    let mut strand = strand;
    for _ in 0..MOST_LINKS {
        match S::shielded(|| step::<S>(strand)) {
            Some(change) => owner = change.carry_out(),
            None => return,
        }
        strand = &owner;
    }
}

/// One link: what the owner is lent more or less now.
fn step<S: Strands>(strand: &S::Strand) -> Option<Change<S>> {
    let lending = S::lending(strand)?;
    let mut tries = 0;
    loop {
        let waits_for = lending.waits_for.acquire();
        let place = waits_for.0?;
        // SAFETY: the strand stands in its line, and borrows it, until `waits_for` is cleared, for which its
        // lock is needed, which is held.
        let core = unsafe { place.as_ref() };
        if let Some(mut hold) = core.state.try_acquire() {
            // The strand leaves the line under this lock alone.
            drop(waits_for);
            return settle(&mut hold);
        }
        drop(waits_for);
        S::relax(tries);
        tries = tries.saturating_add(1);
    }
}
