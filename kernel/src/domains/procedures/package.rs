//! The interface `Package`: what thread packages ask of the scheduler.

use alloc::sync::Arc;

use dispatcher::{InstallError, handler::RawHandler};
use sched::{
    CoreSet, Machine,
    package::{ExitReason, Grant, HandOffError, RegisterError, Reservation},
};
use spindle::{Error, Status, package::Registration, plain::Text};

use super::{answer, dispatch::procedure, enter, failure, may_block, may_do_more_than_look};
use crate::{
    domains::domain::{Domain, with_running},
    strands::{
        Cpu, Package,
        packages::{self, Refused},
    },
};

pub extern "C" fn register(name: Text<'_>, wanted: &Registration, result: *mut u32) -> Status {
    answer(result, |domain| {
        may_do_more_than_look()?;
        if wanted.shape != Registration::LAYOUT {
            return Err(Error::BadArgument);
        }
        let mut grant = Grant::on(CoreSet(wanted.cores));
        if wanted.budget_ns > 0 || wanted.period_ns > 0 {
            grant = grant.reserving(Reservation { budget_ns: wanted.budget_ns, period_ns: wanted.period_ns });
        }
        grant.is_prompt = match wanted.is_prompt {
            0 => false,
            1 => true,
            _ => return Err(Error::BadArgument),
        };
        let handlers = handlers(domain, wanted)?;
        // SAFETY: the kit made them for the four events, whose hashes are part of its own.
        let package = unsafe { packages::register(name.as_str(), domain.state.clone(), grant, handlers) };
        package.map(|package| package.number()).map_err(refused)
    })
}

fn handlers(domain: &Domain, wanted: &Registration) -> Result<[RawHandler; 4], Error> {
    let handler = |index: usize| -> Result<RawHandler, Error> {
        let (code, closure) = procedure(domain, wanted.codes[index], wanted.closures[index])?;
        // SAFETY: image and closures stay until the domain was retired, which ejects its packages, removes
        // its handlers, and waits for a grace period and for sleepers first.
        Ok(unsafe { RawHandler::foreign(code, closure, domain.state.clone()) })
    };
    Ok([handler(0)?, handler(1)?, handler(2)?, handler(3)?])
}

fn refused(reason: Refused) -> Error {
    log::warn!("a thread package was not registered: {}", Told(reason));
    match reason {
        Refused::Register(RegisterError::Grant(error)) => match error {
            sched::package::GrantError::Exhausted { .. } => Error::Limit,
            _ => Error::BadArgument,
        },
        Refused::Register(RegisterError::TooMany) => Error::Limit,
        Refused::Install(InstallError::OutOfMemory) => Error::OutOfMemory,
        Refused::Install(InstallError::Closed) => Error::Closed,
        Refused::Install(_) => Error::Limit,
    }
}

struct Told(Refused);

impl core::fmt::Display for Told {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Refused::Register(error) => error.fmt(out),
            Refused::Install(error) => error.fmt(out),
        }
    }
}

/// The package of that number, if it is the caller's own and was not ejected.
fn own(domain: &Domain, number: u32) -> Result<Arc<Package>, Error> {
    let package = Cpu::scheduler().packages().by_number(number).ok_or(Error::Closed)?;
    if package.domain().is_none_or(|owner| owner.id() != domain.id()) {
        return Err(Error::Denied);
    }
    if package.is_ejected() { Err(Error::Closed) } else { Ok(package) }
}

pub extern "C" fn wake(package: u32, result: *mut bool) -> Status {
    answer(result, |domain| {
        may_do_more_than_look()?;
        Ok(own(domain, package)?.wake())
    })
}

pub extern "C" fn recall(package: u32, core: u32) -> Status {
    super::run(|domain| {
        may_do_more_than_look()?;
        if own(domain, package)?.recall(core as usize) { Ok(()) } else { Err(Error::BadArgument) }
    })
    .into()
}

pub extern "C" fn keep(package: u32, strand: u64) -> Status {
    super::run(|domain| {
        may_do_more_than_look()?;
        if own(domain, package)?.keep(strand) { Ok(()) } else { Err(Error::BadArgument) }
    })
    .into()
}

pub extern "C" fn resign(package: u32) -> Status {
    super::run(|domain| {
        may_do_more_than_look()?;
        own(domain, package)?.eject(ExitReason::Resigned, smp::core_id(), 0);
        Ok(())
    })
    .into()
}

pub extern "C" fn current(package: u32, result: *mut u64) -> Status {
    answer(result, |domain| {
        sched::package::current::<Cpu>(Some(domain.id()), package).map_err(|_| Error::Context)
    })
}

pub extern "C" fn used(package: u32, strand: u64, result: *mut u64) -> Status {
    answer(result, |domain| {
        sched::package::used::<Cpu>(Some(domain.id()), package, strand).ok_or(Error::BadArgument)
    })
}

pub extern "C" fn hand_off(package: u32, next: u64) -> Status {
    if let Err(error) = enter() {
        return Err(error).into();
    }
    let Some(owner) = with_running(Domain::id) else {
        return Err(Error::Context).into();
    };
    if !may_block() {
        return Err(Error::Context).into();
    }
    let handed = sched::package::hand_off::<Cpu>(Some(owner), package, next);
    // It was away, and may have failed elsewhere meanwhile.
    failure::cut_the_dead();
    handed
        .map_err(|error| match error {
            HandOffError::NotCarried => Error::Context,
            HandOffError::Ejected => Error::Closed,
            HandOffError::BadStrand => Error::BadArgument,
        })
        .into()
}
