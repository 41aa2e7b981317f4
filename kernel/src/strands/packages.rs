//! Thread packages on this machine: which handlers are whose, and when they go.

use alloc::sync::Arc;

use dispatcher::{DomainState, InstallError, Processor, handler::RawHandler};
use sched::{
    Machine,
    package::{ExitReason, Grant, RegisterError},
};

use super::{Cpu, Package, spawn::STACK_SIZE};
use crate::{
    events::strands::{self as events, Bindings},
    memory::Stack,
};

/// The most packages that are registered and not buried: as many as the scheduler takes.
const MOST: usize = sched::package::registry::MOST_PACKAGES;

/// Each package's handlers, by its number. A leaf.
static BINDINGS: spin::Mutex<[Option<(u32, Bindings)>; MOST]> = spin::Mutex::new([None; MOST]);

/// Why a package was not registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The scheduler's reason.
    Register(RegisterError),
    /// The dispatcher's.
    Install(InstallError),
}

/// Registers a package of a domain's, with its handlers for `resume`, `checkpoint`, `block` and `unblock`, and
/// starts its virtual processors. On a strand.
///
/// # Safety
///
/// The handlers take the arguments of the four events of [`events`] and give their results.
///
/// # Errors
///
/// See [`Refused`]; nothing has changed then.
pub unsafe fn register(
    name: &str,
    domain: Arc<DomainState>,
    grant: Grant,
    handlers: [RawHandler; 4],
) -> Result<Arc<Package>, Refused> {
    let package =
        Cpu::scheduler().packages().register(name, Some(domain), grant).map_err(Refused::Register)?;
    // SAFETY: passed on.
    let bindings = unsafe { events::install(package.number(), handlers) }.map_err(|error| {
        package.withdraw();
        Refused::Install(error)
    })?;
    let is_kept = Cpu::unpreempted(|| {
        let mut all = BINDINGS.lock();
        let place = all.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some((package.number(), bindings))).is_some()
    });
    if !is_kept {
        // One that was ejected may have left the scheduler's list, and not yet this one.
        events::remove(&bindings);
        package.withdraw();
        return Err(Refused::Register(RegisterError::TooMany));
    }
    if package.is_ejected() {
        // Its domain went meanwhile, and then nobody may have found its handlers there.
        remove_handlers(package.number());
    }
    package.open(|| Stack::new(STACK_SIZE).ok());
    log::info!("{name} is thread package {}", package.number());
    Ok(package)
}

/// For [`sched::Machine::package_ejected`]: says so, and takes its handlers away.
pub(super) fn ejected(package: &Package, reason: ExitReason) {
    log::warn!("thread package {} ({}) is no more: {reason}", package.number(), package.name());
    remove_handlers(package.number());
}

/// Takes the handlers of package `of` away, if nobody has.
fn remove_handlers(of: u32) {
    let bindings = Cpu::unpreempted(|| {
        let mut all = BINDINGS.lock();
        let is_its = |place: &&mut Option<(u32, Bindings)>| place.is_some_and(|(number, _)| number == of);
        all.iter_mut().find(is_its).and_then(Option::take)
    });
    if let Some((_, bindings)) = bindings {
        events::remove(&bindings);
    }
}

/// How often to look whether the virtual processors have gone, in nanoseconds.
const LOOK_NS: u64 = 100_000;

/// Ejects the packages of a domain that is being retired, and waits until nothing of the scheduler's refers to them.
/// On a strand, outside of borders.
pub fn retire(domain: u32) {
    for package in Cpu::scheduler().packages().all() {
        if package.domain().is_some_and(|owner| owner.id() == domain) {
            package.eject(ExitReason::DomainGone, Cpu::core_id(), 0);
            while !package.is_gone() {
                sched::sleep_ns::<Cpu>(LOOK_NS);
            }
        }
    }
}
