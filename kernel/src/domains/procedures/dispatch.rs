//! The interface `Dispatcher`: what spindles do with events.
//!
//! A wish for a handler is an allegation: every word of it is checked that can be. That code is what it
//! says, and that closures belong to it, nobody but the kit can know.

use core::ptr;

use dispatcher::{
    BindingId, Caller, InstallError, Order, RaiseError, RawKey,
    guard::RawGuard,
    handler::{Code, RawHandler},
    post::{MailboxError, OnFull, Place, Posting},
};
use spindle::{
    Error, Status,
    installation::{Condition, Exportation, FIRST, Installation, KEY, LAST, MOST_WAITING, NONE, PREDICATE},
    plain::Text,
};

use super::{answer, enter, failure, has_stack, may_do_more_than_look};
use crate::{
    domains::domain::{Domain, with_running},
    events::{
        self, KernelEvent,
        exported::{self, Declaration},
    },
    strands::Cpu,
};

pub extern "C" fn install(wanted: &Installation, result: *mut u64) -> Status {
    answer(result, |domain| {
        may_do_more_than_look()?;
        if wanted.shape != Installation::LAYOUT {
            return Err(Error::BadArgument);
        }
        let event = events::by_number(wanted.event).ok_or(Error::Unbound)?;
        let handler = handler(domain, wanted)?;
        keys_fit(wanted, event.args_size())?;
        let installed = match binding(wanted.replaces) {
            // SAFETY: the number came with an import of the event's hash, so the types are the event's.
            None => unsafe { event.install(handler) },
            // SAFETY: as above.
            Some(old) => unsafe { event.replace(old, handler, domain.id()) },
        };
        installed.map(BindingId::number).map_err(|error| refused(domain, &*event, error))
    })
}

/// Do its keys lie in the arguments?
fn keys_fit(wanted: &Installation, args_size: usize) -> Result<(), Error> {
    let guards = wanted.guards.get(..wanted.guard_count as usize).ok_or(Error::Limit)?;
    let mut keys = guards.iter().filter(|guard| guard.kind == KEY);
    let fits = |key: &Condition| key.place.saturating_add(key.width as usize) <= args_size;
    if keys.all(fits) { Ok(()) } else { Err(Error::BadArgument) }
}

pub extern "C" fn export(
    wanted: &Installation,
    name: Text<'_>,
    signature: Text<'_>,
    event: &Exportation,
) -> Status {
    super::run(|domain| {
        may_do_more_than_look()?;
        if wanted.shape != Installation::LAYOUT || event.shape != Exportation::LAYOUT {
            return Err(Error::BadArgument);
        }
        let is_open = match event.is_open {
            0 => false,
            1 => true,
            _ => return Err(Error::BadArgument),
        };
        let declaration = Declaration {
            name: name.as_str(),
            signature: signature.as_str(),
            hash: event.hash,
            args_size: event.args_size as usize,
            result_size: event.result_size as usize,
            is_open,
            copies: wanted.is_filter != 0 || wanted.capacity != 0,
        };
        let handler = handler(domain, wanted)?;
        keys_fit(wanted, declaration.args_size)?;
        // SAFETY: the kit made the handler, the sizes and the hash for one and the same type.
        let entered = unsafe { exported::export(&declaration, handler, &domain.state) };
        if entered == Err(Error::Exists) {
            // By whom is not said: the names of domains are behind a lock for which one may have to wait.
            log::warn!(
                "{} cannot export {}: somebody does already: see `events`",
                domain.name,
                declaration.name
            );
        }
        entered
    })
    .into()
}

