//! From running code to free frames.
//!
//! Retiring goes by steps, each of which makes the next one safe:
//!
//! 1. the domain is closed: no landing lets anybody in, and who sleeps for its code is woken;
//! 2. its thread packages are ejected: their strands go on without it;
//! 3. the events that it owns are withdrawn, and its handlers leave every plan: no new raise finds them;
//! 4. its strands end: their waits are over, and whichever goes on for too long is cut;
//! 5. a grace period passes: no raise that could have found them is still going on, except asleep; then its
//!    events are forgotten;
//! 6. the last sleeper leaves: nothing of it is on any stack;
//! 7. image and heap are unmapped on every core, and go back to the last frame.

use alloc::sync::Arc;
use core::{fmt, sync::atomic::Ordering};

use dispatcher::Processor;
use sched::{Builder, Priority};
use spin::Once;

use super::{CHANGES, Domain, table};
use crate::{
    events::{self, exported},
    strands::{self, Cpu, SpawnError, Strand, housekeeper, packages},
};

/// How often to look whether sleepers have left, and after how long to say that they have not.
const SLEEPERS_LOOK_NS: u64 = 1_000_000;
const SLEEPERS_TELL_NS: u64 = 2_000_000_000;

/// Why nothing was unloaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnloadError {
    /// There is no domain of that name.
    NotLoaded,
}

impl fmt::Display for UnloadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => out.write_str("no domain of that name: `domains` lists those that there are"),
        }
    }
}

impl core::error::Error for UnloadError {}

/// Unloads a domain; when this returns, nothing of it is left. On a strand, outside of borders.
///
/// # Errors
///
/// See [`UnloadError`].
pub fn unload(name: &str) -> Result<(), UnloadError> {
    let _changes = CHANGES.lock();
    if table::by_name(name).is_none() {
        return Err(UnloadError::NotLoaded);
    }
    retire(name);
    log::info!("unloaded {name}");
    Ok(())
}

/// Takes a domain back. With the lock `CHANGES`.
pub(super) fn retire(name: &str) {
    let Some(domain) = table::by_name(name) else { return };
    domain.state.close();
    domain.strands.close();
    domain.wake_all();
    packages::retire(domain.id());
    while let Err(error) = exported::withdraw(domain.id()) {
        log::warn!("unloading {name} waits: its events: {error}");
        sched::sleep_ns::<Cpu>(SLEEPERS_TELL_NS);
    }
    for event in events::all() {
        // There may be no memory for the plan without them; there will be.
        while let Err(error) = event.remove_domain(domain.id()) {
            log::warn!("unloading {name} waits: {}: {error}", event.name());
            sched::sleep_ns::<Cpu>(SLEEPERS_TELL_NS);
        }
    }
    wait_for_strands(&domain);
    housekeeper::wait_for_grace();
    exported::forget(domain.id());
    wait_for_sleepers(&domain);
    table::remove(name);
    // Usually the last reference. If somebody is just listing domains, it is theirs, and the memory
    // goes a moment later; nothing of it runs, in any case.
    drop(domain);
}

/// How long a domain's strands have to end, once they are told: those of one that has not failed.
const STRANDS_PATIENCE_NS: u64 = 3_000_000_000;

/// Waits until none of its strands runs its code any more. Those that go on are cut after a while, and that is
/// a failure of the whole domain.
fn wait_for_strands(domain: &Domain) {
    let begun = Cpu::now_ns();
    let mut waited = 0;
    while domain.strands() > 0 {
        if Cpu::now_ns() > begun + STRANDS_PATIENCE_NS {
            // Relaxed, as in `failure`.
            if !domain.has_failed.swap(true, Ordering::Relaxed) {
                log::error!(
                    "domain {}: {} strands go on although it is being unloaded; they are cut",
                    domain.name,
                    domain.strands()
                );
            }
        }
        if domain.has_failed.load(Ordering::Relaxed) {
            // Those that wait wake and find it dead. Those that run are interrupted, and found dead.
            domain.strands.close();
            domain.wake_all();
            smp::call::call(smp::roster::online(), |_| (), 0);
        }
        sched::sleep_ns::<Cpu>(SLEEPERS_LOOK_NS);
        waited += SLEEPERS_LOOK_NS;
        if waited % SLEEPERS_TELL_NS == 0 {
            log::warn!("unloading {} waits for {} strands of its own", domain.name, domain.strands());
        }
    }
}

fn wait_for_sleepers(domain: &Domain) {
    let mut waited = 0;
    while domain.state.sleepers() > 0 {
        sched::sleep_ns::<Cpu>(SLEEPERS_LOOK_NS);
        waited += SLEEPERS_LOOK_NS;
        if waited % SLEEPERS_TELL_NS == 0 {
            log::warn!(
                "unloading {}: {} strands sleep in its handlers",
                domain.name,
                domain.state.sleepers()
            );
        }
    }
}

static UNDERTAKER: Once<Arc<Strand>> = Once::new();

/// Starts the strand that retires domains which have failed. Once, when strands run.
///
/// # Errors
///
/// If there is no memory for its stack.
pub fn start_undertaker() -> Result<(), SpawnError> {
    let handle = strands::spawn(Builder::new("undertaker").priority(Priority::HIGH), bury_the_dead)?;
    UNDERTAKER.call_once(|| handle.strand().clone());
    Ok(())
}

/// A domain has failed. From anywhere; does not wait.
pub(super) fn summon_undertaker() {
    if let Some(strand) = UNDERTAKER.get() {
        sched::unblock(strand);
    }
}

fn bury_the_dead() {
    loop {
        {
            let _changes = CHANGES.lock();
            // Whoever loads or unloads has the lock until it is done, so a closed one is a failed one.
            let failed = table::all().into_iter().find(|domain| !domain.is_open());
            if let Some(name) = failed.map(|domain| domain.name.clone()) {
                retire(&name);
                log::info!("retired {name}, which had failed");
                continue;
            }
        }
        sched::block::<Cpu>();
    }
}
