//! What an application of `gang` uses: groups of strands that are started and stopped together, each on a core of its
//! own; how exactly, is said there.
//!
//! ```ignore
//! use gang_interface::Group;
//!
//! let group = Group::new(4)?;
//! let members = (0..4)
//!     .map(|number| group.fork("member", move || compute(number)))
//!     .collect::<Result<Vec<_>, _>>()?;
//! for member in members {
//!     member.join()?;
//! }
//! ```
//!
//! It is for strands that wait for each other all the time: those that pass a barrier every few microseconds, say,
//! may spin there, since whoever they wait for is running too. A group begins when all its members are forked.
//! While one of them is blocked, all wait; who ends leaves the group, and the others go on.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use spindle::{
    Error,
    package::Package,
    raise,
    strand::{Builder, JoinHandle, Strand},
};

/// The raw events: the answers. What [`NewGroup`] answers beyond [`LAST`](answer::LAST) is a group's number.
pub mod answer {
    /// Done.
    pub const DONE: u64 = 0;
    /// There are fewer cores than the group has members.
    pub const TOO_LARGE: u64 = 1;
    /// There are as many groups as there can be.
    pub const FULL: u64 = 2;
    /// A group of nobody.
    pub const EMPTY: u64 = 3;
    /// The greatest number that is no group's.
    pub const LAST: u64 = 15;
}

spindle::events! { "Gang":
    /// Who schedules.
    pub event Scheduler { pub reserved: u64 } -> Package;
    /// Makes a group of so many: its number, or why not.
    pub event NewGroup { pub size: u64 } -> u64;
    /// A strand, which was made for the package, is a member of a group.
    pub event Join { pub group: u64, pub strand: Strand } -> u64;
    /// There are no more members to come.
    pub event Close { pub group: u64 } -> u64;
}

/// A group of strands that run at the same time.
#[derive(Debug)]
pub struct Group {
    number: u64,
    size: u32,
    forked: AtomicU32,
}

impl Group {
    /// A group of so many members, which are to be [forked](Self::fork).
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if there are fewer cores than that, or too many groups; [`Error::BadArgument`] for none;
    /// [`Error::Unbound`] if `gang` is gone.
    pub fn new(size: u32) -> Result<Self, Error> {
        match raise(&NewGroup { size: size.into() })? {
            answer::EMPTY => Err(Error::BadArgument),
            answer::TOO_LARGE | answer::FULL => Err(Error::Limit),
            number => Ok(Self { number, size, forked: AtomicU32::new(0) }),
        }
    }

    /// Makes a member, which has a core of its own, the same for all its life; [`JoinHandle::join`] waits for what
    /// `closure` returns. No member runs before the last one was forked.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the group has all its members; as for [`Builder::spawn`], and then there is room for
    /// another; [`Error::Unbound`] if `gang` is gone.
    pub fn fork<T, F>(&self, name: &str, closure: F) -> Result<JoinHandle<T>, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let has_room = |forked| (forked < self.size).then_some(forked + 1);
        // Relaxed: the number itself is all that is asked for.
        let forked = self.forked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room);
        forked.map_err(|_| Error::Limit)?;
        let made = raise(&Scheduler { reserved: 0 })
            .and_then(|package| Builder::new(name).package(package).spawn(closure))
            .inspect_err(|_| _ = self.forked.fetch_sub(1, Ordering::Relaxed))?;
        raise(&Join { group: self.number, strand: made.strand() })?;
        Ok(made)
    }

    /// How many members it has, or will have.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }
}

impl Drop for Group {
    /// Those that were forked go on; if they are fewer than was said, as a smaller group.
    fn drop(&mut self) {
        if self.forked.load(Ordering::Relaxed) < self.size {
            // If `gang` is gone there is no group any more.
            let _ = raise(&Close { group: self.number });
        }
    }
}
