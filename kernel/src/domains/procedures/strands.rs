//! The interface `Strand`: what spindles do with strands.
//!
//! Every word that arrives is an allegation. A name leads to a strand by the directory, or to nobody; what a
//! domain may do to the strand that it leads to is decided here.

use alloc::sync::Arc;

use dispatcher::Processor;
use sched::{CoreSet, Machine, Priority};
use spindle::{
    Error, Status,
    installation::NONE,
    plain::Text,
    strand::{MOST_NAME, Spawning},
};

use super::{Printable, answer, dispatch::procedure, enter, failure, may_block, may_do_more_than_look, run};
use crate::{
    domains::{
        domain::{Domain, with_running},
        strands::{Entry, Wanted},
    },
    strands::{Cpu, Package, Strand},
};

/// How long a wait without end is at a time, in nanoseconds: an hour.
const LONGEST_WAIT_NS: u64 = 3_600_000_000_000;

pub extern "C" fn spawn(wanted: &Spawning, name: Text<'_>, result: *mut u64) -> Status {
    answer(result, |domain| {
        may_do_more_than_look()?;
        if wanted.shape != Spawning::LAYOUT {
            return Err(Error::BadArgument);
        }
        let priority = u8::try_from(wanted.priority).map_err(|_| Error::Limit)?;
        if priority > Priority::NORMAL.number() {
            return Err(Error::Limit);
        }
        let package = match wanted.package {
            NONE => None,
            number => Some(package(number)?),
        };
        let (code, closure) = procedure(domain, wanted.code, wanted.closure)?;
        let name = name.as_str();
        let name = alloc::format!("{}", Printable(&name[..name.floor_char_boundary(MOST_NAME)]));
        let wanted = Wanted {
            name: &name,
            priority: Priority::new(priority),
            cores: CoreSet(wanted.cores),
            package,
            code,
            closure,
        };
        // SAFETY: the code lies in the caller's image; that it is code for this closure, nobody but the kit
        // can know.
        unsafe { domain.strands.spawn(wanted) }
    })
}

/// The thread package of that number. Anybody may be scheduled by it who knows it: it is told of each strand, and
/// need not run it.
fn package(number: u64) -> Result<Arc<Package>, Error> {
    let package = u32::try_from(number).ok().and_then(|number| Cpu::scheduler().packages().by_number(number));
    package.filter(|package| !package.is_ejected()).ok_or(Error::BadArgument)
}

/// The strand of that name. `None` if there is none, or none any more.
fn named(name: u64) -> Option<Arc<Strand>> {
    Cpu::scheduler().directory().get(name)
}

/// Does the strand belong to the domain, so that it may do all to it?
fn belongs(strand: &Strand, domain: &Domain) -> bool {
    Entry::of(strand).is_some_and(|entry| entry.is_of(domain.id()))
}

pub extern "C" fn current(result: *mut u64) -> Status {
    answer(result, |domain| {
        may_do_more_than_look()?;
        let this = sched::current::<Cpu>();
        match Entry::of(&this) {
            Some(entry) if !entry.is_of(domain.id()) => entry.note_visit(domain.id()),
            _ => {}
        }
        // A strand of the core's own has no name until somebody asks.
        Cpu::scheduler().directory().enter(&this).ok_or(Error::Limit)
    })
}

pub extern "C" fn unblock(name: u64) -> Status {
    run(|domain| {
        may_do_more_than_look()?;
        let Some(strand) = named(name) else { return Ok(()) };
        // Its own; one that has told its name in the domain's code; or one of the core's, which looks again at
        // what it waits for.
        let may_wake = |entry: &Entry| entry.is_of(domain.id()) || entry.has_visited(domain.id());
        if !Entry::of(&strand).is_none_or(may_wake) {
            return Err(Error::BadArgument);
        }
        sched::unblock(&strand);
        Ok(())
    })
    .into()
}

