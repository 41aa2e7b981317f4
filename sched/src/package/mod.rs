//! Thread packages: application schedulers above the global one.
//!
//! A *package* schedules strands of its own, which the global scheduler does not queue. On each core that it
//! was granted it has a *virtual processor*, a [`Seat`], with a strand of the core's, its *carrier*, that the
//! global scheduler treats like any other: so a package gets no more than what its carriers get. When a
//! carrier has its core it asks the package whom to run ([`Machine::raise_resume`]), checks the answer, and
//! goes over to that strand, which from then on uses up the carrier's time.
//!
//! The parts, in the order in which a reader needs them:
//!
//! - here: what a package is; [`upcall`]: what it is asked and told.
//! - `hold`: who has a managed strand; `idle`: whose virtual processors sleep; both model-checked.
//! - [`seat`]: a virtual processor; its notices, and how it is woken and recalled.
//! - `carrier`: the strand on which a package is asked.
//! - `carried`: how a strand that is carried blocks, yields, ends, and hands its core over.
//! - [`ejection`]: how a package ends, and what becomes of its strands.
//! - [`grant`]: what a package gets, and that no core is promised twice.
//!
//! # Who calls, when, and where
//!
//! All upcalls are raises of the events `Strand.Resume`, `Checkpoint`, `Block` and `Unblock`: on a strand,
//! interrupts on, no lock of the core's held, in time that is the package's own. None is made from an
//! interrupt: what an interrupt has to say becomes a *notice* on a seat, and is told by that seat's carrier,
//! or by a strand of the package that is about to block there. What is answered is carried out when the raise is
//! over. A package that has nothing installed answers nothing; so does one whose domain has failed.
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | a package answers with one strand on two cores | a strand is claimed by one exchange of its `hold`, opened only when its registers are saved | a strand runs on one core at a time | `tests/loom_packages.rs`, `tests/packages` |
//! | it answers with a strand that is not its own, has ended, or waits in the kernel | the answer is a handle, looked up in the directory, and the strand's package is compared | nobody's strand is run but the package's, and only if it can run | `tests/packages` |
//! | a wake-up comes while the package is being asked | the seat says that it is idle before the package is asked; who brings work looks at that after queueing it | no wake-up of a managed strand is lost | `tests/loom_packages.rs` |
//! | it never runs one that it was told of | carriers look at who has waited, at least four times in [`grant::PATIENCE_NS`] | one that ignores its strands is ejected, and they go on | `tests/packages` |
//! | it takes more than its share | its strands run on its carriers' time only, reservations are summed up before they are granted; even its own code loses a core that it has overdrawn | a package gets no more than it was granted | `tests/packages`, in the kernel `one_that_overdraws_its_budget_in_its_own_code` |
//! | a strand loses its core with a lock of the package's in its hand, and the package, told of that, waits for the lock | while it runs the package's own code it is not checkpointed, and goes on first | no package waits for itself | `tests/packages` |
//! | it is ejected while its strands are everywhere | each seat's carrier frees what was left on its own core, and each strand is freed by one exchange | none is lost, none is on two queues | `tests/packages` |

pub(crate) mod carried;
mod carrier;
pub mod ejection;
pub mod grant;
pub(crate) mod hold;
mod idle;
pub mod registry;
pub mod seat;
pub mod upcall;

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrayvec::ArrayString;
use dispatcher::{DomainState, epoch::MOST_CORES};

pub use carried::{HandOffError, current, enter_own, hand_off, leave_own, release, used};
pub use ejection::{Exit, Reason as ExitReason};
pub use grant::{Grant, GrantError, Reservation};
pub use registry::{Packages, RegisterError};
pub use seat::Seat;
pub use upcall::{Next, Reason, Silent, Why};

use idle::IdleSeats;

use crate::machine::Machine;

/// A package's name; what is longer is cut off.
pub type Name = ArrayString<24>;

