//! The program headers: what is loaded where, and who may touch it.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use elf::ElfBytes;
use elf::abi;
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;

use crate::{ObjectError, PAGE_SIZE, limits};

/// What the pages of a segment may be used for once the object is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Constants, also those that were relocated (RELRO).
    ReadOnly,
    /// Code.
    ReadExecute,
    /// Data; never executable.
    ReadWrite,
}

/// A run of whole pages of the image with one access. Pages between segments are not to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first page, counted from the image's begin.
    pub first_page: usize,
    /// How many pages it has; never 0.
    pub pages: usize,
    /// What they may be used for.
    pub access: Access,
}

impl Segment {
    /// The bytes of the image that the segment takes.
    pub fn bytes(&self) -> Range<usize> {
        self.first_page * PAGE_SIZE..(self.first_page + self.pages) * PAGE_SIZE
    }
}

/// What one `PT_LOAD` brings to memory.
struct Load {
    /// Its bytes in the image, not rounded to pages.
    range: Range<usize>,
    access: Access,
}

/// The image as the file gives it, not yet relocated.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    /// In order; no two share a page.
    loads: Vec<Load>,
    /// Whole pages at the begin, in the middle or at the end of one writable load; may be empty.
    relro: Range<usize>,
    /// Where the dynamic section lies; not yet compared with the segments.
    pub(crate) dynamic: (u64, u64),
}

impl Image {
    /// Reads and checks all program headers and copies the segments to their places.
    pub(crate) fn read(file: &[u8], elf: &ElfBytes<LittleEndian>) -> Result<Self, ObjectError> {
        let headers = elf.segments().ok_or(ObjectError::NoSegments)?;
        if headers.len() > limits::PROGRAM_HEADERS {
            return Err(ObjectError::TooManyProgramHeaders { found: headers.len() });
        }
        let mut image = Self { bytes: Vec::new(), loads: Vec::new(), relro: 0..0, dynamic: (0, 0) };
        let (mut sources, mut relro, mut dynamic) = (Vec::new(), None, None);
        for header in headers {
            match header.p_type {
                abi::PT_LOAD if header.p_memsz == 0 => {}
                abi::PT_LOAD => {
                    let (load, source) = image.check_load(&header, file)?;
                    image.loads.push(load);
                    sources.push(source);
                }
                abi::PT_DYNAMIC if dynamic.is_some() => return Err(ObjectError::DynamicSection),
                abi::PT_DYNAMIC => dynamic = Some((header.p_vaddr, header.p_memsz)),
                abi::PT_GNU_RELRO if relro.is_some() => {
                    return Err(ObjectError::Relro { at: header.p_vaddr });
                }
                abi::PT_GNU_RELRO => relro = Some((header.p_vaddr, header.p_memsz)),
                abi::PT_GNU_STACK if header.p_flags & abi::PF_X != 0 => {
                    return Err(ObjectError::ExecutableStack);
                }
                abi::PT_NULL | abi::PT_PHDR | abi::PT_NOTE | abi::PT_GNU_STACK => {}
                abi::PT_GNU_EH_FRAME | abi::PT_GNU_PROPERTY => {}
                kind => return Err(ObjectError::ForbiddenProgramHeader { kind }),
            }
        }
        let end = image.loads.last().ok_or(ObjectError::NoSegments)?.range.end;
        image.dynamic = dynamic.ok_or(ObjectError::DynamicSection)?;
        if let Some((at, size)) = relro {
            image.relro = image.check_relro(at, size).ok_or(ObjectError::Relro { at })?;
        }
        // Only now, with every size known to be sane, is memory taken.
        image.bytes = vec![0; page_up(end)];
        for (load, source) in image.loads.iter().zip(sources) {
            image.bytes[load.range.start..][..source.len()].copy_from_slice(source);
        }
        Ok(image)
    }

