//! The console: lines of text to whoever watches.

use core::fmt::{self, Write as _};

use crate::{Error, interfaces::text, plain::Buffer, plain::Text};

/// The longest line, in bytes.
pub const LONGEST_LINE: usize = 256;

/// Writes one line, which the kernel marks with the spindle's name. Allocates nothing.
///
/// # Errors
///
/// [`Error::Limit`] if it was longer than [`LONGEST_LINE`]: it is written as far as it fits.
pub fn write_line(line: fmt::Arguments<'_>) -> Result<(), Error> {
    let mut buffer = Buffer::<LONGEST_LINE>::new();
    buffer.write_fmt(line)?;
    text::write(Text::new(buffer.as_str()))?;
    if buffer.is_cut() { Err(Error::Limit) } else { Ok(()) }
}

/// Formats and writes one line to the console: see [`console::write_line`](crate::console::write_line).
#[macro_export]
macro_rules! println {
    ($($format:tt)*) => { $crate::console::write_line(format_args!($($format)*)) };
}