/// What the wish comes to, if it can be had.
pub(in crate::domains) fn handler(domain: &Domain, wanted: &Installation) -> Result<RawHandler, Error> {
    let guards = wanted.guards.get(..wanted.guard_count as usize).ok_or(Error::Limit)?;
    let (code, closure) = procedure(domain, wanted.code, wanted.closure)?;
    // SAFETY: image and closure stay until the domain was retired, which closes it, removes its handlers
    // and waits for a grace period and for sleepers first; or the closure until the handler was drained.
    let mut handler = unsafe { RawHandler::foreign(code, closure, domain.state.clone()) };
    for wanted in guards {
        let guard = guard(domain, wanted)?;
        // SAFETY: the kit made it for arguments of the handler's own event.
        handler = unsafe { handler.guarded(guard) };
    }
    let rank = match wanted.rank {
        0 => None,
        FIRST => Some(Order::First),
        LAST => Some(Order::Last),
        _ => return Err(Error::BadArgument),
    };
    let before = binding(wanted.before).map(Order::Before);
    let after = binding(wanted.after).map(Order::After);
    handler = [rank, before, after].into_iter().flatten().fold(handler, RawHandler::order);
    if wanted.bound_ns != NONE {
        handler = handler.bounded_ns(wanted.bound_ns);
    }
    if let Some(posting) = posting(wanted)? {
        // SAFETY: arguments that a spindle knows are plain, hence copied and sent as they are.
        handler = unsafe { handler.posted(posting) };
    }
    match wanted.is_filter {
        0 => Ok(handler),
        1 => Ok(handler.filter()),
        _ => Err(Error::BadArgument),
    }
}

/// How it is run, if it is asynchronous.
fn posting(wanted: &Installation) -> Result<Option<Posting>, Error> {
    let place = match wanted.core {
        NONE => Place::Here,
        core => Place::Core(usize::try_from(core).map_err(|_| Error::BadArgument)?),
    };
    let on_full = match wanted.drops {
        0 => OnFull::Refuse,
        1 => OnFull::Drop,
        _ => return Err(Error::BadArgument),
    };
    match wanted.capacity {
        0 => Ok(None),
        capacity @ 1..=MOST_WAITING => Ok(Some(Posting { place, capacity: capacity as usize, on_full })),
        _ => Err(Error::Limit),
    }
}

fn guard(domain: &Domain, wanted: &Condition) -> Result<RawGuard, Error> {
    match wanted.kind {
        KEY => {
            // Whether it fits the event's arguments the dispatcher checks.
            let offset = u32::try_from(wanted.place).map_err(|_| Error::BadArgument)?;
            let width = u32::try_from(wanted.width).map_err(|_| Error::BadArgument)?;
            Ok(RawGuard::key(RawKey { offset, width }, wanted.value))
        }
        PREDICATE => {
            let (code, closure) = procedure(domain, wanted.place, wanted.value as usize)?;
            // SAFETY: as for the handler's own.
            Ok(unsafe { RawGuard::foreign(code, closure, domain.state.clone()) })
        }
        _ => Err(Error::BadArgument),
    }
}

/// Code and closure, if they can be the domain's own.
pub(super) fn procedure(domain: &Domain, code: usize, closure: usize) -> Result<(Code, *const ()), Error> {
    if !domain.has(code) {
        return Err(Error::BadArgument);
    }
    // SAFETY: it lies in the caller's image, and the kit made it from code of this form.
    let code = unsafe { core::mem::transmute::<usize, Code>(code) };
    Ok((code, ptr::with_exposed_provenance(closure)))
}

fn binding(number: u64) -> Option<BindingId> {
    (number != NONE).then(|| BindingId::from_number(number))
}

pub extern "C" fn remove(event: usize, binding: u64) -> Status {
    super::run(|domain| {
        may_do_more_than_look()?;
        let event = events::by_number(event).ok_or(Error::Unbound)?;
        let removed = event.remove(BindingId::from_number(binding), domain.id());
        removed.map_err(|error| refused(domain, &*event, error))
    })
    .into()
}

pub extern "C" fn remove_drained(event: usize, binding: u64) -> Status {
    let caller = super::run(|domain| {
        may_do_more_than_look()?;
        Ok(domain.id())
    });
    let removed = caller.and_then(|domain| {
        if !super::may_block() {
            return Err(Error::Context);
        }
        let event = events::by_number(event).ok_or(Error::Unbound)?;
        let removed = event.remove_drained(BindingId::from_number(binding), domain).map_err(|error| {
            with_running(|domain| refused(domain, &*event, error)).unwrap_or(Error::Context)
        });
        // It has waited, and may have failed elsewhere meanwhile. Who is cut drops nothing.
        drop(event);
        failure::cut_the_dead();
        removed
    });
    removed.into()
}

