//! Thread packages: how a spindle becomes the scheduler of strands that others make.
//!
//! A [`ThreadPackage`] is asked and told by four events of the kernel's, `Strand.Resume`, `Checkpoint`, `Block`
//! and `Unblock`; [`Builder::register`] installs its methods as their handlers, guarded so that they hear of
//! its own strands only. Those who want their strands scheduled by it make them with
//! [`strand::Builder::package`](crate::strand::Builder::package).
//!
//! On each core that it is granted the package has a *virtual processor*. The kernel shares the core among all
//! that want it, and the package shares its virtual processor among its strands. The smallest package that
//! does its duty keeps a queue:
//!
//! ```
//! extern crate alloc;
//! use alloc::collections::VecDeque;
//! use spindle::{Error, Strand, package::{self, Next, Reason, ThreadPackage, Why}};
//!
//! struct Fifo(spin::Mutex<VecDeque<Strand>>);
//!
//! impl ThreadPackage for Fifo {
//!     fn resume(&self, _core: u32) -> Next {
//!         self.0.lock().pop_front().map_or(Next::Idle, Next::Run)
//!     }
//!     fn checkpoint(&self, _core: u32, strand: Strand, _why: Why) {
//!         self.0.lock().push_back(strand);
//!     }
//!     fn block(&self, _core: u32, strand: Strand, reason: Reason) -> Option<Strand> {
//!         let mut ready = self.0.lock();
//!         if reason == Reason::Yielded {
//!             ready.push_back(strand);
//!         }
//!         ready.pop_front()
//!     }
//!     fn unblock(&self, strand: Strand) {
//!         self.0.lock().push_back(strand);
//!     }
//! }
//!
//! pub fn start() -> Result<(), Error> {
//!     package::Builder::new("fifo").register(Fifo(Default::default()))?;
//!     Ok(())
//! }
//! # assert_eq!(start(), Err(Error::Unbound));
//! ```
//!
//! # Who calls, in which context, and what a wrong answer costs
//!
//! | method | called when | on | its answer |
//! | --- | --- | --- | --- |
//! | [`resume`](ThreadPackage::resume) | a virtual processor has a core and nobody to run | a strand of the kernel's for that virtual processor | whom to run there |
//! | [`checkpoint`](ThreadPackage::checkpoint) | a strand had to leave its core, and can go on | as above, or a strand of the package's that is about to give up its core | – |
//! | [`block`](ThreadPackage::block) | a strand gives up its core | that strand | who runs next there |
//! | [`unblock`](ThreadPackage::unblock) | a strand can run: it is new, or was waited for | as for `checkpoint` | – |
//!
//! All of them run with interrupts on, on the time of the virtual processor, on any core, several at once: hence
//! `&self` and `Sync`. They must not block (a call that would returns [`Error::Context`]), and have
//! [`UPCALL_BOUND_NS`] each; one that takes longer, or panics, is cut, and the whole spindle goes. They run when
//! a strand of the package's calls the kernel: so the package must hold no lock of its own when *it* calls the
//! kernel in a way that gives up the core.
//!
//! | the package | costs |
//! | --- | --- |
//! | answers with a strand that is not its own, has ended, or is blocked | it is ejected |
//! | answers with one that it was not told the end of: it was asked to end while the package kept it, and let go | it is asked again |
//! | answers with one that runs elsewhere | the virtual processor waits for that strand to leave; after a second the package is ejected |
//! | leaves a strand of which it was told, and which it does not [`keep`](Package::keep), waiting for 4 s, though it had cores | it is ejected |
//! | fails: panics, loops | it is ejected, and its spindle goes |
//! | prefers some of its strands to others | nobody else but these others |
//!
//! One race belongs to whoever lets its strands wait by itself, in procedures that end in
//! [`hand_off`](Package::hand_off): a strand that has put itself into a queue of waiters can lose its core before
//! it hands that over. The package hears of a `checkpoint` then, and must run the strand, so that it goes on to
//! hand over; and whoever finds it in the queue meanwhile must not make it ready a second time. `cthreads` shows
//! how.
//!
//! An *ejected* package is asked no more; its strands go on as ordinary ones of the kernel's global scheduler, and
//! the console's `packages` shows why. A package gets no more than its virtual processors get, each of which
//! counts as one strand among all others, of normal priority, or has what it [reserved](Builder::reserve).

