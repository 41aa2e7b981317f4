//! A strand that is carried: how it gives up its core, to whom its package says.

use alloc::sync::Arc;
use core::{fmt, sync::atomic::Ordering};

use super::{ExitReason, Package, Reason, Silent, hold::Held};
use crate::{
    machine::Machine,
    strand::{Managed, Strand},
    switch::{self, Leaving, Parting},
};

/// What became of a package's wish to run a strand.
pub(super) enum Claim<M: Machine> {
    /// It is nobody else's until it leaves the core.
    Yours(Arc<Strand<M>>),
    /// It is still on its way out elsewhere, or its package has not been told of it yet.
    NotYet,
    /// It is the package's no more, which is nobody's fault.
    Gone,
    /// It cannot be.
    Never(ExitReason),
}

/// Takes the strand of that handle, to run it.
pub(super) fn claim<M: Machine>(package: &Arc<Package<M>>, handle: u64) -> Claim<M> {
    let Some(strand) = M::scheduler().directory().get(handle) else {
        // Of a strand that was taken from it, and has ended since, the package may not have heard.
        return if package.is_excused() { Claim::Gone } else { Claim::Never(ExitReason::NoSuchStrand) };
    };
    let Some(managed) = strand.managed.as_ref().filter(|managed| Arc::ptr_eq(&managed.package, package))
    else {
        return Claim::Never(ExitReason::ForeignStrand);
    };
    match managed.hold.claim() {
        Ok(was) => {
            if was == Held::Told {
                package.no_longer_waits();
            }
            Claim::Yours(strand)
        }
        // Of one that had no stack left to say so it could not know.
        Err(Held::Blocked) if package.is_excused() => Claim::Gone,
        Err(Held::Blocked) => Claim::Never(ExitReason::BlockedStrand),
        Err(Held::Free) => Claim::Gone,
        Err(_) => Claim::NotYet,
    }
}

/// The running strand, as long as it runs.
fn running<'a, M: Machine>() -> &'a Strand<M> {
    // SAFETY: on this core, masked; the reference ends with the statement.
    let this = M::masked(|| Arc::as_ptr(&unsafe { M::core().local() }.current));
    // SAFETY: a core keeps its current strand, and whatever becomes of a strand that leaves, it is kept until
    // it has its turn again; the reference is used by the strand itself alone.
    unsafe { &*this }
}

fn managed<M: Machine>(strand: &Strand<M>) -> &Managed<M> {
    strand.managed.as_ref().expect("only managed strands are carried")
}

/// The running strand is about to run code of its package's own, if that is the domain `domain`, on behalf of
/// somebody who asks the package for something: says so, and then [`leave_own`] must follow.
///
/// While it does, it is not checkpointed: it may have a lock of the package's, on which the carrier would spin
/// that tells the package of it. It can lose its core all the same, and then goes on first when its carrier has
/// it back. Cost: a few loads.
#[inline]
pub fn enter_own<M: Machine>(domain: u32) -> bool {
    let this = running::<M>();
    let is_own = |managed: &&Managed<M>| managed.package.domain().is_some_and(|owner| owner.id() == domain);
    match this.managed.as_ref().filter(is_own) {
        Some(managed) => {
            deepen(managed, 1);
            true
        }
        None => false,
    }
}

/// See [`enter_own`].
#[inline]
pub fn leave_own<M: Machine>() {
    if let Some(managed) = &running::<M>().managed {
        deepen(managed, -1);
        if switch::is_due::<M>() {
            // It was called off meanwhile.
            M::unpreempted(|| ());
        }
    }
}

fn deepen<M: Machine>(managed: &Managed<M>, by: i32) {
    // Relaxed, and not one instruction: the strand's own, looked at where it runs.
    let depth = managed.depth.load(Ordering::Relaxed).wrapping_add_signed(by);
    managed.depth.store(depth, Ordering::Relaxed);
}

/// Does the strand run its package's own code? Of one that was ejected that matters to nobody: its carriers ask it
/// nothing, and must have their cores back to end.
pub(crate) fn is_in_own<M: Machine>(strand: &Strand<M>) -> bool {
    strand
        .managed
        .as_ref()
        .is_some_and(|managed| managed.depth.load(Ordering::Relaxed) > 0 && !managed.package.is_ejected())
}