/// A thread package.
pub struct Package<M: Machine> {
    number: u32,
    name: Name,
    domain: Option<Arc<DomainState>>,
    grant: Grant,
    seats: Box<[Option<Seat<M>>]>,
    /// The seats whose carriers sleep for want of work, or are about to.
    idle: IdleSeats,
    /// It was ejected: nobody asks it any more.
    is_ejected: AtomicBool,
    /// Carriers that have not ended.
    carriers: AtomicUsize,
    /// Strands of its own that have not ended.
    pub(crate) strands: AtomicUsize,
    /// Strands of its own of which it was told, and which it has not run since.
    waiting: AtomicUsize,
    /// Strands that were taken from it unawares: so often it may name one that has ended.
    released: AtomicUsize,
}

impl<M: Machine> Package<M> {
    /// Its number, never given again: by this its handlers are guarded.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The domain that it is; none for one of the core's own.
    pub fn domain(&self) -> Option<&Arc<DomainState>> {
        self.domain.as_ref()
    }

    /// What it was granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Is it asked no more?
    pub fn is_ejected(&self) -> bool {
        // Relaxed: a strand that sees it late is put where a carrier finds it, see `ejection`.
        self.is_ejected.load(Ordering::Relaxed)
    }

    /// Have its carriers ended too, after it was ejected? Then nothing of the scheduler's refers to it but
    /// strands that once were its own.
    pub fn is_gone(&self) -> bool {
        // Acquire: pairs with the Release of the last carrier.
        self.is_ejected() && self.carriers.load(Ordering::Acquire) == 0
    }

    /// Strands of its own that have not ended.
    pub fn strands(&self) -> usize {
        self.strands.load(Ordering::Relaxed)
    }

    fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn no_longer_waits(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// It knows that it leaves the strand of that handle waiting: that is not taken for an oversight. False if it is not
    /// its own, or not any more. From any context.
    pub fn keep(&self, handle: u64) -> bool {
        let Some(strand) = M::scheduler().directory().get(handle) else { return false };
        let Some(managed) = strand.managed.as_ref().filter(|managed| core::ptr::eq(&*managed.package, self))
        else {
            return false;
        };
        if managed.hold.keep() {
            self.no_longer_waits();
        }
        !managed.hold.is_lost()
    }

    /// It has named a strand that is not there: was that one taken from it unawares?
    fn is_excused(&self) -> bool {
        let one_less = |released: usize| released.checked_sub(1);
        self.released.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Takes the core from the strand of its own that runs on core `core`, soon, and asks the package whom to
    /// run there; resumes the virtual processor if it is idle. False if there is none. From any context.
    pub fn recall(&self, core: usize) -> bool {
        let Some(seat) = self.seat(core) else { return false };
        if self.take_idle(core) {
            seat.call();
        } else {
            seat.recall();
        }
        true
    }

    /// Its virtual processors.
    pub fn seats(&self) -> impl Iterator<Item = &Seat<M>> {
        self.seats.iter().flatten()
    }

    /// Its virtual processor on core `core`, if it was granted one.
    pub fn seat(&self, core: usize) -> Option<&Seat<M>> {
        self.seats.get(core)?.as_ref()
    }

    /// Resumes a virtual processor that sleeps for want of work, if there is one; says whether. For a
    /// package that has found work by itself. From any context.
    pub fn wake(&self) -> bool {
        self.wake_any(u64::MAX, M::masked(M::core_id))
    }

    /// Resumes so many of those that sleep for want of work, or all.
    fn wake_some(&self, count: usize) {
        for _ in 0..count {
            if !self.wake() {
                return;
            }
        }
    }

    /// Wakes an idle seat of the set, the preferred one if it is idle.
    fn wake_any(&self, among: u64, preferred: usize) -> bool {
        loop {
            let idle = self.idle.get() & among;
            let core = match idle {
                0 => return false,
                _ if preferred < MOST_CORES && idle >> preferred & 1 != 0 => preferred,
                _ => idle.trailing_zeros() as usize,
            };
            if let Some(seat) = self.seat(core)
                && self.take_idle(core)
            {
                seat.call();
                return true;
            }
        }
    }

    /// Core `core`'s seat will sleep if it finds no work after this.
    fn set_idle(&self, core: usize) {
        self.idle.announce(core);
    }

    /// It is not idle any more; says whether it was.
    fn take_idle(&self, core: usize) -> bool {
        self.idle.withdraw(core) >> core & 1 != 0
    }
}
