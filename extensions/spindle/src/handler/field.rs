//! What a handler can be keyed by.

use crate::plain::Plain;

/// Fields by which handlers can be keyed: numbers and truth values.
pub trait Field: Plain + sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// The value as the kernel compares it: its bytes, widened with zeros.
        fn word(self) -> u64;
    }
}

macro_rules! fields {
    ($($field:ty as $bits:ty),*) => {$(
        impl sealed::Sealed for $field {
            fn word(self) -> u64 {
                self as $bits as u64
            }
        }
        impl Field for $field {}
    )*};
}
fields!(
    bool as u8,
    u8 as u8,
    u16 as u16,
    u32 as u32,
    u64 as u64,
    usize as usize,
    i8 as u8,
    i16 as u16,
    i32 as u32,
    i64 as u64,
    isize as usize
);
