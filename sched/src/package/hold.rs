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
//! whoever took its parked token leaves `BLOCKED`; only whoever took it off its seat's notices leaves `NOTICED`.
//!
//! A strand is taken from its package in two steps: it is said that it is [let go](Hold::let_go), and then it is taken
//! if it is in the package's keeping. If it is not, whoever [gives](Hold::give) it there next takes it back. All that
//! writes the word are read-modify-writes, of which one is first: whoever gives it later finds it let go, and of
//! whoever gave it before the other one finds that.

use crate::primitive::{AtomicBool, AtomicU8, Ordering};

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
}

impl Held {
    fn of(word: u8) -> Self {
        match word {
            0 => Self::Blocked,
            1 => Self::Noticed,
            2 => Self::Told,
            3 => Self::Kept,
            4 => Self::Running,
            _ => Self::Free,
        }
    }
}

/// A strand's.
pub(crate) struct Hold {
    word: AtomicU8,
    /// Its package shall not keep it: never taken back.
    is_let_go: AtomicBool,
}

impl Hold {
    pub(crate) fn new(held: Held) -> Self {
        Self { word: AtomicU8::new(held as u8), is_let_go: AtomicBool::new(false) }
    }

    /// What it says; it may say something else by the time you look.
    pub(crate) fn get(&self) -> Held {
        Held::of(self.word.load(Ordering::Relaxed))
    }

    /// Is it its package's no more, or soon?
    pub(crate) fn is_lost(&self) -> bool {
        self.get() == Held::Free || self.is_let_go.load(Ordering::Relaxed)
    }

    /// By the one who may leave the present state, see above. Into its package's keeping it comes by
    /// [`give`](Self::give).
    pub(crate) fn set(&self, held: Held) {
        // Release: whoever claims it (Acquire below) finds its registers saved. A read-modify-write, so that what
        // `let_go` has released reaches who gives it after this.
        self.word.swap(held as u8, Ordering::AcqRel);
    }

    /// As [`set`](Self::set), into its package's keeping: `Told` or `Kept`. False says that it was let go, and is
    /// freed instead: then it is the caller's, who queues it.
    #[inline(always)]
    #[must_use = "one that was freed is to be queued"]
    pub(crate) fn give(&self, held: Held) -> bool {
        self.set(held);
        // Relaxed: found by the exchange.
        !self.is_let_go.load(Ordering::Relaxed) || self.free().is_err()
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
        self.word.compare_exchange(told, kept, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Its package was ejected: takes it from its keeping for good, as [`claim`](Self::claim).
    pub(crate) fn free(&self) -> Result<Held, Held> {
        self.take(Held::Free)
    }

    /// Takes it from its package for good, as [`free`](Self::free), now or when it is given there next. Says what it
    /// said.
    ///
    /// # Errors
    ///
    /// What it says, if it is not in its package's keeping.
    pub(crate) fn let_go(&self) -> Result<Held, Held> {
        self.is_let_go.store(true, Ordering::Relaxed);
        // Changes nothing, but is in the order of those who do; Release: whoever comes later finds it let go.
        self.word.fetch_or(0, Ordering::AcqRel);
        self.free()
    }

    fn take(&self, into: Held) -> Result<Held, Held> {
        let mut seen = self.word.load(Ordering::Relaxed);
        while let Held::Told | Held::Kept = Held::of(seen) {
            // Acquire: its registers are saved, see `set`.
            match self.word.compare_exchange_weak(seen, into as u8, Ordering::Acquire, Ordering::Relaxed) {
                Ok(was) => return Ok(Held::of(was)),
                Err(now) => seen = now,
            }
        }
        Err(Held::of(seen))
    }
}
