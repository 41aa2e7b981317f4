//! Names for code addresses, looked up in the text itself.
//!
//! The text has a line `HEXADDRESS HEXSIZE name` for each function, ascending
//! by address. It is used where nothing can be allocated and little trusted:
//! a garbled text gives no names or wrong ones, never a panic.

/// A function's name and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its full path, as demangled.
    pub name: &'a str,
    /// Address of its first instruction.
    pub start: u64,
    /// Bytes of code; 0 where unknown.
    pub size: u64,
}

impl<'a> Symbol<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = str::from_utf8(line).ok()?.splitn(3, ' ');
        let start = u64::from_str_radix(fields.next()?, 16).ok()?;
        let size = u64::from_str_radix(fields.next()?, 16).ok()?;
        Some(Self { name: fields.next()?, start, size })
    }
}

/// The function that holds `address`, by binary search in `text`.
#[must_use]
pub fn find(text: &[u8], address: u64) -> Option<Symbol<'_>> {
    // `low` and `high` are starts of lines or the end; all lines before `low`
    // start at or before the address, all from `high` on behind it.
    let (mut low, mut high) = (0, text.len());
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let before = text[low..middle].iter().rposition(|&byte| byte == b'\n');
        let start = before.map_or(low, |newline| low + newline + 1);
        let end = text[start..high].iter().position(|&byte| byte == b'\n').map_or(high, |len| start + len);
        let symbol = Symbol::parse(&text[start..end])?;
        if symbol.start <= address {
            found = Some(symbol);
            low = (end + 1).min(high);
        } else {
            high = start;
        }
    }
    found.filter(|symbol| symbol.size == 0 || address - symbol.start < symbol.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
ffffffff80100000 10 pvh_start
ffffffff80100010 0 label without size
ffffffff80100020 8 <kernel::trap::Frame as core::fmt::Debug>::fmt
ffffffff80100030 100 kernel::kernel_main
";

    #[test]
    fn finds_the_function_around_an_address() {
        let name = |address| find(TEXT, address).map(|symbol| symbol.name);
        assert_eq!(name(0xffff_ffff_8010_0000), Some("pvh_start"));
        assert_eq!(name(0xffff_ffff_8010_000f), Some("pvh_start"));
        assert_eq!(name(0xffff_ffff_8010_001f), Some("label without size"));
        assert_eq!(name(0xffff_ffff_8010_0027), Some("<kernel::trap::Frame as core::fmt::Debug>::fmt"));
        assert_eq!(name(0xffff_ffff_8010_012f), Some("kernel::kernel_main"));
    }

    #[test]
    fn gaps_and_far_addresses_have_no_name() {
        for address in [0, 0xffff_ffff_800f_ffff, 0xffff_ffff_8010_0028, 0xffff_ffff_8010_0130, u64::MAX] {
            assert_eq!(find(TEXT, address), None, "{address:#x}");
        }
    }

    #[test]
    fn every_line_of_a_long_text_is_found() {
        use std::fmt::Write;
        let mut text = std::string::String::new();
        for index in 0..1000_u64 {
            writeln!(text, "{:x} 7 f{index}", 0x1000 + index * 7).unwrap();
        }
        for index in 0..1000 {
            let symbol = find(text.as_bytes(), 0x1000 + index * 7 + 6).unwrap();
            assert_eq!(symbol.name, std::format!("f{index}"));
        }
    }

    #[test]
    fn garbage_gives_nothing_and_no_panic() {
        for text in [
            &b""[..],
            b"\n",
            b"\n\n\n",
            b"zz 1 a\n",
            b"10\n",
            b"10 5",
            b"\xff\xff 1 x",
            b"10 ffffffffffffffff a",
        ] {
            let _ = find(text, 0x12);
        }
        for end in 0..TEXT.len() {
            let _ = find(&TEXT[..end], 0xffff_ffff_8010_0030);
            let _ = find(&TEXT[end..], 0xffff_ffff_8010_0030);
        }
    }
}