extern crate alloc;

use alloc::sync::Arc;

use crate::{
    Error,
    closure::{Captures, Words},
    interfaces::package as raw,
    plain::{Plain, Text},
    strand::Strand,
};

/// How long each call of a package's method may take, in nanoseconds: longer than a host is likely to leave a virtual core
/// without a processor.
pub const UPCALL_BOUND_NS: u64 = 500_000_000;

crate::events! { "Strand":
    /// `Strand.Resume`: a virtual processor has its core, and nobody to run.
    pub event Resume {
        /// The package's number.
        pub package: u32,
        /// The core.
        pub core: u32,
    } -> Answer;

    /// `Strand.Checkpoint`: a strand of the package's has lost its core, and can go on.
    pub event Checkpoint {
        /// The package's number.
        pub package: u32,
        /// The core.
        pub core: u32,
        /// The strand.
        pub strand: Strand,
        /// A [`Why`].
        pub why: u64,
    } -> ();

    /// `Strand.Block`: a strand of the package's gives up its core.
    pub event Block {
        /// The package's number.
        pub package: u32,
        /// The core.
        pub core: u32,
        /// The strand.
        pub strand: Strand,
        /// A [`Reason`].
        pub reason: u64,
    } -> Strand;

    /// `Strand.Unblock`: a strand of the package's can run.
    pub event Unblock {
        /// The package's number.
        pub package: u32,
        /// For what may come.
        pub reserved: u32,
        /// The strand.
        pub strand: Strand,
    } -> ();
}

crate::plain! {
    /// [`Next`], as it crosses the border.
    pub struct Answer {
        /// Whom to run; none to idle.
        pub strand: Strand,
        /// Until when, in nanoseconds; zero for no limit.
        pub until_ns: u64,
    }

    /// What a spindle wants to register, as it crosses the border.
    pub struct Registration {
        /// [`LAYOUT`](Self::LAYOUT) of this very block: a kit of another version is found out by it.
        pub shape: u64,
        /// The cores: bit *n* is core *n*.
        pub cores: u64,
        /// What is reserved in each period on each core, in nanoseconds; zero for nothing.
        pub budget_ns: u64,
        /// The length of a period, in nanoseconds.
        pub period_ns: u64,
        /// 1 if notices take the core from whoever runs.
        pub is_prompt: u64,
        /// The code of `resume`, `checkpoint`, `block`, `unblock`.
        pub codes: [usize; 4],
        /// And what goes with each.
        pub closures: [usize; 4],
    }
}

impl Registration {
    /// What [`shape`](Self::shape) must be.
    pub const LAYOUT: u64 = <Self as Plain>::SHAPE;
}

/// Nobody: the kernel's own answer, where no package has answered.
pub const GLOBAL: Strand = Strand::from_word(u64::MAX);

/// Whom a virtual processor shall run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nobody: the core is for others, until the package is told of a strand, or calls [`Package::wake`].
    Idle,
    /// Nobody; asks again at that time at the latest, in nanoseconds of [`clock::now`](crate::clock::now).
    IdleUntil(u64),
    /// This strand, until it gives up the core or the kernel wants it for others.
    Run(Strand),
    /// This strand, and no longer than until that time: then [`Why::Limit`]. A strand to which it hands
    /// its core meanwhile inherits the limit.
    RunUntil(Strand, u64),
}

impl From<Next> for Answer {
    fn from(next: Next) -> Self {
        let (strand, until_ns) = match next {
            Next::Idle => (Strand::NONE, 0),
            Next::IdleUntil(until) => (Strand::NONE, until.max(1)),
            Next::Run(strand) => (strand, 0),
            Next::RunUntil(strand, until) => (strand, until.max(1)),
        };
        Self { strand, until_ns }
    }
}

