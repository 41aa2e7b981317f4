//! What may cross a border: plain data, and borrows of it for the length of a call.

use core::{fmt, marker::PhantomData, slice, str};

use crate::interface::signature_hash;

/// Data that means the same to every domain: no references, no destructor, no function pointers.
///
/// # Safety
///
/// The type is `repr(C)` or a number, and every field is plain. All bytes zero are one of its values.
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// A hash of what it is made of, down to the numbers, whatever name it goes by: of two types that
    /// are spelled alike in two crates one may be an alias, and not every byte is a `bool`.
    const SHAPE: u64;
}

macro_rules! plain_numbers {
    ($($number:ty),*) => {
        $(
            // SAFETY: a number.
            unsafe impl Plain for $number {
                const SHAPE: u64 = signature_hash(stringify!($number), &[]);
            }
        )*
    };
}
plain_numbers!((), u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, bool);

// SAFETY: as plain as what it consists of.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    const SHAPE: u64 = signature_hash("[]", &[(T::SHAPE as usize, N)]);
}

/// Declares structures of plain data. The fields are checked to be plain themselves.
///
/// ```
/// spindle::plain! {
///     /// A packet's ends.
///     pub struct Ends { pub source: u16, pub destination: u16 }
/// }
/// ```
#[macro_export]
macro_rules! plain {
    ($($(#[$attribute:meta])* pub struct $name:ident {
        $($(#[$field_attribute:meta])* pub $field:ident: $type:ty),* $(,)?
    })*) => {
        $($(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $($(#[$field_attribute])* pub $field: $type),* }

        // SAFETY: `repr(C)`, and each field is plain, or it would have no shape.
        unsafe impl $crate::plain::Plain for $name {
            const SHAPE: u64 = $crate::interface::signature_hash(
                $crate::core_::stringify!({ $($field),* }),
                &[
                    ($crate::core_::mem::size_of::<Self>(), $crate::core_::mem::align_of::<Self>()),
                    $(($crate::core_::mem::offset_of!(Self, $field), <$type as $crate::plain::Plain>::SHAPE as usize),)*
                ],
            );
        })*
    };
}

/// Text that is lent for the length of a call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Text<'a> {
    start: *const u8,
    length: usize,
    _lent: PhantomData<&'a str>,
}

impl<'a> Text<'a> {
    /// Lends `text`.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { start: text.as_ptr(), length: text.len(), _lent: PhantomData }
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        // SAFETY: the only way to make one is from a `&'a str`, whose parts these are.
        let bytes = unsafe { slice::from_raw_parts(self.start, self.length) };
        // SAFETY: as above.
        unsafe { str::from_utf8_unchecked(bytes) }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(out)
    }
}

/// Text of a fixed capacity on the stack, to format into; what does not fit is cut off and marked.
pub struct Buffer<const CAPACITY: usize> {
    bytes: [u8; CAPACITY],
    length: usize,
    is_cut: bool,
}

impl<const CAPACITY: usize> Buffer<CAPACITY> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: 0, is_cut: false }
    }

    /// What was written, as far as it fitted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Writes stop at character boundaries, so this cannot fail; if it did, nothing is said.
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// Was something left out?
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl<const CAPACITY: usize> Default for Buffer<CAPACITY> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CAPACITY: usize> fmt::Write for Buffer<CAPACITY> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = CAPACITY - self.length;
        let end = if text.len() <= room { text.len() } else { text.floor_char_boundary(room) };
        self.bytes[self.length..self.length + end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += end;
        self.is_cut |= end < text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn a_full_buffer_cuts_between_characters() {
        let mut buffer = Buffer::<4>::new();
        write!(buffer, "abc\u{e9}").expect("writing never fails");
        assert_eq!((buffer.as_str(), buffer.is_cut()), ("abc", true));
    }

    #[test]
    fn a_type_under_a_borrowed_name_has_another_shape() {
        mod real {
            crate::events! { "Test": pub event Door { pub number: u64, pub floor: u32 } -> u64; }
        }
        mod forged {
            crate::plain! { pub struct Two { pub a: bool, pub b: bool } }
            #[allow(non_camel_case_types, reason = "the forgery")]
            type u32 = Two;
            crate::events! { "Test": pub event Door { pub number: u64, pub floor: u32 } -> u64; }
        }
        use crate::Event;
        assert_eq!(real::Door::SIGNATURE, forged::Door::SIGNATURE);
        assert_eq!(size_of::<real::Door>(), size_of::<forged::Door>());
        assert_ne!(real::Door::HASH, forged::Door::HASH);
    }

    /// What a caller's own names say does not count: neither procedures, nor macros, nor a module `core`.
    #[test]
    fn shapes_are_not_made_of_borrowed_names() {
        mod real {
            crate::plain! { pub struct Pair { pub a: u32, pub b: u32 } }
        }
        mod forged {
            #[allow(dead_code, reason = "nobody falls for it")]
            pub const fn size_of<T>() -> usize {
                ::core::mem::size_of::<T>() + 1
            }
            #[allow(dead_code, reason = "as above")]
            pub const fn align_of<T>() -> usize {
                ::core::mem::align_of::<T>() + 1
            }
            #[allow(unused_macros, reason = "as above")]
            macro_rules! stringify {
                ($($any:tt)*) => {
                    "forged"
                };
            }
            #[allow(dead_code, reason = "as above")]
            mod core {
                pub mod mem {
                    pub const fn size_of<T>() -> usize {
                        ::core::mem::size_of::<T>() + 1
                    }
                }
            }
            crate::plain! { pub struct Pair { pub a: u32, pub b: u32 } }
        }
        assert_eq!(<real::Pair as Plain>::SHAPE, <forged::Pair as Plain>::SHAPE);
    }

    #[test]
    fn text_arrives_as_it_was_lent() {
        assert_eq!(Text::new("whorl").as_str(), "whorl");
        assert_eq!(Text::new("").as_str(), "");
    }
}
