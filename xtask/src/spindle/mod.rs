//! Spindles on the builder's side: from a crate's folder to one `.spindle` object.
pub mod build;
mod check;
mod environment;
mod glue;
mod link;
pub mod manifest;
pub mod new;
mod report;

use crate::error::{Error, Result};

/// The longest name of a spindle, in bytes.
const LONGEST_NAME: usize = 32;

/// Checks that `name` can be a spindle's: `[a-z][a-z0-9_-]{0,31}`, as the kernel does, and no crate of the toolchain.
pub fn check_name(name: &str) -> Result<()> {
    let next = "take a name such as `greeter` or `packet-filter`";
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(Error::new(format!("{name:?} does not begin with a letter from a to z"), next));
    }
    if let Some(wrong) = name.chars().find(|&letter| !letter.is_ascii() || !is_letter(letter as u8)) {
        return Err(Error::new(format!("{name:?} holds {wrong:?}; only a-z, 0-9, _ and - may"), next));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::new(
            format!("{name:?} has {} letters; at most {LONGEST_NAME} may be", name.len()),
            next,
        ));
    }
    if matches!(name, "spindle" | "core" | "alloc" | "std" | "test" | "proc_macro") {
        return Err(Error::new(format!("{name:?} is the name of a crate that every spindle may use"), next));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_are_those_that_the_kernel_takes() {
        for good in ["a", "greeter", "packet-filter", "x_9", &"a".repeat(32)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "9lives",
            "-x",
            "_x",
            "Greeter",
            "a b",
            "a/b",
            "../x",
            "ä",
            "core",
            "spindle",
            &"a".repeat(33),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
