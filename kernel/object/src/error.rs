//! Why a file is no spindle.

use core::fmt;

/// Some text of the refused file, to show what is meant: its first 46 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    bytes: [u8; Evidence::KEPT],
    kept: u8,
    cut: bool,
}

impl Evidence {
    const KEPT: usize = 46;

    pub(crate) fn new(text: &[u8]) -> Self {
        let kept = text.len().min(Self::KEPT);
        let mut bytes = [0; Self::KEPT];
        bytes[..kept].copy_from_slice(&text[..kept]);
        Self { bytes, kept: kept as u8, cut: kept < text.len() }
    }
}

/// Within quotes, and escaped: a hostile name cannot steer the terminal that shows it.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kept = &self.bytes[..usize::from(self.kept)];
        write!(f, "\"{}{}\"", kept.escape_ascii(), if self.cut { "..." } else { "" })
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The tables that the dynamic section points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Relocations: `DT_RELA`, `DT_RELASZ`, `DT_RELAENT`.
    Relocations,
    /// Dynamic symbols: `DT_SYMTAB`, `DT_SYMENT`.
    Symbols,
    /// Names of the dynamic symbols: `DT_STRTAB`, `DT_STRSZ`.
    Strings,
    /// Hash table of the dynamic symbols, which alone says how many there are: `DT_HASH`.
    Hash,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Relocations => "relocations",
            Self::Symbols => "dynamic symbols",
            Self::Strings => "dynamic strings",
            Self::Hash => "symbol hashes (DT_HASH)",
        })
    }
}

