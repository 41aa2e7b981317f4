//! The dynamic section: a list of what the linker made, in which each entry must be known to be harmless.

use elf::abi;
use elf::dynamic::DynamicTable;
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::parse::ParsingTable;
use elf::relocation::Rela;
use elf::string_table::StringTable;
use elf::symbol::{Symbol, SymbolTable};

use crate::image::Image;
use crate::{Evidence, ObjectError, Table};

/// The tables that the dynamic section points to, all within segments of the image.
pub(crate) struct Tables<'i> {
    pub(crate) relocations: ParsingTable<'i, LittleEndian, Rela>,
    pub(crate) symbols: SymbolTable<'i, LittleEndian>,
    names: StringTable<'i>,
}

/// The values of the entries that are used; all others are checked and forgotten.
#[derive(Default)]
struct Entries {
    rela: Option<u64>,
    rela_size: Option<u64>,
    rela_entry: Option<u64>,
    symbols: Option<u64>,
    symbol_entry: Option<u64>,
    strings: Option<u64>,
    strings_size: Option<u64>,
    hash: Option<u64>,
}

impl<'i> Tables<'i> {
    /// Reads the dynamic section and finds its tables; no symbol of them is undefined.
    pub(crate) fn read(image: &'i Image) -> Result<Self, ObjectError> {
        let entries = Entries::read(image)?;
        let table = |table, at: Option<u64>, size: Option<u64>| {
            at.zip(size).and_then(|(at, size)| image.get(at, size)).ok_or(ObjectError::BadTable { table })
        };
        let names = table(Table::Strings, entries.strings, entries.strings_size)?;

        // The second word of the hash table is the number of symbols; nothing else tells it.
        let hash = table(Table::Hash, entries.hash, Some(8))?;
        let count = u32::from_le_bytes([hash[4], hash[5], hash[6], hash[7]]);
        let symbols = table(Table::Symbols, entries.symbols, Some(u64::from(count) * SYMBOL_SIZE))?;
        if entries.symbol_entry != Some(SYMBOL_SIZE) {
            return Err(ObjectError::BadTable { table: Table::Symbols });
        }

        let relocations = table(Table::Relocations, entries.rela, entries.rela_size)?;
        let is_whole = (relocations.len() as u64).is_multiple_of(RELA_SIZE);
        if entries.rela_entry != Some(RELA_SIZE) || !is_whole {
            return Err(ObjectError::BadTable { table: Table::Relocations });
        }

        let tables = Self {
            relocations: ParsingTable::new(LittleEndian, Class::ELF64, relocations),
            symbols: SymbolTable::new(LittleEndian, Class::ELF64, symbols),
            names: StringTable::new(names),
        };
        tables.check_symbols()?;
        Ok(tables)
    }

    /// The first dynamic symbol of this name.
    pub(crate) fn symbol(&self, name: &[u8]) -> Option<Symbol> {
        self.symbols.iter().skip(1).find(|symbol| self.name(symbol) == Some(name))
    }

    fn name(&self, symbol: &Symbol) -> Option<&'i [u8]> {
        self.names.get_raw(symbol.st_name as usize).ok()
    }

    /// An object that needs a symbol from elsewhere could not be linked here. (The first symbol is always
    /// empty.)
    fn check_symbols(&self) -> Result<(), ObjectError> {
        for (index, symbol) in self.symbols.iter().enumerate().skip(1) {
            let name = self.name(&symbol).ok_or(ObjectError::SymbolName { index })?;
            if symbol.is_undefined() {
                return Err(ObjectError::UndefinedSymbol { name: Evidence::new(name) });
            }
        }
        Ok(())
    }
}

const SYMBOL_SIZE: u64 = 24;
const RELA_SIZE: u64 = 24;

/// Bind all names at once, within this object first: what `-z now` and `-Bsymbolic` say. Any other flag is
/// refused, among them text relocations and static thread-local storage.
const ALLOWED_FLAGS: u64 = (abi::DF_BIND_NOW | abi::DF_SYMBOLIC) as u64;
const ALLOWED_FLAGS_1: u64 = abi::DF_1_NOW as u64;

impl Entries {
    fn read(image: &Image) -> Result<Self, ObjectError> {
        let (at, size) = image.dynamic;
        let bytes = image.get(at, size).ok_or(ObjectError::DynamicSection)?;
        let mut found = Self::default();
        for entry in DynamicTable::new(LittleEndian, Class::ELF64, bytes) {
            let (tag, value) = (entry.d_tag, entry.d_val());
            let place = match tag {
                abi::DT_NULL => return Ok(found),
                abi::DT_RELA => &mut found.rela,
                abi::DT_RELASZ => &mut found.rela_size,
                abi::DT_RELAENT => &mut found.rela_entry,
                abi::DT_SYMTAB => &mut found.symbols,
                abi::DT_SYMENT => &mut found.symbol_entry,
                abi::DT_STRTAB => &mut found.strings,
                abi::DT_STRSZ => &mut found.strings_size,
                abi::DT_HASH => &mut found.hash,
                abi::DT_FLAGS if value & !ALLOWED_FLAGS == 0 => continue,
                abi::DT_FLAGS_1 if value & !ALLOWED_FLAGS_1 == 0 => continue,
                // Nothing follows from these.
                abi::DT_RELACOUNT | abi::DT_GNU_HASH | abi::DT_SONAME | abi::DT_SYMBOLIC => continue,
                abi::DT_BIND_NOW | abi::DT_VERSYM | abi::DT_VERDEF | abi::DT_VERDEFNUM => continue,
                _ => return Err(ObjectError::ForbiddenDynamicTag { tag, value }),
            };
            if place.replace(value).is_some() {
                return Err(ObjectError::DuplicateDynamicTag { tag });
            }
        }
        Err(ObjectError::DynamicSection)
    }
}