/// Why a strand had to leave its core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Why {
    /// The kernel gave the core to others for a while.
    Preempted = 0,
    /// The package had set a limit.
    Limit = 1,
    /// The package [recalled](Package::recall) it, or a notice of a [prompt](Builder::prompt) package did; or
    /// what was reserved is used up.
    Recalled = 2,
}

/// Why a strand gives up its core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Reason {
    /// It waits: it must not be run until [`ThreadPackage::unblock`] names it.
    Blocked = 0,
    /// It lets others go first, and can go on.
    Yielded = 1,
    /// It is over: it must not be run any more.
    Ended = 2,
}

/// A scheduler of strands. See the head of this module for who calls what, when, and where.
pub trait ThreadPackage: Send + Sync + 'static {
    /// Core `core` is here: whom to run on it?
    fn resume(&self, core: u32) -> Next;
    /// `strand` has lost core `core` and can go on. When the core that it lost is there again, `resume` follows.
    fn checkpoint(&self, core: u32, strand: Strand, why: Why);
    /// `strand`, which runs this very call, gives up core `core`: who is next? With none, `resume` is called.
    fn block(&self, core: u32, strand: Strand, reason: Reason) -> Option<Strand>;
    /// `strand` can run: it is new, or what it waited for is there. An idle virtual processor is resumed for it.
    fn unblock(&self, strand: Strand);
}

/// A package that was registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Package(u32);

// SAFETY: a number, and zero is one of its values.
unsafe impl Plain for Package {
    const SHAPE: u64 = crate::interface::signature_hash("Package", &[(u32::SHAPE as usize, 0)]);
}

impl Package {
    /// The number by which the kernel knows it.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Resumes an idle virtual processor, if there is one; says whether. For a package that has found work by
    /// itself, after it has put it where `resume` finds it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if it was ejected, [`Error::Denied`] if it is another spindle's.
    pub fn wake(self) -> Result<bool, Error> {
        raw::wake(self.0)
    }

    /// Takes core `core` from the strand of the package's that runs there, which becomes a
    /// [`checkpoint`](ThreadPackage::checkpoint), and asks whom to run. It happens soon, not at once.
    ///
    /// # Errors
    ///
    /// As for [`wake`](Self::wake); [`Error::BadArgument`] if the package has no virtual processor there.
    pub fn recall(self, core: u32) -> Result<(), Error> {
        raw::recall(self.0, core)
    }

    /// The running strand, if it is one that the package runs. Cheaper than
    /// [`strand::current`](crate::strand::current).
    ///
    /// # Errors
    ///
    /// [`Error::Context`] if the package does not run it: it is no strand of the package's, or the package was
    /// ejected.
    pub fn current(self) -> Result<Strand, Error> {
        raw::current(self.0).map(Strand::from_word)
    }

    /// For how long a strand of the package's has had cores in its life, in nanoseconds: what its own procedures
    /// took included. For those who hold strands to what they said that they need.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] if it is no strand of the package's, or has ended.
    pub fn used(self, strand: Strand) -> Result<u64, Error> {
        raw::used(self.0, strand.to_word())
    }

    /// Called in the package's own procedures, on one of its strands: that strand is the package's to keep, and
    /// `next` runs in its place at once; with [`Strand::NONE`], whom [`resume`](ThreadPackage::resume) says. It
    /// returns when the package runs the strand again. No method is called: the package is the one who says. So
    /// it keeps note of the strand *before* this call, and must hold no lock in it.
    ///
    /// Cost: one context switch.
    ///
    /// # Errors
    ///
    /// [`Error::Context`] if the running strand is none that the package runs, or must not block;
    /// [`Error::BadArgument`] if `next` cannot be run; [`Error::Closed`] if the package was ejected. Nothing
    /// has changed then.
    pub fn hand_off(self, next: Strand) -> Result<(), Error> {
        raw::hand_off(self.0, next.to_word())
    }

