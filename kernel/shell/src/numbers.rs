//! A set of small numbers, as people write it: `0`, `0-3,6`, `all`.

use alloc::format;
use alloc::string::String;
use core::fmt::{self, Display};
use core::str::FromStr;

/// A set of numbers below 64: bit *n* is number *n*.
///
/// ```
/// use shell::numbers::NumberSet;
///
/// let set: NumberSet = "0-2,5".parse()?;
/// assert_eq!(set, NumberSet(0b10_0111));
/// assert_eq!(set.to_string(), "0-2,5");
/// assert_eq!("all".parse(), Ok(NumberSet::ALL));
/// # Ok::<(), shell::numbers::NotNumbers>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberSet(pub u64);

/// A text is no set of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNumbers;

impl Display for NotNumbers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("write numbers from 0 to 63 and ranges with commas between, such as 0-2,5; or all")
    }
}

impl core::error::Error for NotNumbers {}

impl NumberSet {
    /// Every number.
    pub const ALL: Self = Self(u64::MAX);
}

impl FromStr for NumberSet {
    type Err = NotNumbers;

    fn from_str(text: &str) -> Result<Self, NotNumbers> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().ok().filter(|number: &u32| *number < u64::BITS).ok_or(NotNumbers),
            false => Err(NotNumbers),
        };
        text.split(',').try_fold(Self(0), |set, part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(NotNumbers);
            }
            Ok(Self(set.0 | u64::MAX >> (63 - (last - first)) << first))
        })
    }
}

impl Display for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if *self == Self::ALL {
            return f.pad("all");
        }
        let (mut out, mut number) = (String::new(), 0);
        while number < u64::BITS {
            let length = (self.0 >> number).trailing_ones();
            if length > 0 {
                let comma = if out.is_empty() { "" } else { "," };
                out += &match length {
                    1 => format!("{comma}{number}"),
                    _ => format!("{comma}{number}-{}", number + length - 1),
                };
            }
            number += length + 1;
        }
        f.pad(if out.is_empty() { "none" } else { &out })
    }
}

#[cfg(test)]
mod tests {
    use super::{NotNumbers, NumberSet};
    use alloc::string::ToString;

    #[test]
    fn what_is_written_can_be_read() {
        for (text, set) in [("0", 1), ("63", 1 << 63), ("0-62", u64::MAX >> 1), ("1,3-4,9", 0b10_0001_1010)] {
            assert_eq!(text.parse(), Ok(NumberSet(set)), "{text}");
            assert_eq!(NumberSet(set).to_string(), text);
        }
        assert_eq!("0-63".parse(), Ok(NumberSet::ALL));
        assert_eq!("3,1,2".parse::<NumberSet>().map(|set| set.to_string()), Ok("1-3".into()));
        assert_eq!(NumberSet(0).to_string(), "none");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", ",", "1,", "64", "3-1", "-1", "1-", "+1", "a", "1 2", "none", "99999999999"] {
            assert_eq!(text.parse::<NumberSet>(), Err(NotNumbers), "{text}");
        }
    }
}
