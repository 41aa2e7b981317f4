//! The forms that names must have.

use crate::limits;

/// Is this a spindle's name: `[a-z][a-z0-9_-]{0,31}`?
///
/// ```
/// assert!(object::forms::is_spindle_name("greeter-2"));
/// assert!(!object::forms::is_spindle_name("Greeter"));
/// ```
pub fn is_spindle_name(name: &str) -> bool {
    name.len() <= limits::NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// Is this a version: one to 32 letters, digits, `.`, `-` or `+`?
///
/// ```
/// assert!(object::forms::is_version("0.1.0-rc.1+spindle"));
/// assert!(!object::forms::is_version("one two"));
/// ```
pub fn is_version(version: &str) -> bool {
    (1..=limits::VERSION).contains(&version.len())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

/// Is this an import's name: `Interface.Name`, both `[A-Z][A-Za-z0-9]*`, at most 64 bytes together?
///
/// ```
/// assert!(object::forms::is_import_name("Console.Write"));
/// assert!(!object::forms::is_import_name("Console.Write.More"));
/// ```
pub fn is_import_name(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    name.len() <= limits::IMPORT_NAME
        && name.split_once('.').is_some_and(|(interface, item)| is_word(interface) && is_word(item))
}

/// Is this a signature that can be shown: one to 4,096 bytes without control characters?
///
/// ```
/// assert!(object::forms::is_signature("fn(&str) -> Result<()>"));
/// assert!(!object::forms::is_signature("fn()\u{1b}[2J"));
/// ```
pub fn is_signature(signature: &str) -> bool {
    (1..=limits::SIGNATURE).contains(&signature.len()) && !signature.contains(char::is_control)
}
