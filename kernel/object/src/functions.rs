//! The names of functions, for backtraces.

use alloc::string::String;
use alloc::vec::Vec;

use elf::ElfBytes;
use elf::abi;
use elf::endian::LittleEndian;

use crate::image::Image;
use crate::limits;

/// A function of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol as the compiler mangled it.
    pub name: String,
    /// Where it begins in the image.
    pub offset: usize,
    /// How many bytes it has.
    pub size: usize,
}

/// The functions of the symbol table, if there is one, in the order of their offsets.
///
/// Nothing but a backtrace rests on them, so what is doubtful is left out instead of refused.
pub(crate) fn read(elf: &ElfBytes<LittleEndian>, image: &Image) -> Vec<Function> {
    let Ok(Some((symbols, names))) = elf.symbol_table() else { return Vec::new() };
    let functions = symbols.iter().filter_map(|symbol| {
        let is_code = symbol.st_size > 0
            && image.is_code(symbol.st_value)
            && image.get(symbol.st_value, symbol.st_size).is_some();
        let name = names.get(symbol.st_name as usize).ok().filter(|name| is_symbol(name))?;
        (symbol.st_symtype() == abi::STT_FUNC && is_code).then(|| Function {
            name: String::from(name),
            offset: symbol.st_value as usize,
            size: symbol.st_size as usize,
        })
    });
    let mut functions: Vec<_> = functions.take(limits::FUNCTIONS).collect();
    functions.sort_unstable_by(|one, other| (one.offset, &one.name).cmp(&(other.offset, &other.name)));
    functions
}

/// A name that can be shown, and that costs little: a garbled table may share one long tail among all names.
fn is_symbol(name: &str) -> bool {
    (1..=limits::SYMBOL).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}
