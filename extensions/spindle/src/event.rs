//! Events, as a spindle sees them.

extern crate alloc;

use alloc::boxed::Box;
use core::mem::MaybeUninit;

use crate::{
    Error,
    interface::{Import, signature_hash},
    plain::Plain,
};

/// An event, named by the type of its arguments: [`demo::Hello`](crate::demo::Hello) is the event
/// `Demo.Hello` and what its handlers are told.
///
/// # Safety
///
/// Name, signature and hash describe this type and its result, and [`import`](Self::import) is an
/// import of just these. [`events!`](crate::events) sees to it; there is no other way for safe code.
pub unsafe trait Event: Plain {
    /// What a handler answers.
    type Result: Plain;
    /// `Interface.Event`.
    const NAME: &'static str;
    /// What both sides must agree on, for people.
    const SIGNATURE: &'static str;
    /// What both sides must agree on.
    const HASH: u64 = signature_hash(
        Self::SIGNATURE,
        &[
            (size_of::<Self>(), align_of::<Self>()),
            (size_of::<Self::Result>(), align_of::<Self::Result>()),
            (Self::SHAPE as usize, Self::Result::SHAPE as usize),
        ],
    );

    /// The import through which this object knows the event.
    #[doc(hidden)]
    fn import() -> &'static Import;
}

/// Declares events: the type of their arguments, and what a handler answers.
///
/// ```
/// spindle::events! { "Demo":
///     /// Somebody knocks.
///     pub event Knock { pub door: u32 } -> bool;
/// }
/// ```
#[macro_export]
macro_rules! events {
    ($interface:literal: $($(#[$attribute:meta])*
        pub event $name:ident { $($(#[$field_attribute:meta])* pub $field:ident: $type:ty),* $(,)? } -> $result:ty;
    )*) => {$(
        $crate::plain! {
            $(#[$attribute])*
            pub struct $name { $($(#[$field_attribute])* pub $field: $type),* }
        }
        // SAFETY: all five are made from the one declaration.
        unsafe impl $crate::Event for $name {
            type Result = $result;
            const NAME: &'static str = concat!($interface, ".", stringify!($name));
            const SIGNATURE: &'static str = stringify!(event { $($field: $type),* } -> $result);

            fn import() -> &'static $crate::interface::Import {
                use $crate::interface::{Import, Kind};
                #[unsafe(link_section = "whorl_imports")]
                static IMPORT: Import = Import::new(
                    <$name as $crate::Event>::NAME,
                    <$name as $crate::Event>::SIGNATURE,
                    <$name as $crate::Event>::HASH,
                    Kind::Event,
                    $crate::interface::no_event as *const (),
                );
                &IMPORT
            }
        }
    )*};
}

/// A handler of this spindle that is installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    event: usize,
    number: u64,
}

/// Installs a handler; from the next raise on, on any core, it is called.
///
/// Cost: a new plan in the kernel, linear in the number of the event's handlers.
///
/// # Errors
///
/// [`Error::Limit`] if the event has too many handlers, [`Error::OutOfMemory`], [`Error::Closed`];
/// nothing has changed then.
pub fn install<E: Event, F: Fn(&E) -> E::Result + Send + Sync + 'static>(
    handler: F,
) -> Result<Binding, Error> {
    let event = E::import().load();
    let closure = Box::into_raw(Box::new(handler));
    let code = call::<E, F> as *const () as usize;
    let installed = crate::interfaces::dispatcher::install(event, code, closure.expose_provenance());
    if installed.is_err() {
        // SAFETY: the kernel did not take it, so it is ours still.
        drop(unsafe { Box::from_raw(closure) });
    }
    installed.map(|number| Binding { event, number })
}

/// Removes a handler: no raise that begins after this returns calls it. One that began before may
/// still be in it, so its closure stays until the spindle is unloaded.
///
/// # Errors
///
/// [`Error::UnknownBinding`] if it was removed before.
pub fn remove(binding: Binding) -> Result<(), Error> {
    crate::interfaces::dispatcher::remove(binding.event, binding.number)
}

/// Raises an event: runs whatever is installed on it, on this strand, and returns the result of the
/// last that ran.
///
/// # Errors
///
/// [`Error::NoHandler`], [`Error::Cut`] if the only handlers failed, [`Error::OutOfStack`].
pub fn raise<E: Event>(args: &E) -> Result<E::Result, Error> {
    let mut result = MaybeUninit::<E::Result>::uninit();
    let args = core::ptr::from_ref(args).expose_provenance();
    crate::interfaces::dispatcher::raise(E::import().load(), args, result.as_mut_ptr().expose_provenance())?;
    // SAFETY: a raise that went well has written the result.
    Ok(unsafe { result.assume_init() })
}

/// The form in which the kernel calls handlers.
///
/// # Safety
///
/// `closure` points to the `F` that was installed, `args` to an `E`, `result` to room for a result.
unsafe extern "C" fn call<E: Event, F: Fn(&E) -> E::Result>(
    closure: *const (),
    args: *const (),
    result: *mut (),
) {
    // SAFETY: by the contract.
    let handler = unsafe { &*closure.cast::<F>() };
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<E>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<E::Result>().write(handler(args)) }
}
