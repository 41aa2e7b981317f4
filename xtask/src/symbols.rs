//! The names of the kernel's functions, for its backtraces: lines of address, size and name, sorted by address.
use crate::error::{Error, Result};
use elf::abi::STT_FUNC;
use elf::endian::LittleEndian;
use elf::{ElfBytes, ParseError};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lists the functions of an ELF: `HEXADDR HEXSIZE demangled::name`, one a line. Of two functions at one address the
/// one whose name sorts first is listed.
pub fn extract(bytes: &[u8]) -> Result<String> {
    let functions = read(bytes).map_err(|error| {
        Error::new(
            format!("cannot read the kernel's symbols: {error}"),
            "build it anew: cargo clean -p kernel",
        )
    })?;
    let mut text = String::new();
    for (address, (name, size)) in functions {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address:x} {size:x} {name}");
    }
    Ok(text)
}

fn read(bytes: &[u8]) -> std::result::Result<BTreeMap<u64, (String, u64)>, ParseError> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)?;
    let mut functions = BTreeMap::new();
    let Some((symbols, names)) = file.symbol_table()? else { return Ok(functions) };
    for symbol in symbols.iter().filter(|symbol| symbol.st_symtype() == STT_FUNC && symbol.st_size > 0) {
        let name = format!("{:#}", rustc_demangle::demangle(names.get(symbol.st_name as usize)?));
        let entry = functions.entry(symbol.st_value).or_insert_with(|| (name.clone(), symbol.st_size));
        if name < entry.0 {
            *entry = (name, symbol.st_size);
        }
    }
    Ok(functions)
}

#[cfg(test)]
mod tests {
    use super::extract;

    #[test]
    fn finds_this_very_test() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let symbols = extract(&own).unwrap();
        assert!(symbols.lines().any(|line| line.contains("symbols::tests::finds_this_very_test")));
        let addresses: Vec<u64> = symbols
            .lines()
            .map(|line| u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap())
            .collect();
        assert!(addresses.is_sorted_by(|left, right| left < right), "sorted, and each address once");
        assert!(!symbols.contains("17h0"), "names are demangled, without their hashes");
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(extract(b"not an ELF at all").is_err());
    }
}