/// What the spindle is told; of a denial, only people are told more.
fn refused(domain: &Domain, event: &dyn KernelEvent, error: InstallError) -> Error {
    match error {
        InstallError::TooMany | InstallError::Quota => Error::Limit,
        InstallError::OutOfMemory => Error::OutOfMemory,
        InstallError::Closed => Error::Closed,
        InstallError::Unknown | InstallError::NoNeighbour(_) => Error::UnknownBinding,
        InstallError::Cycle => Error::Order,
        InstallError::BadKey | InstallError::PostedFilter => Error::BadArgument,
        InstallError::Mailbox(MailboxError::NoSuchCore | MailboxError::Arguments) => Error::BadArgument,
        InstallError::Mailbox(MailboxError::Capacity) | InstallError::TakesPosts => Error::Limit,
        InstallError::Mailbox(MailboxError::OutOfMemory) => Error::OutOfMemory,
        InstallError::WouldWaitForItself | InstallError::MustNotBlock => Error::Context,
        InstallError::Denied(_) => {
            log::warn!("{} may not install on {}: {error}", domain.name, event.name());
            Error::Denied
        }
    }
}

/// Cost beyond the raise itself: about fifty instructions, for a caller of whom all is well and whose strand
/// has but a few borders open.
pub extern "C" fn raise(event: usize, args: usize, result: usize) -> Status {
    // SAFETY: used until the call is answered.
    let caller = unsafe { Caller::running::<Cpu>() };
    let is_fine =
        |caller: &Caller| caller.is_welcome() && !caller.is_bounded() && has_stack() && caller.may_raise();
    let Some(caller) = caller.filter(is_fine) else {
        return raise_with_care(event, args, result);
    };
    let status = raise_for(event, args, result);
    if caller.is_welcome() { status } else { unless_dead(status) }
}

/// What the raise came to, for one whose time may have run out meanwhile, or who may have failed elsewhere.
#[cold]
fn unless_dead(status: Status) -> Status {
    failure::cut_the_dead();
    status
}

/// [`raise`] for one who may have failed, whose time may be over, or who may be in no position to.
#[cold]
fn raise_with_care(event: usize, args: usize, result: usize) -> Status {
    if let Err(error) = enter().and_then(|()| may_do_more_than_look()) {
        return Err(error).into();
    }
    unless_dead(raise_for(event, args, result))
}

#[inline(always)]
fn raise_for(event: usize, args: usize, result: usize) -> Status {
    let (args, result) = (ptr::with_exposed_provenance(args), ptr::with_exposed_provenance_mut(result));
    let raised = match events::raised_by_number(event) {
        // SAFETY: the kit passes the event's own types, as for `install`.
        Some(event) => unsafe { event.raise(args, result) }.map_err(Some),
        // SAFETY: as above.
        None => unsafe { exported::raise(event, args, result) },
    };
    raised.map_err(|error| error.map_or(Error::Unbound, unanswered)).into()
}

pub extern "C" fn post(event: usize, args: usize) -> Status {
    super::run(|_| {
        may_do_more_than_look()?;
        let Some(event) = events::raised_by_number(event) else {
            // A spindle's event takes none.
            return Err(if exported::by_number(event).is_some() { Error::NoQueue } else { Error::Unbound });
        };
        // SAFETY: the kit passes the event's own arguments, as for `install`.
        unsafe { event.post(ptr::with_exposed_provenance(args)) }.map_err(unanswered)
    })
    .into()
}

fn unanswered(error: RaiseError) -> Error {
    match error {
        RaiseError::NoHandler => Error::NoHandler,
        RaiseError::Cut => Error::Cut,
        RaiseError::OutOfStack => Error::OutOfStack,
        RaiseError::QueueFull => Error::Full,
        RaiseError::Posted => Error::Posted,
        RaiseError::NoQueue => Error::NoQueue,
    }
}
