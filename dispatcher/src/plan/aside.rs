//! Who is asked or told something on the way and is no handler: while they run, the border names them,
//! so that nobody takes what they do for a handler's, and it is known what they may not do.

use core::ptr;

use super::{Entry, Traits, fail};

/// Trusted code that the dispatcher calls for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aside {
    /// What makes one result of several: a fold, or the owner's own.
    Policy,
    /// Who decides on what others install.
    Authorizer,
    /// Who hears of handlers that ran too long.
    Report,
    /// What drops a closure that is used no more.
    Destructor,
}

static ENTRIES: [Entry; 4] = [const { Entry::aside() }; 4];

impl Aside {
    /// What a border names while it runs.
    pub(crate) fn entry(self) -> &'static Entry {
        &ENTRIES[self as usize]
    }

    /// Which one it is, if it is one.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        const ALL: [Aside; 4] = [Aside::Policy, Aside::Authorizer, Aside::Report, Aside::Destructor];
        let is_one = entry.traits.has(Traits::ASIDE);
        ALL.into_iter().find(|aside| is_one && ptr::eq(aside.entry(), entry))
    }
}

impl Entry {
    const fn aside() -> Self {
        let mut entry = Self::plain(fail, ptr::null());
        entry.traits = Traits(Traits::ASIDE);
        entry
    }
}