    /// The package knows that it leaves `strand` waiting, for as long as it likes, which is not taken for an
    /// oversight. For one that has to wait for others, and is not blocked; also to ask whether a strand is the package's
    /// still, since one whose spindle is unloaded, or that was [asked to end](crate::strand::JoinHandle::terminate)
    /// while it waited, is taken from it without a word.
    ///
    /// Cost: a look into the kernel's directory of strands.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] if it is no strand of the package's, or not any more; as for
    /// [`wake`](Self::wake).
    pub fn keep(self, strand: Strand) -> Result<(), Error> {
        raw::keep(self.0, strand.to_word())
    }

    /// Gives the package up: its strands go on as the global scheduler's.
    ///
    /// # Errors
    ///
    /// As for [`wake`](Self::wake).
    pub fn resign(self) -> Result<(), Error> {
        raw::resign(self.0)
    }
}

/// What a package shall be like.
#[derive(Clone, Copy, Debug)]
pub struct Builder<'a> {
    name: &'a str,
    cores: u64,
    budget_ns: u64,
    period_ns: u64,
    is_prompt: bool,
}

impl<'a> Builder<'a> {
    /// A package with a virtual processor on every core, and nothing reserved.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self { name, cores: u64::MAX, budget_ns: 0, period_ns: 0, is_prompt: false }
    }

    /// On these cores only: bit *n* is core *n*.
    #[must_use]
    pub const fn cores(self, cores: u64) -> Self {
        Self { cores, ..self }
    }

    /// So much of each period on each of its cores is the package's, whatever else there is to do there, and no
    /// more: periods of 1 ms to 1 s, which begin at the same time on all cores. What all packages reserve of a
    /// core is at most nine tenths of it.
    #[must_use]
    pub const fn reserve(self, budget_ns: u64, period_ns: u64) -> Self {
        Self { budget_ns, period_ns, ..self }
    }

    /// When a strand can run, and no virtual processor is idle, one is [recalled](Package::recall) at once; otherwise
    /// the package hears of it when a strand of its own gives up a core, or has to.
    #[must_use]
    pub const fn prompt(self) -> Self {
        Self { is_prompt: true, ..self }
    }

    /// Registers it: from now on it is asked.
    ///
    /// # Errors
    ///
    /// [`Error::BadArgument`] if none of the cores is there, or for a period too short or too long;
    /// [`Error::Limit`] if so much is not left to reserve, or there are too many packages;
    /// [`Error::OutOfMemory`]; [`Error::Context`] where it must not be called.
    pub fn register<P: ThreadPackage>(self, package: P) -> Result<Package, Error> {
        let package = Arc::new(package);
        let mut captures = Captures::default();
        let this = package.clone();
        let resume = captures.handler(move |resume: &Resume| this.resume(resume.core).into());
        let this = package.clone();
        let checkpoint = captures.handler(move |told: &Checkpoint| {
            let why = match told.why {
                0 => Why::Preempted,
                1 => Why::Limit,
                _ => Why::Recalled,
            };
            this.checkpoint(told.core, told.strand, why);
        });
        let this = package.clone();
        let block = captures.handler(move |asked: &Block| {
            let reason = match asked.reason {
                0 => Reason::Blocked,
                1 => Reason::Yielded,
                _ => Reason::Ended,
            };
            this.block(asked.core, asked.strand, reason).unwrap_or(Strand::NONE)
        });
        let unblock = captures.handler(move |told: &Unblock| package.unblock(told.strand));
        let words: [Words; 4] = [resume, checkpoint, block, unblock];
        let wanted = Registration {
            shape: Registration::LAYOUT,
            cores: self.cores,
            budget_ns: self.budget_ns,
            period_ns: self.period_ns,
            is_prompt: u64::from(self.is_prompt),
            codes: words.map(|words| words.code),
            closures: words.map(|words| words.closure),
        };
        let number = raw::register(Text::new(self.name), &wanted)?;
        // They stay as long as the spindle.
        captures.leak();
        Ok(Package(number))
    }
}
