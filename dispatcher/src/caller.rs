//! Code of a domain that has called the core: what the core must know of it before it does what it is
//! asked, found with a few loads.

use crate::{border::Border, context, domain::DomainState, plan::Entry, processor::Processor};

/// Code of a domain on whose behalf the running strand acts.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    border: &'a Border,
    entry: &'a Entry,
    domain: &'a DomainState,
}

impl Caller<'_> {
    /// Whose code has called, if it is not trusted: that of the strand's innermost border.
    ///
    /// # Safety
    ///
    /// Used only until the call is answered: the border is open until then, and the domain's code is on
    /// the stack below, which keeps its state.
    #[inline]
    pub unsafe fn running<P: Processor>() -> Option<Self> {
        // SAFETY: the running strand's own border, open as the contract says.
        let border = unsafe { P::top().as_ref() }?;
        let entry = border.entry()?;
        entry.domain().map(|domain| Self { border, entry, domain })
    }

    /// Is its domain open? One that has failed, or is being retired, is not. Cost: one comparison.
    #[inline]
    #[must_use]
    pub fn is_welcome(&self) -> bool {
        self.domain.is_open()
    }

    /// Has it a time bound, so that it may be late? For as long as it runs. Cost: one test.
    #[inline]
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.border.is_bounded()
    }

    /// May it raise, as far as [`might_raise`](context::might_raise) is concerned? Cost: five instructions,
    /// and about twelve for each further border that the strand has open.
    #[inline]
    #[must_use]
    pub fn may_raise(&self) -> bool {
        // SAFETY: borders further out are open for longer than this one.
        !self.entry.only_looks() && unsafe { context::may_raise_from(self.border.below()) }
    }
}
