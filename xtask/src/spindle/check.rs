//! What the builder demands of a spindle's source before it compiles it.
//!
//! Today: the head of the crate, and of each crate that it depends on by a path, but the kit, forbids unsafe code, so
//! that the compiler refuses it, and no build script of these runs. What the kit's macros expand to is the kit's, and
//! passes. What the compiler does not see (macros of other crates, linker attributes), and crates from a registry, are
//! not looked at yet: build spindles of authors that you trust.
use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::files;

/// Refuses a crate, a spindle's own or one that it depends on, whose source could hold what safe code may not.
pub fn source(spindle: &Manifest) -> Result<()> {
    if spindle.has_build_script {
        return Err(Error::new(
            format!("{} has a build script, which runs code of the author's while building", spindle.name),
            "remove build.rs; what it makes belongs in the source",
        ));
    }
    let text = files::read_text(&spindle.root_file)?;
    let attributes = head(&text);
    for (wanted, why) in [
        ("forbid(unsafe_code)", "a spindle shares the kernel's address space, so it must be safe code"),
        ("no_std", "there is no operating system below a spindle"),
    ] {
        if !attributes.iter().any(|attribute| says(attribute, wanted)) {
            return Err(Error::new(
                format!("{} does not say #![{wanted}]: {why}", spindle.root_file.display()),
                format!("put #![{wanted}] at its head, below the comments and above everything else"),
            ));
        }
    }
    Ok(())
}

/// True if `attribute` (without spaces) says `wanted`, alone or in a list: `forbid(missing_docs,unsafe_code)`.
fn says(attribute: &str, wanted: &str) -> bool {
    let Some((level, lint)) = wanted.strip_suffix(')').and_then(|wanted| wanted.split_once('(')) else {
        return attribute == wanted;
    };
    attribute
        .strip_prefix(level)
        .and_then(|rest| rest.strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(')'))
        .is_some_and(|list| list.split(',').any(|entry| entry == lint))
}

/// The inner attributes `#![...]` at the head of a source file, each without its spaces. The language allows them
/// nowhere else, so nothing below the first item can be taken for one.
fn head(mut text: &str) -> Vec<String> {
    let mut attributes = Vec::new();
    loop {
        text = skip_comments(text);
        let Some(rest) = text.strip_prefix("#![") else { return attributes };
        let mut depth = 1_usize;
        let Some(end) = rest.find(|letter| {
            match letter {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            depth == 0
        }) else {
            return attributes;
        };
        // A string could hold the bracket that seemed to end the attribute, and what seems to follow. So the head ends
        // before a string: that can refuse a good spindle, but never pass a bad one.
        if rest[..end].contains('"') {
            return attributes;
        }
        attributes.push(rest[..end].split_whitespace().collect());
        text = &rest[end + 1..];
    }
}

/// The text from its first letter on that is no space and in no comment.
fn skip_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        if text.starts_with("//") {
            text = text.split_once('\n').map_or("", |(_, rest)| rest);
        } else if text.starts_with("/*") {
            text = after_block_comment(text);
        } else {
            return text;
        }
    }
}

/// What follows the block comment that `text` begins with. Block comments nest.
fn after_block_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return &text[at..];
            }
        } else {
            at += 1;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::{head, says};

    fn forbids(text: &str) -> bool {
        head(text).iter().any(|attribute| says(attribute, "forbid(unsafe_code)"))
    }

    #[test]
    fn the_head_is_found_behind_comments() {
        assert!(forbids("//! A spindle.\n#![no_std]\n#![forbid(unsafe_code)]\nfn f() {}"));
        assert!(forbids("/* a /* nested */ comment */ #![ forbid ( missing_docs , unsafe_code ) ]"));
        assert!(forbids("#![allow(clippy::all)]\n// more\n#![forbid(unsafe_code)]"));
    }

    #[test]
    fn what_only_looks_like_it_is_not_enough() {
        for text in [
            "",
            "#![deny(unsafe_code)]",
            "// #![forbid(unsafe_code)]\nfn f() {}",
            "/* #![forbid(unsafe_code)] */",
            "fn f() {}\n#![forbid(unsafe_code)]",
            "const T: &str = \"\n#![forbid(unsafe_code)]\n\";",
            "#![doc = \"]#![forbid(unsafe_code)]\"]",
            "#![cfg_attr(never, forbid(unsafe_code))]",
            "#![forbid(unsafe_code_of_others)]",
            "/* open",
            "#![open",
        ] {
            assert!(!forbids(text), "{text}");
        }
    }
}