    fn check_load<'f>(
        &self,
        header: &ProgramHeader,
        file: &'f [u8],
    ) -> Result<(Load, &'f [u8]), ObjectError> {
        let at = header.p_vaddr;
        let limit = (limits::IMAGE_PAGES * PAGE_SIZE) as u64;
        let end = at.checked_add(header.p_memsz).filter(|&end| end <= limit);
        let range = at as usize..end.ok_or(ObjectError::ImageTooLarge { at })? as usize;
        if header.p_filesz > header.p_memsz {
            return Err(ObjectError::SegmentTooShort { at });
        }
        let source = usize::try_from(header.p_offset)
            .ok()
            .and_then(|offset| file.get(offset..)?.get(..header.p_filesz as usize))
            .ok_or(ObjectError::SegmentOutsideFile { at })?;
        // Neither 0 nor 1 demands anything.
        let align = header.p_align.max(1);
        let is_kept =
            align.is_power_of_two() && align <= PAGE_SIZE as u64 && at % align == header.p_offset % align;
        if !is_kept {
            return Err(ObjectError::SegmentAlignment { at });
        }
        if self.loads.last().is_some_and(|last| range.start < page_up(last.range.end)) {
            return Err(ObjectError::SegmentOverlap { at });
        }
        let has = |flag| header.p_flags & flag != 0;
        let access = match (has(abi::PF_R), has(abi::PF_W), has(abi::PF_X)) {
            (_, true, true) => return Err(ObjectError::WritableCode { at }),
            (false, ..) => return Err(ObjectError::UnreadableSegment { at }),
            (true, true, false) => Access::ReadWrite,
            (true, false, true) => Access::ReadExecute,
            (true, false, false) => Access::ReadOnly,
        };
        Ok((Load { range, access }, source))
    }

    /// The pages that turn read-only after relocation. Data that must stay writable shall not turn with them,
    /// so the range may begin and end within a page only where its segment does.
    fn check_relro(&self, at: u64, size: u64) -> Option<Range<usize>> {
        let range = usize::try_from(at).ok()?..usize::try_from(at.checked_add(size)?).ok()?;
        if range.is_empty() {
            return Some(0..0);
        }
        let load = self.loads.iter().find(|load| load.range.contains(&range.start))?;
        let is_whole = load.access == Access::ReadWrite
            && range.end <= page_up(load.range.end)
            && (range.start.is_multiple_of(PAGE_SIZE) || range.start == load.range.start)
            && (range.end.is_multiple_of(PAGE_SIZE) || range.end == load.range.end);
        is_whole.then(|| page_down(range.start)..page_up(range.end))
    }

    /// `size` bytes at `at`, if they lie in one segment.
    pub(crate) fn get(&self, at: u64, size: u64) -> Option<&[u8]> {
        let (range, _) = self.find(at, size)?;
        self.bytes.get(range)
    }

    /// Is `at` the address of loaded code?
    pub(crate) fn is_code(&self, at: u64) -> bool {
        self.find(at, 1).is_some_and(|(_, load)| load.access == Access::ReadExecute)
    }

    /// May the linker write these bytes? (RELRO counts: it is protected afterwards.)
    pub(crate) fn is_relocatable(&self, at: u64, size: u64) -> bool {
        self.find(at, size).is_some_and(|(_, load)| load.access == Access::ReadWrite)
    }

    /// Do these bytes stay writable when the object is linked?
    pub(crate) fn is_mutable(&self, at: u64, size: u64) -> bool {
        self.find(at, size).is_some_and(|(range, load)| {
            let is_apart = range.end <= self.relro.start || self.relro.end <= range.start;
            load.access == Access::ReadWrite && is_apart
        })
    }

    fn find(&self, at: u64, size: u64) -> Option<(Range<usize>, &Load)> {
        let range = usize::try_from(at).ok()?..usize::try_from(at.checked_add(size)?).ok()?;
        let load =
            self.loads.iter().find(|load| load.range.start <= range.start && range.end <= load.range.end)?;
        Some((range, load))
    }

    /// The segments in whole pages, the RELRO range split off.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut push = |bytes: Range<usize>, access| {
            if !bytes.is_empty() {
                let (first_page, pages) = (bytes.start / PAGE_SIZE, bytes.len() / PAGE_SIZE);
                segments.push(Segment { first_page, pages, access });
            }
        };
        for load in &self.loads {
            let pages = page_down(load.range.start)..page_up(load.range.end);
            // The part of RELRO in this load: none (empty, at its end) or all of it.
            let relro =
                self.relro.start.clamp(pages.start, pages.end)..self.relro.end.clamp(pages.start, pages.end);
            push(pages.start..relro.start, load.access);
            push(relro.clone(), Access::ReadOnly);
            push(relro.end..pages.end, load.access);
        }
        segments
    }
}

fn page_down(at: usize) -> usize {
    at / PAGE_SIZE * PAGE_SIZE
}

fn page_up(at: usize) -> usize {
    at.next_multiple_of(PAGE_SIZE)
}