/// The running strand, which is carried, gives up its core: its package is told, and says who is next. Returns
/// when it has its turn again. Interrupts on, outside of locks.
pub(crate) fn give_up<M: Machine>(reason: Reason) {
    // Nothing that must be dropped is on the stack when it leaves: it may be over.
    let this = running::<M>();
    let package = &managed(this).package;
    // In its package's own code from here on, so that it stays on this core: what the package answers is carried out
    // where it was asked.
    let core = M::masked(|| {
        // SAFETY: on this core, masked; the reference ends with the statement.
        let is_carried = unsafe { M::core().local() }.carrier.is_some();
        is_carried.then(|| {
            deepen(managed(this), 1);
            M::core_id()
        })
    });
    let Some(core) = core else {
        // It was let go a moment ago.
        return M::masked(|| part_freely::<M>(reason, None));
    };
    let answer = if package.is_ejected() { Some(0) } else { ask(package, core, this, reason) };
    // Claimed and gone over to without an interrupt in between: whoever is claimed waits for this core.
    let wrong = M::masked(|| {
        deepen(managed(this), -1);
        let answer = answer?;
        if answer == 0 {
            part::<M>(reason, None);
            return None;
        }
        match claim(package, answer) {
            Claim::Yours(next) => part::<M>(reason, Some(next)),
            Claim::NotYet => {
                if let Some(seat) = package.seat(M::core_id()) {
                    seat.want(answer);
                }
                part::<M>(reason, None);
            }
            Claim::Gone => part::<M>(reason, None),
            Claim::Never(why) => return Some((why, answer)),
        }
        None
    });
    let Some((why, answer)) = wrong else { return };
    package.eject(why, core, answer);
    M::masked(|| part::<M>(reason, None));
}

/// Tells the package what there is to be told here, and that the running strand gives up its core; whom it names.
/// `None` if that could not be told, and need not be: the strand just goes on.
fn ask<M: Machine>(package: &Package<M>, core: usize, this: &Strand<M>, reason: Reason) -> Option<u64> {
    let told = package.seat(core).map_or(0, |seat| seat.deliver(package));
    let handle = this.handle().unwrap_or(0);
    match M::raise_block(package, core, handle, reason) {
        Ok(answer) => {
            // Without an answer the carrier asks, for one of them.
            package.wake_some(if answer == 0 { told.saturating_sub(1) } else { told });
            return Some(answer);
        }
        // Whoever has so little stack left gives way to nobody.
        Err(Silent::NoRoom) if reason == Reason::Yielded => return None,
        // It will believe that the strand can run.
        Err(Silent::NoRoom) => _ = package.released.fetch_add(1, Ordering::Relaxed),
        Err(Silent::Failed) => package.eject_for_silence(core, handle),
    }
    Some(0)
}

/// Leaves for that reason, to a strand that was claimed or to the carrier. Interrupts masked.
fn part<M: Machine>(reason: Reason, next: Option<Arc<Strand<M>>>) {
    // SAFETY: on this core, masked; used no more before the strand leaves.
    let local = unsafe { M::core().local() };
    if local.carrier.is_none() {
        return part_freely::<M>(reason, next);
    }
    let was_called = reason == Reason::Blocked && local.current.token.take();
    let parting = match reason {
        // Its package has heard that it blocks, and has to hear that it does not.
        Reason::Blocked if was_called => Parting::Called,
        Reason::Blocked => Parting::Park,
        Reason::Yielded => Parting::Keep,
        Reason::Ended => Parting::End,
    };
    switch::hand_over::<M>(parting, next);
}

/// The package was ejected, and the running strand freed, while the package was asked: it leaves as any other.
#[cold]
fn part_freely<M: Machine>(reason: Reason, next: Option<Arc<Strand<M>>>) {
    if let Some(next) = next {
        managed(&next).hold.set(Held::Free);
        M::scheduler().enqueue(next);
    }
    match reason {
        Reason::Blocked => {
            // SAFETY: on this core, masked; the reference ends with the statement.
            if !unsafe { M::core().local() }.current.token.take() {
                switch::leave::<M>(Leaving::Blocking);
            }
        }
        Reason::Yielded => switch::leave::<M>(Leaving::Yielding),
        Reason::Ended => switch::leave::<M>(Leaving::Ending),
    }
}

/// The running strand's last act, whether carried or not. Does not return.
pub(crate) fn end<M: Machine>() {
    if let Some(managed) = &running::<M>().managed {
        managed.package.strands.fetch_sub(1, Ordering::Relaxed);
    }
    let is_carried = M::masked(|| {
        // SAFETY: on this core, masked; used no more before the strand leaves.
        let is_carried = unsafe { M::core().local() }.carrier.is_some();
        if !is_carried {
            switch::leave_for_joiner::<M>();
            switch::leave::<M>(Leaving::Ending);
        }
        is_carried
    });
    if is_carried {
        give_up::<M>(Reason::Ended);
    }
}

/// A strand that can run, and that nobody else has, comes into its package's keeping; or is the global scheduler's
/// from now on, if it was [released](release) meanwhile: then false.
#[inline(always)]
pub(crate) fn give<M: Machine>(strand: Arc<Strand<M>>, held: Held) -> bool {
    let is_given = managed(&strand).hold.give(held);
    if !is_given {
        set_free(strand);
    }
    is_given
}