/// Why a file is no spindle. `at` is an offset in the image, in bytes, `index` counts from 0.
///
/// [`Display`](fmt::Display) gives a sentence on what is wrong, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// The file does not begin as an ELF file does.
    NotElf,
    /// The file ends before what its headers announce.
    Truncated,
    /// The ELF header contradicts itself.
    MalformedElf,
    /// An ELF file, but not of 64-bit little-endian x86-64.
    WrongMachine,
    /// An ELF file of another type than a shared object; 3 is expected.
    NotShared {
        /// What the file says: `e_type`.
        found: u16,
    },
    /// More program headers than [`PROGRAM_HEADERS`](crate::limits::PROGRAM_HEADERS).
    TooManyProgramHeaders {
        /// How many the file has.
        found: usize,
    },
    /// A program header of a type that a spindle has no use for: an interpreter, thread-local storage.
    ForbiddenProgramHeader {
        /// Its `p_type`.
        kind: u32,
    },
    /// The file asks for an executable stack.
    ExecutableStack,
    /// No segment is to be loaded.
    NoSegments,
    /// A segment's bytes reach beyond the end of the file.
    SegmentOutsideFile {
        /// Where the segment is loaded.
        at: u64,
    },
    /// A segment holds more bytes in the file than in memory.
    SegmentTooShort {
        /// Where the segment is loaded.
        at: u64,
    },
    /// The image would be larger than [`IMAGE_PAGES`](crate::limits::IMAGE_PAGES).
    ImageTooLarge {
        /// Where the segment begins that reaches too far.
        at: u64,
    },
    /// A segment demands an alignment that is no power of two, exceeds a page, or that its offsets deny.
    SegmentAlignment {
        /// Where the segment is loaded.
        at: u64,
    },
    /// A segment is not in order, or shares a page with the one before.
    SegmentOverlap {
        /// Where the segment is loaded.
        at: u64,
    },
    /// A segment that is writable and executable.
    WritableCode {
        /// Where the segment is loaded.
        at: u64,
    },
    /// A segment that may not be read.
    UnreadableSegment {
        /// Where the segment is loaded.
        at: u64,
    },
    /// The range that is read-only after relocation (RELRO) is not made of whole pages of one writable
    /// segment, or there are several.
    Relro {
        /// Where the range begins.
        at: u64,
    },
    /// There is not exactly one dynamic section, or it lies outside the segments or has no end.
    DynamicSection,
    /// An entry of the dynamic section that a spindle must not have: a library, an initializer, text
    /// relocations.
    ForbiddenDynamicTag {
        /// Its `d_tag`.
        tag: i64,
        /// Its value.
        value: u64,
    },
    /// An entry of the dynamic section stands there twice.
    DuplicateDynamicTag {
        /// Its `d_tag`.
        tag: i64,
    },
    /// A table is missing, lies outside the segments, or has a wrong size.
    BadTable {
        /// Which.
        table: Table,
    },
    /// A dynamic symbol's name is outside the table of names.
    SymbolName {
        /// Its place in the table.
        index: usize,
    },
    /// A symbol that this object uses and nobody defines.
    UndefinedSymbol {
        /// Its name.
        name: Evidence,
    },
    /// A relocation of another kind than RELATIVE, GLOB_DAT and 64.
    ForbiddenRelocation {
        /// The word to be relocated.
        at: u64,
        /// Its `r_type`.
        kind: u32,
    },
    /// A relocation of code, read-only data, or outside the segments.
    RelocationPlace {
        /// The word to be relocated.
        at: u64,
    },
    /// A relocation that would make a word point outside the image.
    RelocationTarget {
        /// The word to be relocated.
        at: u64,
    },
    /// A relocation against a symbol that does not exist or has no address in the image.
    RelocationSymbol {
        /// The word to be relocated.
        at: u64,
        /// The symbol's place in the table.
        index: usize,
    },
    /// Two relocations of overlapping words.
    RelocationOverlap {
        /// The latter of the two words.
        at: u64,
    },
    /// `WHORL_SPINDLE` is not among the dynamic symbols as a defined object of a header's size.
    NoHeader,
    /// The header is misaligned or outside the segments.
    HeaderPlace {
        /// Where the symbol points.
        at: u64,
    },
    /// The header does not begin with `WHORLSPN`.
    HeaderMagic,
    /// The header follows another version of the format.
    HeaderVersion {
        /// The version that it follows.
        abi: u32,
        /// The size that it gives itself, in bytes.
        size: u32,
    },
    /// A number or pointer of the header or of an import is not as it must be: a pointer that is not
    /// relocated, a number that is, or a text outside the segments.
    Field {
        /// Where it stands.
        at: u64,
    },
    /// The spindle's name has not the form `[a-z][a-z0-9_-]{0,31}`.
    Name {
        /// The name.
        name: Evidence,
    },
    /// The version is empty, too long, or has other signs than letters, digits, `.`, `-` and `+`.
    Version {
        /// The version.
        version: Evidence,
    },
    /// The start procedure lies outside the executable segments.
    Start {
        /// Where it is said to lie.
        at: u64,
    },
    /// The stop procedure lies outside the executable segments.
    Stop {
        /// Where it is said to lie.
        at: u64,
    },
    /// The table of imports is misaligned, ends before it begins, cuts an import, or is not in a segment that
    /// stays writable.
    ImportTable {
        /// Where it begins.
        at: u64,
    },
    /// More imports than [`IMPORTS`](crate::limits::IMPORTS).
    TooManyImports {
        /// How many there are.
        found: usize,
    },
    /// An import's name has not the form `Interface.Name`.
    ImportName {
        /// Its place in the table.
        index: usize,
        /// The name.
        name: Evidence,
    },
    /// An import's signature is empty, too long, or not to be shown.
    ImportSignature {
        /// The import's name.
        name: Evidence,
    },
    /// An import that is neither a procedure nor an event, or whose reserved field is not 0.
    ImportKind {
        /// The import's name.
        name: Evidence,
        /// What it says it is.
        kind: u32,
    },
    /// An import's slot does not hold the address of code of this object.
    ImportStub {
        /// The import's name.
        name: Evidence,
    },
    /// Two imports of one name.
    DuplicateImport {
        /// The name.
        name: Evidence,
    },
}

