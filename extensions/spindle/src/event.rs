//! Events, as a spindle sees them.

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
    /// Its fields in their order, each with its offset and its size in bytes; for people.
    const FIELDS: &'static [(&'static str, usize, usize)];
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
        // SAFETY: all six are made from the one declaration.
        unsafe impl $crate::Event for $name {
            type Result = $result;
            const NAME: &'static str =
                $crate::core_::concat!($interface, ".", $crate::core_::stringify!($name));
            const SIGNATURE: &'static str = $crate::one_line!($crate::core_::stringify!(event { $($field: $type),* } -> $result));
            const FIELDS: &'static [(&'static str, usize, usize)] =
                &[$((
                    $crate::core_::stringify!($field),
                    $crate::core_::mem::offset_of!($name, $field),
                    $crate::core_::mem::size_of::<$type>(),
                )),*];

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

/// Raises an event asynchronously: leaves a copy of the arguments, and a strand of the kernel's runs whatever
/// is installed on it later. No result comes of it.
///
/// # Errors
///
/// [`Error::NoQueue`] if the event's owner takes no such raises, [`Error::Full`] if too many wait;
/// [`Error::Context`] in a guard.
pub fn post<E: Event>(args: &E) -> Result<(), Error> {
    let args = core::ptr::from_ref(args).expose_provenance();
    crate::interfaces::dispatcher::post(E::import().load(), args)
}

/// Raises an event: runs whatever is installed on it, on this strand, and returns the result of the
/// last that ran, unless the event's owner merges them in another way.
///
/// # Errors
///
/// [`Error::NoHandler`], [`Error::Cut`] if the only handlers failed, [`Error::OutOfStack`]; of asynchronous
/// handlers [`Error::Posted`] if there were no others, and [`Error::Full`] if one has no room;
/// [`Error::Context`] in a guard, which only looks.
pub fn raise<E: Event>(args: &E) -> Result<E::Result, Error> {
    let mut result = MaybeUninit::<E::Result>::uninit();
    let args = core::ptr::from_ref(args).expose_provenance();
    crate::interfaces::dispatcher::raise(E::import().load(), args, result.as_mut_ptr().expose_provenance())?;
    // SAFETY: a raise that went well has written the result.
    Ok(unsafe { result.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn fields_are_known_by_their_places() {
        crate::events! { "Test": pub event Knock { pub door: u8, pub loudness: u32, pub is_late: bool } -> bool; }
        let fields = [("door", 0, 1), ("loudness", 4, 4), ("is_late", 8, 1)];
        assert_eq!(Knock::FIELDS, fields);
    }

    #[test]
    fn a_signature_is_one_line_however_long() {
        crate::events! { "Test": pub event Long {
            pub the_first_of_its_fields: [u64; 2], pub the_second_of_its_fields: u64, pub the_third: [[u8; 4]; 4],
            pub the_fourth_of_its_fields: u64, pub the_fifth_of_its_fields: u64, pub the_last_of_its_fields: i64,
        } -> u64; }
        assert!(
            Long::SIGNATURE.len() > 150 && !Long::SIGNATURE.contains(char::is_control),
            "{}",
            Long::SIGNATURE
        );
        assert!(
            !Long::SIGNATURE.contains("  ") && Long::SIGNATURE.ends_with("} -> u64"),
            "{}",
            Long::SIGNATURE
        );
    }
}
