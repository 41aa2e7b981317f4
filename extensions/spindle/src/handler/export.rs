//! Events of a spindle's own.

use super::Handler;
use crate::{Error, Event, installation::Exportation, interfaces::dispatcher, plain::Text};

impl<E: Event> Handler<E> {
    /// Makes the event this spindle's own, with this handler, as [`export`] does.
    ///
    /// # Errors
    ///
    /// As for [`export`].
    pub fn export(self) -> Result<(), Error> {
        self.export_as(&const { Exportation::of::<E>(false) })
    }

    /// As [`export`](Self::export), and every spindle that imports the event may install handlers on it too.
    /// Of several the last one's result counts; this one is called first, unless somebody asks for that place.
    /// They are called as handlers of the kernel's events are, and go when this spindle goes.
    ///
    /// # Errors
    ///
    /// As for [`export`].
    pub fn export_open(self) -> Result<(), Error> {
        self.export_as(&const { Exportation::of::<E>(true) })
    }

    fn export_as(self, event: &Exportation) -> Result<(), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        dispatcher::export(&self.wanted, Text::new(E::NAME), Text::new(E::SIGNATURE), event)?;
        // It stays as long as the spindle.
        self.captures.leak();
        Ok(())
    }
}

/// Makes an event this spindle's own: creates it, and `handler` is what its raises run. Others can use this
/// spindle by it as they use the kernel, and see nothing else of it.
///
/// The event is declared in a small library that both depend on by its path, `extensions/NAME/interface` for the
/// spindle `NAME`, by [`events!`](crate::events); it is safe code as the spindle itself is:
///
/// ```
/// # mod cthreads_interface {
/// spindle::events! { "CThreads":
///     /// Takes a mutex; the answer says whether it was free.
///     pub event Lock { pub mutex: u64 } -> bool;
/// }
/// # }
/// // In the spindle whose event it is:
/// # mod owner {
/// # use crate::cthreads_interface;
/// use cthreads_interface::Lock;
/// use spindle::{Error, export};
///
/// pub fn start() -> Result<(), Error> {
///     export(|lock: &Lock| lock.mutex % 2 == 0)
/// }
/// # }
/// // In one that uses it, and is loaded later:
/// # mod user {
/// # use crate::cthreads_interface;
/// # use spindle::{Error, raise};
/// # use cthreads_interface::Lock;
/// fn work() -> Result<(), Error> {
///     let is_mine = raise(&Lock { mutex: 4 })?;
/// #   drop(is_mine);
///     Ok(())
/// }
/// # pub fn test() { assert_eq!(work(), Err(Error::Unbound)); }
/// # }
/// # fn main() {
/// #     user::test();
/// #     assert_eq!(owner::start(), Err(spindle::Error::Unbound));
/// # }
/// ```
///
/// Imports are bound when a spindle is loaded, by name and types: so the owner is loaded first. When the owner is
/// unloaded, or fails, raises return [`Error::Unbound`] from then on, and whoever imported the event stays; a
/// raise that was under way when it failed returns [`Error::Cut`]. When an owner is loaded again it is known to
/// those that are loaded after it; those from before stay unbound.
///
/// Nobody else may install handlers on the event; [`Handler::export_open`] lets them. A handler with conditions
/// leaves raises for which they do not hold unanswered. The spindle cannot import its own events: it calls its
/// own procedures.
///
/// Arguments and result have at most 256 bytes each, or it does not compile:
///
/// ```compile_fail
/// spindle::events! { "Test": pub event Large { pub bytes: [u64; 33] } -> (); }
/// let _ = spindle::export(|_: &Large| ());
/// ```
///
/// # Errors
///
/// [`Error::Exists`] if there is an event of that name. [`Error::Limit`] if this spindle has 64 already, or all
/// together 1,024; [`Error::BadArgument`] if the name is not `Interface.Event` in letters and digits;
/// [`Error::Context`] in a guard; [`Error::OutOfMemory`], [`Error::Closed`]. Nothing has changed then.
pub fn export<E: Event, F: Fn(&E) -> E::Result + Send + Sync + 'static>(handler: F) -> Result<(), Error> {
    super::handler(handler).export()
}
