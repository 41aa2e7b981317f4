//! Who has a managed strand: the word that makes sure that it runs on one core at a time, whatever its
//! package answers.
//!
//! ```text
//!            awaken               deliver              claim
//! BLOCKED ----------> NOTICED ----------> TOLD ----------------> RUNNING
//!    ^                   ^                                ^         |
//!    |                   | checkpointed                   | claim   | handed off, or yielded
//!    |                   +---------------+                +-- HELD <+
//!    +---- blocked in the kernel --------+--------------------------+
//! ```
//!
//! `FREE` stands beside all of them: the package was ejected, or the strand taken from it, and it is the global
//! scheduler's. Of one strand, only the core that runs it leaves `RUNNING`, once its registers are saved; only
//! whoever took its parked token leaves `BLOCKED`; only whoever took it off its seat's notices leaves `NOTICED`, or
//! `RELEASED`, which it becomes if it is taken from its package before that has been told of it.

use crate::primitive::{AtomicU8, Ordering};

/// What a [`Hold`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Held {
    /// It waits for somebody, as an unmanaged strand would.
    Blocked = 0,
    /// It can run, and its package has not been told yet.
    Noticed = 1,
    /// It can run, and its package was told; from now on it is the package's to run it.
    Told = 2,
    /// Its package keeps it, for as long as it likes.
    Kept = 3,
    /// A virtual processor has it.
    Running = 4,
    /// It is no package's any more, or never was.
    Free = 5,
    /// Its package will not be told of it: it is freed by whoever takes it off the notices.
    Released = 6,
}

impl Held {
    fn of(word: u8) -> Self {
        match word {
            0 => Self::Blocked,
            1 => Self::Noticed,
            2 => Self::Told,
            3 => Self::Kept,
            4 => Self::Running,
            5 => Self::Free,
            _ => Self::Released,
        }
    }
}

/// A strand's.
pub(crate) struct Hold(AtomicU8);

impl Hold {
    pub(crate) fn new(held: Held) -> Self {
        Self(AtomicU8::new(held as u8))
    }

    /// What it says; it may say something else by the time you look.
    pub(crate) fn get(&self) -> Held {
        Held::of(self.0.load(Ordering::Relaxed))
    }

    /// By the one who may leave the present state, see above.
    pub(crate) fn set(&self, held: Held) {
        // Release: whoever claims it (Acquire below) finds its registers saved.
        self.0.store(held as u8, Ordering::Release);
    }

    /// To run it: takes it from its package's keeping, and says what it said.
    ///
    /// # Errors
    ///
    /// What it says, if it is not in its package's keeping.
    pub(crate) fn claim(&self) -> Result<Held, Held> {
        self.take(Held::Running)
    }

    /// Its package, which was told of it, keeps it, if it is neither blocked nor running nor kept.
    pub(crate) fn keep(&self) -> bool {
        let (told, kept) = (Held::Told as u8, Held::Kept as u8);
        // Acquire and Release: it is passed on as it came.
        self.0.compare_exchange(told, kept, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Its package was ejected: takes it from its keeping for good, as [`claim`](Self::claim).
    pub(crate) fn free(&self) -> Result<Held, Held> {
        self.take(Held::Free)
    }

    /// Its package is told of it: by whoever took it off the notices. False says that it was released before that, and
    /// is freed now.
    #[must_use = "one that was freed is to be queued"]
    pub(crate) fn tell(&self) -> bool {
        let (noticed, told) = (Held::Noticed as u8, Held::Told as u8);
        // Acquire and Release: it is passed on as it came.
        let is_told = self.0.compare_exchange(noticed, told, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !is_told {
            self.set(Held::Free);
        }
        is_told
    }

    /// Takes it from its package for good, as [`free`](Self::free); one of which the package was not told yet is freed
    /// instead of that. Says what it said.
    ///
    /// # Errors
    ///
    /// What it says, if it neither is in its package's keeping nor comes there.
    pub(crate) fn release(&self) -> Result<Held, Held> {
        let (noticed, released) = (Held::Noticed as u8, Held::Released as u8);
        // Acquire and Release: it is passed on as it came.
        match self.0.compare_exchange(noticed, released, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(Held::Noticed),
            Err(_) => self.free(),
        }
    }

    fn take(&self, into: Held) -> Result<Held, Held> {
        let mut seen = self.0.load(Ordering::Relaxed);
        while let Held::Told | Held::Kept = Held::of(seen) {
            // Acquire: its registers are saved, see `set`.
            match self.0.compare_exchange_weak(seen, into as u8, Ordering::Acquire, Ordering::Relaxed) {
                Ok(was) => return Ok(Held::of(was)),
                Err(now) => seen = now,
            }
        }
        Err(Held::of(seen))
    }
}