pub extern "C" fn terminate(name: u64) -> Status {
    run(|domain| {
        may_do_more_than_look()?;
        let Some(strand) = named(name) else { return Ok(()) };
        if !belongs(&strand, domain) {
            return Err(Error::BadArgument);
        }
        Entry::of(&strand).expect("it belongs to a domain").terminate();
        // Its package may keep it from a wait that is over, or from ever beginning.
        sched::package::release(&strand);
        Ok(())
    })
    .into()
}

pub extern "C" fn is_terminated(result: *mut bool) -> Status {
    answer(result, |_| {
        let this = sched::current::<Cpu>();
        Ok(is_over(&this))
    })
}

/// Waits until the running strand is unblocked, or until `deadline_ns`, or until its waits are over; may return
/// early. The caller holds nothing: the strand may be cut here.
///
/// # Errors
///
/// [`Error::Closed`] if the domain whose code waits is being retired; [`Error::Terminated`] if the strand was
/// asked to end, or its own domain is being retired.
pub fn wait(deadline_ns: Option<u64>) -> Result<(), Error> {
    let waited = with_running(|domain| {
        let this = sched::current::<Cpu>();
        wait_in(domain, &this, deadline_ns)
    });
    failure::cut_the_dead();
    waited.unwrap_or(Err(Error::Context))
}

/// What keeps `this` from waiting in the domain's code, if anything does.
fn may_wait(domain: &Domain, this: &Strand) -> Result<(), Error> {
    if !domain.is_open() {
        return Err(Error::Closed);
    }
    if is_over(this) { Err(Error::Terminated) } else { Ok(()) }
}

/// Are its waits over? In the code of others it is the strand that must go: it was asked to, or its own domain must.
pub fn is_over(this: &Strand) -> bool {
    this.is_terminated() || Entry::of(this).is_some_and(Entry::is_over)
}

fn wait_in(domain: &Domain, this: &Strand, deadline_ns: Option<u64>) -> Result<(), Error> {
    may_wait(domain, this)?;
    match deadline_ns {
        // The ledger wakes its own, if the domain is closed after it was asked.
        None if belongs(this, domain) => sched::block::<Cpu>(),
        Some(deadline_ns) if belongs(this, domain) => sched::block_until::<Cpu>(deadline_ns),
        // The domain must know who waits for its code.
        _ => _ = domain.nap_until(deadline_ns.unwrap_or_else(|| Cpu::now_ns() + LONGEST_WAIT_NS)),
    }
    may_wait(domain, this)
}

/// Is this a place where the strand may wait?
fn enter_to_wait() -> Result<(), Error> {
    enter()?;
    if may_block() { Ok(()) } else { Err(Error::Context) }
}

pub extern "C" fn block() -> Status {
    enter_to_wait().and_then(|()| wait(None)).into()
}

pub extern "C" fn block_until(deadline_ns: u64) -> Status {
    enter_to_wait().and_then(|()| wait(Some(deadline_ns))).into()
}

pub extern "C" fn join(name: u64) -> Status {
    let joined = enter_to_wait().and_then(|()| {
        loop {
            // Nothing is held while it waits: it may be cut there.
            if with_running(|domain| has_ended(domain, name)).unwrap_or(Err(Error::Context))? {
                return Ok(());
            }
            if let Err(error) = wait(None) {
                forget(name);
                return Err(error);
            }
        }
    });
    joined.into()
}

/// Has the strand of that name ended? If not, the running strand is woken when it has.
fn has_ended(domain: &Domain, name: u64) -> Result<bool, Error> {
    let Some(strand) = named(name) else { return Ok(true) };
    let this = sched::current::<Cpu>();
    if !belongs(&strand, domain) {
        return Err(Error::BadArgument);
    }
    if Arc::ptr_eq(&strand, &this) {
        return Err(Error::Context);
    }
    Entry::of(&strand).expect("it belongs to a domain").has_ended_or_calls(&this)
}

/// The running strand waits for the strand of that name no more.
fn forget(name: u64) {
    let this = sched::current::<Cpu>();
    if let Some(strand) = named(name)
        && let Some(entry) = Entry::of(&strand)
    {
        entry.forget_joiner(&this);
    }
}
