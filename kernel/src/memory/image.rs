//! Images of spindles: their code and data, within reach of near calls.

use ::memory::{Frame, OutOfFrames, PAGE_SIZE};
use core::ops::Range;
use core::{fmt, ptr};
use x86_64::VirtAddr;

use super::tables::{self, Access, TABLES};
use super::window::{Granules, Window};
use super::{FRAMES, MapError, text, tlb};
use crate::layout;

/// Pages of a granule: 65,536 granules are the whole window of 1 GiB.
const GRANULE_PAGES: usize = 4;

/// Images may begin anywhere in the window, after a guard page.
static GRANULES: Window = Window::new(layout::SPINDLES.start, GRANULE_PAGES);

/// The window for spindles' images.
#[derive(Clone, Copy, Debug)]
pub struct ImageSpace;

/// Why an image cannot be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// There is no memory or no room for it.
    Map(MapError),
    /// The bytes are more than the pages that were reserved.
    TooLong,
    /// Two segments have this page of the image, or it has no such page.
    BadSegment(usize),
    /// The image was populated before.
    Twice,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => error.fmt(f),
            Self::TooLong => f.write_str("the image is longer than the pages reserved for it: reserve more"),
            Self::BadSegment(page) => {
                write!(f, "page {page} is in two segments or behind the image: check the program headers")
            }
            Self::Twice => f.write_str("the image is populated already: reserve another"),
        }
    }
}

impl core::error::Error for ImageError {}

impl From<MapError> for ImageError {
    fn from(error: MapError) -> Self {
        Self::Map(error)
    }
}

impl From<OutOfFrames> for ImageError {
    fn from(_: OutOfFrames) -> Self {
        Self::Map(MapError::OutOfFrames)
    }
}

/// Addresses for an image, with an unmapped page on either side, and its memory once populated.
///
/// Dropping it unmaps it on all cores and frees its memory: in strand context, when no core runs
/// its code and nobody refers to its data.
#[derive(Debug)]
pub struct Image {
    granules: Granules,
    pages: usize,
    populated: bool,
}

impl ImageSpace {
    /// Reserves addresses for `pages` pages. Takes no memory yet.
    ///
    /// # Errors
    /// Where `pages` is zero or there is no such room.
    pub fn reserve(pages: usize) -> Result<Image, MapError> {
        let with_guards = pages.checked_add(2).filter(|_| pages > 0).ok_or(MapError::BadSize)?;
        let granules = GRANULES.take(with_guards).ok_or(MapError::WindowFull)?;
        Ok(Image { granules, pages, populated: false })
    }
}

impl Image {
    /// The address of the image's first page.
    pub fn base(&self) -> VirtAddr {
        GRANULES.address(&self.granules) + PAGE_SIZE as u64
    }

    /// Pages reserved, without the guards.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The image's addresses.
    pub fn range(&self) -> Range<VirtAddr> {
        self.base()..self.page(self.pages)
    }

    /// Gives the image its memory: `bytes`, relocated for [`base`](Self::base), then zeros. Maps
    /// the pages of each segment, by their number in the image, with its access; pages in no
    /// segment stay unmapped.
    ///
    /// W^X, in every alias: the frames of code and constants come from blocks that are read-only in
    /// the direct map. They are written by the image's own addresses, where they are at first
    /// writable and not executable, before any code knows these addresses; then they are made
    /// read-only or executable there and every core forgets what they were.
    ///
    /// # Errors
    /// See [`ImageError`]; nothing is mapped then, and the image can only be dropped. Strand context.
    pub fn populate(&mut self, bytes: &[u8], segments: &[(Range<usize>, Access)]) -> Result<(), ImageError> {
        if core::mem::replace(&mut self.populated, true) {
            return Err(ImageError::Twice);
        }
        if bytes.len() > self.pages * PAGE_SIZE {
            return Err(ImageError::TooLong);
        }
        let mapped = segments.iter().try_for_each(|(pages, access)| self.map(pages.clone(), *access, bytes));
        if mapped.is_err() {
            self.unmap();
        }
        mapped?;
        for (pages, access) in segments.iter().filter(|(_, access)| *access != Access::ReadWrite) {
            for page in pages.clone() {
                TABLES.with(|tables| tables.protect(self.page(page), *access));
            }
        }
        tlb::flush(self.base(), self.pages);
        Ok(())
    }

    fn page(&self, index: usize) -> VirtAddr {
        self.base() + (index * PAGE_SIZE) as u64
    }

    /// Maps a segment's pages, writable for now, and fills them.
    fn map(&self, pages: Range<usize>, access: Access, bytes: &[u8]) -> Result<(), ImageError> {
        for index in pages {
            let page = self.page(index);
            if index >= self.pages || TABLES.with(|tables| tables.leaf(page)).is_some() {
                return Err(ImageError::BadSegment(index));
            }
            let frame = if access == Access::ReadWrite { FRAMES.alloc() } else { text::alloc() }?;
            let (physical, flags) = (frame.address(), Access::ReadWrite.flags());
            if let Err(error) = TABLES.with(|tables| tables.map(page, physical, flags, 1)) {
                // SAFETY: the frame was taken just now, and is mapped nowhere.
                unsafe { free_frame(physical) };
                return Err(error.into());
            }
            let content = bytes.get(index * PAGE_SIZE..).unwrap_or(&[]);
            let content = &content[..content.len().min(PAGE_SIZE)];
            let target = ptr::with_exposed_provenance_mut::<u8>(page.as_u64() as usize);
            // SAFETY: the page was mapped just now, writable and for this image alone, and the
            // content is at most a page that lies elsewhere.
            unsafe { ptr::copy_nonoverlapping(content.as_ptr(), target, content.len()) };
            // SAFETY: still within the page.
            let rest = unsafe { target.add(content.len()) };
            // SAFETY: the rest of the same page.
            unsafe { rest.write_bytes(0, PAGE_SIZE - content.len()) };
        }
        Ok(())
    }

    fn unmap(&self) {
        // SAFETY: `map` took a frame for each page that is mapped, and `unmap` passes each once,
        // when no core can reach it by the image's addresses any more.
        tables::unmap(self.base(), self.pages, |physical| unsafe { free_frame(physical) });
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.unmap();
        GRANULES.give_back(&mut self.granules);
    }
}

/// Frees a frame to where it came from.
///
/// # Safety
/// As for [`super::free_frame`].
unsafe fn free_frame(physical: u64) {
    // SAFETY: the caller owns the frame.
    let frame = unsafe { Frame::from_address(physical) };
    if let Some(ordinary) = text::free(frame) {
        FRAMES.free(ordinary);
    }
}

/// Opens the window. Once.
pub(super) fn init() {
    GRANULES.open();
}
