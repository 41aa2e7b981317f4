//! The names of what is in the kernel: of its functions, for its backtraces, as lines of address, size and name, sorted
//! by address; of its variables, too, for whoever reports an address.
use crate::error::{Error, Result};
use elf::abi::{STT_FUNC, STT_OBJECT};
use elf::endian::LittleEndian;
use elf::{ElfBytes, ParseError};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lists the functions of an ELF: `HEXADDR HEXSIZE demangled::name`, one a line. Of two functions at one address the
/// one whose name sorts first is listed.
pub fn extract(bytes: &[u8]) -> Result<String> {
    let functions = read(bytes, &[STT_FUNC]).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    for (address, (name, size)) in functions {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address:x} {size:x} {name}");
    }
    Ok(text)
}

fn unreadable(error: &ParseError) -> Error {
    Error::new(format!("cannot read the kernel's symbols: {error}"), "build it anew: cargo clean -p kernel")
}

/// The names of functions and variables, to be looked up by address.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<u64, (String, u64)>);

impl Names {
    /// Of this ELF.
    pub fn read(bytes: &[u8]) -> Result<Names> {
        read(bytes, &[STT_FUNC, STT_OBJECT]).map(Names).map_err(|error| unreadable(&error))
    }

    /// The name of what is there, with the distance from its beginning; the bare address where it has none: on the
    /// heap, on a stack, or in a core's own area.
    pub fn of(&self, address: u64) -> String {
        match self.0.range(..=address).next_back() {
            Some((begin, (name, size))) if address - begin < *size => {
                format!("{name}+{:#x}", address - begin)
            }
            _ => format!("{address:#x} (nameless: heap, stack or core area)"),
        }
    }
}

fn read(bytes: &[u8], kinds: &[u8]) -> std::result::Result<BTreeMap<u64, (String, u64)>, ParseError> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)?;
    let mut functions = BTreeMap::new();
    let Some((symbols, names)) = file.symbol_table()? else { return Ok(functions) };
    for symbol in symbols.iter().filter(|symbol| kinds.contains(&symbol.st_symtype()) && symbol.st_size > 0) {
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
    use super::{Names, extract};

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

    static VARIABLE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(7);

    #[test]
    fn addresses_have_names_as_far_as_symbols_reach() {
        VARIABLE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let names = Names::read(&std::fs::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
        let (begin, (_, size)) = names.0.iter().find(|(_, (name, _))| name.ends_with("::VARIABLE")).unwrap();
        assert_eq!(*size, 8);
        assert!(names.of(begin + 3).ends_with("::VARIABLE+0x3"));
        assert!(names.of(u64::MAX).contains("nameless"));
        assert!(Names::default().of(16).starts_with("0x10 "));
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(extract(b"not an ELF at all").is_err());
    }
}
