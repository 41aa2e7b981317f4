//! Which packages there are, and how former ones ended.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};

use dispatcher::{DomainState, epoch::MOST_CORES};

use super::{
    Exit, ExitReason, Grant, GrantError, Name, Package, Seat, carrier, grant::MOST_RESERVED, idle::IdleSeats,
};
use crate::{machine::Machine, spawn::Builder};

/// The most packages at a time.
pub const MOST_PACKAGES: usize = 32;
/// How many exit records are kept.
const RECORDS: usize = 16;

/// Why there is no new package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegisterError {
    /// It cannot have what it asks for.
    Grant(GrantError),
    /// There are as many as there can be.
    TooMany,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(error) => error.fmt(out),
            Self::TooMany => {
                write!(out, "{MOST_PACKAGES} packages are registered, which is the most: unload one")
            }
        }
    }
}

impl core::error::Error for RegisterError {}

/// The registry. One in a scheduler.
pub struct Packages<M: Machine> {
    /// A leaf, taken with interrupts masked.
    list: spin::Mutex<[Option<Arc<Package<M>>>; MOST_PACKAGES]>,
    next_number: AtomicU32,
    /// A leaf, taken with interrupts masked.
    exits: spin::Mutex<Exits>,
}

/// The last records, the oldest overwritten first.
struct Exits {
    ring: [Option<Exit>; RECORDS],
    count: usize,
}

impl<M: Machine> Packages<M> {
    pub(crate) const fn new() -> Self {
        Self {
            list: spin::Mutex::new([const { None }; MOST_PACKAGES]),
            next_number: AtomicU32::new(1),
            exits: spin::Mutex::new(Exits { ring: [const { None }; RECORDS], count: 0 }),
        }
    }

    /// A new package, which nobody asks until [`Package::open`]: time for its owner to install its handlers.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`].
    pub fn register(
        &self,
        name: &str,
        domain: Option<Arc<DomainState>>,
        grant: Grant,
    ) -> Result<Arc<Package<M>>, RegisterError> {
        let has_core = |core| M::scheduler().core(core).is_some();
        grant.check(has_core).map_err(RegisterError::Grant)?;
        let has_seat = |core: &usize| grant.cores.has(*core) && has_core(*core);
        let seats: Box<[Option<Seat<M>>]> =
            (0..MOST_CORES).map(|core| Some(core).filter(has_seat).map(Seat::new)).collect();
        let package = Arc::new(Package {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            name: Name::from(&name[..name.floor_char_boundary(Name::new().capacity())]).unwrap_or_default(),
            domain,
            grant,
            seats,
            idle: IdleSeats::new(),
            is_ejected: AtomicBool::new(false),
            carriers: AtomicUsize::new(0),
            strands: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
        });
        M::masked(|| {
            let mut list = self.list.lock();
            check_reserved(&*list, &package).map_err(RegisterError::Grant)?;
            let place = list.iter_mut().find(|place| place.is_none()).ok_or(RegisterError::TooMany)?;
            *place = Some(package.clone());
            Ok(package)
        })
    }

    /// The package of that number, if it was not buried.
    pub fn by_number(&self, number: u32) -> Option<Arc<Package<M>>> {
        M::masked(|| {
            let list = self.list.lock();
            list.iter().flatten().find(|package| package.number == number).cloned()
        })
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Package<M>>> {
        let mut all = Vec::with_capacity(MOST_PACKAGES);
        M::masked(|| all.extend(self.list.lock().iter().flatten().cloned()));
        all
    }

    /// How former ones ended, the latest last.
    pub fn exits(&self) -> Vec<Exit> {
        let mut all = Vec::with_capacity(RECORDS);
        M::masked(|| {
            let exits = self.exits.lock();
            let (newer, older) = exits.ring.split_at(exits.count % RECORDS);
            all.extend(older.iter().chain(newer).flatten());
        });
        all
    }

    pub(super) fn record(&self, exit: Exit) {
        M::masked(|| {
            let mut exits = self.exits.lock();
            let index = exits.count % RECORDS;
            exits.count += 1;
            exits.ring[index] = Some(exit);
        });
    }

    pub(super) fn remove(&self, number: u32) {
        let gone = M::masked(|| {
            let mut list = self.list.lock();
            list.iter_mut()
                .find(|place| place.as_ref().is_some_and(|package| package.number == number))?
                .take()
        });
        drop(gone);
    }
}

/// Is there so much left on each of its cores?
fn check_reserved<M: Machine>(
    list: &[Option<Arc<Package<M>>>],
    wanted: &Package<M>,
) -> Result<(), GrantError> {
    let share = |package: &Package<M>, core: usize| {
        let reservation = package.grant.reservation.filter(|_| package.seat(core).is_some());
        reservation.map_or(0, |reservation| reservation.share())
    };
    for core in 0..MOST_CORES {
        let taken: u64 = list.iter().flatten().map(|package| share(package, core)).sum();
        let left = MOST_RESERVED.saturating_sub(taken);
        if share(wanted, core) > left {
            return Err(GrantError::Exhausted { core, left });
        }
    }
    Ok(())
}

impl<M: Machine> Package<M> {
    /// Starts its carriers: from now on it is asked. Once. If there is no memory for all of them it is ejected.
    pub fn open(self: &Arc<Self>, mut make_stack: impl FnMut() -> Option<M::Stack>) {
        // One more than there are, so that it is not buried before all were started.
        self.carriers.fetch_add(1, Ordering::Relaxed);
        for seat in self.seats() {
            let core = seat.core();
            let name = alloc::format!("{}/{core}", self.name);
            let mut builder = Builder::new(&name).priority(self.grant.priority).on_core(core);
            if let Some(domain) = &self.domain {
                builder = builder.domain(domain.clone());
            }
            self.carriers.fetch_add(1, Ordering::Relaxed);
            let package = self.clone();
            let begin = move || carrier::carry::<M>(&package, core);
            let spawned = make_stack().and_then(|stack| builder.spawn::<M>(stack, begin).ok());
            // One that was spawned enters itself.
            if spawned.is_none() {
                self.eject(ExitReason::OutOfMemory, core, 0);
                self.leave_seat(seat);
            }
        }
        self.abandon();
    }

    /// It is not opened after all, or everything there is to start has been started.
    fn abandon(&self) {
        if self.carriers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.bury();
        }
    }

    /// Takes back a package that was never opened.
    pub fn withdraw(&self) {
        self.is_ejected.store(true, Ordering::Relaxed);
        // Somebody may have guessed its number, and made a strand of it.
        self.seats().for_each(|seat| self.close_seat(seat));
        self.bury();
    }
}
