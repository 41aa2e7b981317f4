//! Finding what was meant.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The names that are nearest to a mistyped one, nearest first, at most three; those that are too far are
/// left out.
pub(crate) fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    // One slip in a short word, two or three in a longer one.
    let limit = (typed.chars().count() / 3).clamp(1, 3);
    let begins = |name: &str| !typed.is_empty() && name.starts_with(typed);
    let mut found: Vec<_> = names
        .map(|name| (if begins(name) { 0 } else { distance(typed, name) }, name))
        .filter(|&(distance, _)| distance <= limit)
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).take(3).collect()
}

/// What to add to the error about a name that is none: `; did you mean `load`?`, or nothing where no name is
/// near.
///
/// ```
/// let there = ["Demo.Hello", "Demo.Heard"];
/// assert_eq!(shell::suggestion("demo.helo", there), "; did you mean `Demo.Hello`?");
/// assert_eq!(shell::suggestion("Trap.PageFault", there), "");
/// ```
pub fn suggestion<'n>(typed: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(typed, names.into_iter())
        .first()
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

/// How many signs must be put in, taken out, replaced, or swapped with their neighbour ("optimal string
/// alignment").
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &sign) in one.iter().enumerate() {
        let mut this = Vec::with_capacity(last.len());
        this.push(row + 1);
        for (column, &target) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(sign != target);
            let mut best = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && sign == other[column - 1] && one[row - 1] == target {
                best = best.min(before_last[column - 1] + 1);
            }
            this.push(best);
        }
        before_last = core::mem::replace(&mut last, this);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in
            [("", "", 0), ("", "abc", 3), ("load", "load", 0), ("laod", "load", 1), ("lod", "load", 1)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_what_is_near() {
        let names = ["load", "unload", "help", "halt", "domains"];
        let near = |typed| nearest(typed, names.into_iter());
        assert_eq!(near("laod"), ["load"]);
        assert_eq!(near("hlep"), ["help"]);
        assert_eq!(near("do"), ["domains"]);
        assert_eq!(near("domians"), ["domains"]);
        assert_eq!(near("xyzzy"), [""; 0]);
        assert_eq!(near(""), [""; 0]);
    }
}
