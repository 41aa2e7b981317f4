//! How a package ends: by its own wish, with its domain, or ejected. What becomes of its strands.
//!
//! Whoever finds the package at fault says so and calls its carriers; each, when it next has its core, frees what
//! the package keeps, and its own seat's notices, and ends. While a carrier has its core, no strand of the
//! package's is carried there, and after it has seen the word nothing on that core overlooks it: so what is
//! left behind on a core is found by that core's own carrier, and no fence is needed on the paths that leave it.

use core::{fmt, sync::atomic::Ordering};

use super::{Name, Package, Seat};
use crate::{machine::Machine, strand::Strand};
use alloc::sync::Arc;

/// Why a package is no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It wanted to.
    Resigned,
    /// Its domain was unloaded, or has failed.
    DomainGone,
    /// A handler of its own had no answer.
    Silent,
    /// It answered with a handle of no strand: of one that has ended, perhaps.
    NoSuchStrand,
    /// It answered with a strand that is not its own.
    ForeignStrand,
    /// It answered with a strand that waits for somebody.
    BlockedStrand,
    /// It answered with a strand that went on running on another core.
    RunsElsewhere,
    /// It left a strand waiting of which it had been told that it can run.
    Starved,
    /// There was no memory for its virtual processors.
    OutOfMemory,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Resigned => "it resigned",
            Self::DomainGone => "its domain is gone",
            Self::Silent => "it did not answer",
            Self::NoSuchStrand => "it answered with a strand that is not there",
            Self::ForeignStrand => "it answered with a strand that is not its own",
            Self::BlockedStrand => "it answered with a strand that is blocked",
            Self::RunsElsewhere => "it answered with a strand that runs on another core",
            Self::Starved => "it left a strand waiting for too long",
            Self::OutOfMemory => "there was no memory for its virtual processors",
        })
    }
}

/// The record of a package's end.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// The package's number.
    pub number: u32,
    /// Its name.
    pub name: Name,
    /// Why.
    pub reason: Reason,
    /// On which core that was found.
    pub core: usize,
    /// The handle in question; zero if there was none.
    pub strand: u64,
    /// When, in nanoseconds since boot.
    pub at_ns: u64,
}

impl<M: Machine> Package<M> {
    /// Asks it no more, and gives its strands to the global scheduler: soon, by its carriers. The first to say
    /// so is the one whose reason is recorded. From any context but interrupts.
    pub fn eject(&self, reason: Reason, core: usize, strand: u64) {
        // Relaxed: see the head of this file.
        if self.is_ejected.swap(true, Ordering::Relaxed) {
            return;
        }
        let (number, name, at_ns) = (self.number, self.name, M::now_ns());
        M::scheduler().packages().record(Exit { number, name, reason, core, strand, at_ns });
        M::package_ejected(self, reason);
        self.call_carriers();
    }

    /// It did not answer: because its domain is gone, or has failed, or by its own fault.
    pub(super) fn eject_for_silence(&self, core: usize, strand: u64) {
        let is_open = self.domain.as_ref().is_none_or(|domain| domain.is_open());
        self.eject(if is_open { Reason::Silent } else { Reason::DomainGone }, core, strand);
    }

    pub(super) fn call_carriers(&self) {
        for seat in self.seats() {
            seat.call();
            seat.recall();
        }
    }

    /// By a carrier that has seen the ejection, as its last act but ending; or in the place of one that could not
    /// be made.
    pub(super) fn leave_seat(&self, seat: &Seat<M>) {
        self.close_seat(seat);
        // Nobody but this carrier would go on with it.
        if let Some(strand) = M::scheduler().directory().get(seat.take_first())
            && let Some(managed) = &strand.managed
        {
            managed.hold.set(super::hold::Held::Free);
            M::scheduler().enqueue(strand);
        }
        self.free_kept();
        // Release: pairs with the Acquire of `is_gone`.
        if self.carriers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.bury();
        }
    }

    /// No more notices there, and those that were not told of go on without the package.
    pub(super) fn close_seat(&self, seat: &Seat<M>) {
        seat.close(|strand| {
            let managed = strand.managed.as_ref().expect("only managed strands have notices");
            managed.hold.set(super::hold::Held::Free);
            M::scheduler().enqueue(strand);
        });
    }

    /// Frees every strand that is in the package's keeping.
    fn free_kept(&self) {
        M::scheduler().directory().for_each(|strand| self.free_if_kept(strand));
    }

    pub(super) fn free_if_kept(&self, strand: &Arc<Strand<M>>) {
        let is_ours = |managed: &&crate::strand::Managed<M>| core::ptr::eq(&*managed.package, self);
        if let Some(managed) = strand.managed.as_ref().filter(is_ours)
            && managed.hold.free().is_ok()
        {
            M::scheduler().enqueue(strand.clone());
        }
    }

    pub(super) fn bury(&self) {
        M::scheduler().packages().remove(self.number);
    }
}
