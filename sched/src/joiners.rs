//! Who waits for a strand's end.

use alloc::{sync::Arc, vec::Vec};

use crate::{machine::Machine, strand::Strand, wait::unblock};

/// Those who wait; nearly always it is one, for whom there is a place.
pub(crate) enum Joiners<M: Machine> {
    /// It has not ended.
    Waiting { first: Option<Arc<Strand<M>>>, others: Vec<Arc<Strand<M>>> },
    /// It has ended.
    Over,
}

impl<M: Machine> Joiners<M> {
    pub(crate) const fn new() -> Self {
        Self::Waiting { first: None, others: Vec::new() }
    }

    /// Enters one that will wait. False says that it need not.
    #[must_use]
    pub(crate) fn enter(&mut self, joiner: &Arc<Strand<M>>) -> bool {
        let Self::Waiting { first, others } = self else { return false };
        let is_it = |other: &Arc<Strand<M>>| Arc::ptr_eq(other, joiner);
        match first {
            None => *first = Some(joiner.clone()),
            Some(first) if is_it(first) => {}
            Some(_) if others.iter().any(is_it) => {}
            Some(_) => others.push(joiner.clone()),
        }
        true
    }

    /// Takes out one that waits no more. False says that the strand has ended.
    #[must_use]
    pub(crate) fn strike(&mut self, joiner: &Arc<Strand<M>>) -> bool {
        let Self::Waiting { first, others } = self else { return false };
        first.take_if(|first| Arc::ptr_eq(first, joiner));
        others.retain(|other| !Arc::ptr_eq(other, joiner));
        true
    }

    /// The one who waits, if it is one.
    pub(crate) fn only(&self) -> Option<&Arc<Strand<M>>> {
        match self {
            Self::Waiting { first, others } if others.is_empty() => first.as_ref(),
            _ => None,
        }
    }

    /// All that wait.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Strand<M>>> {
        let (first, others): (_, &[_]) = match self {
            Self::Waiting { first, others } => (first.as_ref(), others),
            Self::Over => (None, &[]),
        };
        first.into_iter().chain(others)
    }

    /// Nobody waits from now on; those who did so are to be [called](Self::call).
    pub(crate) fn close(&mut self) -> Self {
        core::mem::replace(self, Self::Over)
    }

    /// Lets all go on.
    pub(crate) fn call(self) {
        self.iter().for_each(unblock);
    }
}
