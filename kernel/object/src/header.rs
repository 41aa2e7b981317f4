//! `WHORL_SPINDLE` and the table of imports.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use elf::abi;

use crate::dynamic::Tables;
use crate::image::Image;
use crate::relocations::Relocations;
use crate::{Evidence, ObjectError, forms, limits};

/// What an import is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A procedure that another domain exports.
    Procedure,
    /// An event that another domain owns.
    Event,
}

/// What a spindle wants of another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// `Interface.Name`.
    pub name: String,
    /// Its types, for people.
    pub signature: String,
    /// The hash of its types, for the linker.
    pub hash: u64,
    /// What it must be bound to.
    pub kind: Kind,
    /// Where its slot lies in the image: an aligned word in writable memory, which holds the address of the
    /// stub when the image is linked.
    pub slot_offset: usize,
}

/// All that `WHORL_SPINDLE` says.
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) start: usize,
    pub(crate) stop: Option<usize>,
    pub(crate) imports: Vec<Import>,
}

const HEADER_SIZE: u64 = 80;
const IMPORT_SIZE: u64 = 56;
const ABI: u32 = 1;

impl Header {
    pub(crate) fn read(
        image: &Image,
        tables: &Tables,
        relocations: &Relocations,
    ) -> Result<Self, ObjectError> {
        let symbol = tables.symbol(b"WHORL_SPINDLE").ok_or(ObjectError::NoHeader)?;
        let is_header = symbol.st_symtype() == abi::STT_OBJECT
            && symbol.st_shndx < abi::SHN_LORESERVE
            && symbol.st_size == HEADER_SIZE;
        if !is_header {
            return Err(ObjectError::NoHeader);
        }
        let at = symbol.st_value;
        if !at.is_multiple_of(8) || image.get(at, HEADER_SIZE).is_none() {
            return Err(ObjectError::HeaderPlace { at });
        }
        let fields = Fields { image, relocations };
        if fields.number::<8>(at)? != *b"WHORLSPN" {
            return Err(ObjectError::HeaderMagic);
        }
        let (abi, size) =
            (u32::from_le_bytes(fields.number(at + 8)?), u32::from_le_bytes(fields.number(at + 12)?));
        if (abi, u64::from(size)) != (ABI, HEADER_SIZE) {
            return Err(ObjectError::HeaderVersion { abi, size });
        }
        let name = fields.text(at + 16)?;
        let name =
            checked(name, forms::is_spindle_name).ok_or(ObjectError::Name { name: Evidence::new(name) })?;
        let version = fields.text(at + 32)?;
        let version = checked(version, forms::is_version)
            .ok_or(ObjectError::Version { version: Evidence::new(version) })?;
        let start = fields.pointer(at + 64)?;
        if !image.is_code(start) {
            return Err(ObjectError::Start { at: start });
        }
        let stop = fields.optional_pointer(at + 72)?;
        if let Some(at) = stop.filter(|&at| !image.is_code(at)) {
            return Err(ObjectError::Stop { at });
        }
        let imports = match (fields.optional_pointer(at + 48)?, fields.optional_pointer(at + 56)?) {
            (first, end) if first == end => Vec::new(),
            (Some(first), Some(end)) => read_imports(&fields, first, end)?,
            (first, _) => return Err(ObjectError::ImportTable { at: first.unwrap_or(0) }),
        };
        Ok(Self { name, version, start: start as usize, stop: stop.map(|at| at as usize), imports })
    }
}

fn read_imports(fields: &Fields, first: u64, end: u64) -> Result<Vec<Import>, ObjectError> {
    let wrong = ObjectError::ImportTable { at: first };
    let size = end.checked_sub(first).ok_or(wrong)?;
    if !first.is_multiple_of(8) || !size.is_multiple_of(IMPORT_SIZE) || !fields.image.is_mutable(first, size)
    {
        return Err(wrong);
    }
    let count = (size / IMPORT_SIZE) as usize;
    if count > limits::IMPORTS {
        return Err(ObjectError::TooManyImports { found: count });
    }
    let mut imports = Vec::with_capacity(count);
    let mut names = BTreeSet::new();
    for index in 0..count {
        let import = read_import(fields, index, first + index as u64 * IMPORT_SIZE)?;
        if !names.insert(import.name.clone()) {
            return Err(ObjectError::DuplicateImport { name: Evidence::new(import.name.as_bytes()) });
        }
        imports.push(import);
    }
    Ok(imports)
}

/// Reads one import of a table that was found to be aligned and in memory that stays writable: so the slot
/// is, too.
fn read_import(fields: &Fields, index: usize, at: u64) -> Result<Import, ObjectError> {
    let bytes = fields.text(at)?;
    let evidence = Evidence::new(bytes);
    let name =
        checked(bytes, forms::is_import_name).ok_or(ObjectError::ImportName { index, name: evidence })?;
    let signature = checked(fields.text(at + 16)?, forms::is_signature)
        .ok_or(ObjectError::ImportSignature { name: evidence })?;
    let hash = u64::from_le_bytes(fields.number(at + 32)?);
    let slot = at + 40;
    if !fields.pointer(slot).is_ok_and(|stub| fields.image.is_code(stub)) {
        return Err(ObjectError::ImportStub { name: evidence });
    }
    let kind = u32::from_le_bytes(fields.number(at + 48)?);
    let reserved = u32::from_le_bytes(fields.number(at + 52)?);
    let kind = match (kind, reserved) {
        (0, 0) => Kind::Procedure,
        (1, 0) => Kind::Event,
        _ => return Err(ObjectError::ImportKind { name: evidence, kind }),
    };
    Ok(Import { name, signature, hash, kind, slot_offset: slot as usize })
}

fn checked(bytes: &[u8], is_form: fn(&str) -> bool) -> Option<String> {
    core::str::from_utf8(bytes).ok().filter(|text| is_form(text)).map(String::from)
}

/// Reads fields as the linked object will hold them, wherever it is placed: a pointer must be a relocated
/// word, and nothing else may be one, not even in part.
struct Fields<'i> {
    image: &'i Image,
    relocations: &'i Relocations,
}

impl<'i> Fields<'i> {
    fn number<const N: usize>(&self, at: u64) -> Result<[u8; N], ObjectError> {
        self.plain(at, N as u64)
            .and_then(|bytes| <[u8; N]>::try_from(bytes).ok())
            .ok_or(ObjectError::Field { at })
    }

    fn pointer(&self, at: u64) -> Result<u64, ObjectError> {
        self.relocations.target_of(at).ok_or(ObjectError::Field { at })
    }

    fn optional_pointer(&self, at: u64) -> Result<Option<u64>, ObjectError> {
        match self.relocations.target_of(at) {
            Some(target) => Ok(Some(target)),
            None if self.number(at)? == [0; 8] => Ok(None),
            None => Err(ObjectError::Field { at }),
        }
    }

    /// The bytes of a `Str`: a pointer and a length. None of the texts may be empty, so the pointer is a real
    /// one.
    fn text(&self, at: u64) -> Result<&'i [u8], ObjectError> {
        let (start, size) = (self.pointer(at)?, u64::from_le_bytes(self.number(at + 8)?));
        self.plain(start, size).ok_or(ObjectError::Field { at })
    }

    fn plain(&self, at: u64, size: u64) -> Option<&'i [u8]> {
        let bytes = self.image.get(at, size)?;
        (!self.relocations.touches(at..at + size)).then_some(bytes)
    }
}