#[cold]
fn set_free<M: Machine>(strand: Arc<Strand<M>>) {
    // Before it can end.
    managed(&strand).package.released.fetch_add(1, Ordering::Relaxed);
    M::scheduler().enqueue(strand);
}

/// Takes a strand from its package's keeping, now or when it comes there next: it goes on as the global scheduler's,
/// and for it nothing is asked or told any more. For a strand whose waits are over.
///
/// The package does not hear of it. When it answers with the strand it is asked again, once even after the
/// strand has ended.
pub fn release<M: Machine>(strand: &Arc<Strand<M>>) {
    if let Some(managed) = &strand.managed
        && let Ok(was) = managed.hold.let_go()
    {
        if was == Held::Told {
            managed.package.no_longer_waits();
        }
        set_free(strand.clone());
    }
}

/// Why a strand was not handed over to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandOffError {
    /// The running strand is not on a virtual processor of that package.
    NotCarried,
    /// The package was ejected.
    Ejected,
    /// The other strand is not one that the package could run.
    BadStrand,
}

impl fmt::Display for HandOffError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotCarried => {
                "only a strand of the package's own hands its core over, while the package runs it"
            }
            Self::Ejected => "the package was ejected: its strands are the global scheduler's",
            Self::BadStrand => "the other strand is no strand of the package's that can run",
        })
    }
}

impl core::error::Error for HandOffError {}

/// The handle of the running strand, if package `number`, which is the domain `owner`'s, runs it.
///
/// Cost: a few loads.
///
/// # Errors
///
/// [`HandOffError::NotCarried`].
pub fn current<M: Machine>(owner: Option<u32>, number: u32) -> Result<u64, HandOffError> {
    M::masked(|| {
        let (this, _) = carried_by::<M>(owner, number)?;
        this.handle().ok_or(HandOffError::NotCarried)
    })
}

/// For how long the strand of that handle has had cores, in nanoseconds, if it is one of package `number`, which is
/// the domain `owner`'s. From any context.
///
/// Cost: a look into the directory.
pub fn used<M: Machine>(owner: Option<u32>, number: u32, handle: u64) -> Option<u64> {
    let strand = M::scheduler().directory().get(handle)?;
    let package = &strand.managed.as_ref()?.package;
    let is_its = package.number() == number && package.domain().map(|domain| domain.id()) == owner;
    is_its.then(|| strand.run_ns())
}

/// The running strand and its package, if it is carried by that one. Interrupts masked.
fn carried_by<'a, M: Machine>(
    owner: Option<u32>,
    number: u32,
) -> Result<(&'a Strand<M>, &'a Arc<Package<M>>), HandOffError> {
    // SAFETY: on this core, masked; the reference ends with the statement.
    if unsafe { M::core().local() }.carrier.is_none() {
        return Err(HandOffError::NotCarried);
    }
    let this = running::<M>();
    let package = &managed(this).package;
    let is_its = package.number() == number && package.domain().map(|domain| domain.id()) == owner;
    if is_its { Ok((this, package)) } else { Err(HandOffError::NotCarried) }
}

/// The running strand, of package `number`, which is the domain `owner`'s, becomes its package's to keep, and the strand `to` runs in its
/// place; with zero, whom the package says when it is asked. Returns when the package runs this one again. The
/// package is told nothing: it is the one that calls.
///
/// Cost: one switch; no event is raised, no queue is touched.
///
/// # Errors
///
/// See [`HandOffError`]; nothing has changed then.
pub fn hand_off<M: Machine>(owner: Option<u32>, number: u32, to: u64) -> Result<(), HandOffError> {
    M::masked(|| {
        let (this, package) = carried_by::<M>(owner, number)?;
        if package.is_ejected() {
            return Err(HandOffError::Ejected);
        }
        let seat = package.seat(M::core_id()).expect("it is carried on a seat");
        if to == 0 {
            switch::hand_over::<M>(Parting::Keep, None);
            return Ok(());
        }
        if this.handle() == Some(to) {
            return Err(HandOffError::BadStrand);
        }
        let next = match claim(package, to) {
            // What is to be told is told first, so that a package that only hands off hears of it.
            Claim::Yours(next) if seat.has_notices() => {
                give(next, Held::Kept);
                seat.want(to);
                None
            }
            Claim::Yours(next) => Some(next),
            Claim::NotYet => {
                seat.want(to);
                None
            }
            Claim::Gone | Claim::Never(_) => return Err(HandOffError::BadStrand),
        };
        switch::hand_over::<M>(Parting::Keep, next);
        Ok(())
    })
}
