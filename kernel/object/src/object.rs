//! A file that passed every check.

use alloc::vec::Vec;
use core::fmt;

use elf::ElfBytes;
use elf::abi;
use elf::endian::LittleEndian;
use elf::parse::ParseError;

use crate::dynamic::Tables;
use crate::functions::{self, Function};
use crate::header::{Header, Import};
use crate::image::{Image, Segment};
use crate::relocations::Relocations;
use crate::{ObjectError, PAGE_SIZE};

/// A spindle's object file that passed every check. It borrows nothing of the file.
pub struct Object {
    header: Header,
    image: Vec<u8>,
    segments: Vec<Segment>,
    relocations: Relocations,
    functions: Vec<Function>,
}

impl Object {
    /// Reads a `.spindle` file and checks all of it.
    ///
    /// Takes memory for one image, which is at most 16 MiB, and not before the sizes were checked; time is in
    /// proportion to the size of file and image.
    ///
    /// # Errors
    ///
    /// The first rule that the file breaks.
    pub fn parse(file: &[u8]) -> Result<Self, ObjectError> {
        // Before all else, since tables of another class seem garbled.
        let class = *file.get(abi::EI_CLASS).ok_or(ObjectError::Truncated)?;
        if file.starts_with(&abi::ELFMAGIC) && class != abi::ELFCLASS64 {
            return Err(ObjectError::WrongMachine);
        }
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(ObjectError::from)?;
        if elf.ehdr.e_machine != abi::EM_X86_64 {
            return Err(ObjectError::WrongMachine);
        }
        if elf.ehdr.e_type != abi::ET_DYN {
            return Err(ObjectError::NotShared { found: elf.ehdr.e_type });
        }
        let image = Image::read(file, &elf)?;
        let tables = Tables::read(&image)?;
        let relocations = Relocations::read(&image, &tables)?;
        let header = Header::read(&image, &tables, &relocations)?;
        let segments = image.segments();
        let functions = functions::read(&elf, &image);
        Ok(Self { header, image: image.bytes, segments, relocations, functions })
    }

    /// The spindle's name.
    pub fn name(&self) -> &str {
        &self.header.name
    }

    /// The spindle's version.
    pub fn version(&self) -> &str {
        &self.header.version
    }

    /// What the spindle wants of other domains, in the order of the file; no name is there twice.
    pub fn imports(&self) -> &[Import] {
        &self.header.imports
    }

    /// Where the start procedure lies in the image: in an executable segment.
    pub fn start(&self) -> usize {
        self.header.start
    }

    /// Where the stop procedure lies in the image, if there is one: in an executable segment.
    pub fn stop(&self) -> Option<usize> {
        self.header.stop
    }

    /// How many pages the image spans, those between segments included; never 0.
    pub fn image_pages(&self) -> usize {
        self.image.len() / PAGE_SIZE
    }

    /// The segments in the order of their pages; no two share one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The image of an object that is placed at `base`, [`image_pages`](Self::image_pages) pages long.
    ///
    /// `base` must be a multiple of [`PAGE_SIZE`] for the result to be of use. Slots hold the addresses of
    /// their stubs.
    pub fn link(&self, base: u64) -> Vec<u8> {
        let mut image = self.image.clone();
        self.relocations.apply(&mut image, base);
        image
    }

    /// The functions of the symbol table in the order of their offsets; empty if the file was stripped.
    ///
    /// For backtraces only: the names and ranges are what the file says, and may overlap.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Object")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

impl From<ParseError> for ObjectError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::BadMagic(_) => Self::NotElf,
            ParseError::UnsupportedElfClass(_) | ParseError::UnsupportedElfEndianness(_) => {
                Self::WrongMachine
            }
            ParseError::SliceReadError(_) | ParseError::BadOffset(_) => Self::Truncated,
            _ => Self::MalformedElf,
        }
    }
}