impl core::error::Error for ObjectError {}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        use ObjectError as E;
        match *self {
            E::NotElf => write!(f, "this is no spindle: it does not begin as an ELF file"),
            E::Truncated => {
                write!(f, "the file ends before what its headers announce: it was cut short or garbled")
            }
            E::MalformedElf => write!(f, "the ELF header contradicts itself"),
            E::WrongMachine => write!(f, "the file is for another machine than 64-bit little-endian x86-64"),
            E::NotShared { found } => write!(f, "the file is ELF type {found}, not a shared object (3)"),
            E::TooManyProgramHeaders { found } => write!(f, "the file has {found} program headers"),
            E::ForbiddenProgramHeader { kind } => {
                write!(f, "a spindle has no use for a program header of type {kind:#x}")
            }
            E::ExecutableStack => write!(f, "the file asks for an executable stack"),
            E::NoSegments => write!(f, "the file has no segment to load"),
            E::SegmentOutsideFile { at } => {
                write!(f, "the segment at {at:#x} reaches beyond the end of the file")
            }
            E::SegmentTooShort { at } => {
                write!(f, "the segment at {at:#x} is larger in the file than in memory")
            }
            E::ImageTooLarge { at } => {
                let mib = (crate::limits::IMAGE_PAGES * crate::PAGE_SIZE) >> 20;
                write!(f, "the segment at {at:#x} reaches beyond {mib} MiB, the most that a spindle may take")
            }
            E::SegmentAlignment { at } => write!(f, "the segment at {at:#x} cannot be aligned as it demands"),
            E::SegmentOverlap { at } => {
                write!(f, "the segment at {at:#x} is out of order or shares a page with the one before")
            }
            E::WritableCode { at } => write!(f, "the segment at {at:#x} is writable and executable"),
            E::UnreadableSegment { at } => write!(f, "the segment at {at:#x} may not be read"),
            E::Relro { at } => {
                write!(f, "the RELRO range at {at:#x} is not one of whole pages in one writable segment")
            }
            E::DynamicSection => write!(f, "there is not one well-formed dynamic section"),
            E::ForbiddenDynamicTag { tag, value } => {
                write!(f, "the dynamic section has a forbidden entry: tag {tag:#x}, value {value:#x}")
            }
            E::DuplicateDynamicTag { tag } => write!(f, "the dynamic section has tag {tag:#x} twice"),
            E::BadTable { table } => write!(f, "the table of {table} is missing or not inside the image"),
            E::SymbolName { index } => {
                write!(f, "the name of dynamic symbol {index} is outside the table of names")
            }
            E::UndefinedSymbol { name } => {
                write!(f, "nothing defines the symbol {name} that the spindle uses")
            }
            E::ForbiddenRelocation { at, kind } => {
                write!(f, "the relocation of {at:#x} is of type {kind}, which is not allowed")
            }
            E::RelocationPlace { at } => write!(f, "the relocation of {at:#x} is not in a writable segment"),
            E::RelocationTarget { at } => write!(f, "the relocation of {at:#x} points outside the image"),
            E::RelocationSymbol { at, index } => {
                write!(
                    f,
                    "the relocation of {at:#x} is against symbol {index}, which has no address in the image"
                )
            }
            E::RelocationOverlap { at } => {
                write!(f, "the word at {at:#x} overlaps with another relocated word")
            }
            E::NoHeader => write!(f, "the file has no header: the object WHORL_SPINDLE of 80 bytes"),
            E::HeaderPlace { at } => {
                write!(f, "WHORL_SPINDLE is misaligned or outside the image, at {at:#x}")
            }
            E::HeaderMagic => write!(f, "WHORL_SPINDLE does not begin with WHORLSPN"),
            E::HeaderVersion { abi, size } => {
                write!(
                    f,
                    "the spindle follows version {abi} of the format ({size} bytes), this kernel version 1 (80)"
                )
            }
            E::Field { at } => write!(f, "the field at {at:#x} of a header or an import is garbled"),
            E::Name { name } => {
                write!(
                    f,
                    "{name} cannot name a spindle: a small letter, then at most 31 of a-z, 0-9, _ and -"
                )
            }
            E::Version { version } => {
                write!(
                    f,
                    "{version} cannot be a version: 1 to 32 letters, digits, dots, + or -, such as 0.1.0"
                )
            }
            E::Start { at } => write!(f, "the start procedure at {at:#x} is not in executable memory"),
            E::Stop { at } => write!(f, "the stop procedure at {at:#x} is not in executable memory"),
            E::ImportTable { at } => {
                write!(f, "the table of imports at {at:#x} is not whole, or not in writable memory")
            }
            E::TooManyImports { found } => {
                write!(f, "the spindle has {found} imports, {} are allowed", crate::limits::IMPORTS)
            }
            E::ImportName { index, name } => {
                write!(f, "import {index} is named {name}, which has not the form Interface.Name")
            }
            E::ImportSignature { name } => {
                write!(f, "the signature of import {name} is empty, too long or garbled")
            }
            E::ImportKind { name, kind } => {
                write!(f, "import {name} is of kind {kind}, neither procedure (0) nor event (1)")
            }
            E::ImportStub { name } => {
                write!(f, "the slot of import {name} does not point to code of the spindle")
            }
            E::DuplicateImport { name } => write!(f, "import {name} is there twice"),
        }?;
        f.write_str("; rebuild the spindle with `cargo xtask spindle build`")
    }
}
