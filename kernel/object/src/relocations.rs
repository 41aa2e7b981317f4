//! The words that hold addresses, and so depend on where the object is placed.

use alloc::vec::Vec;
use core::ops::Range;

use elf::abi;
use elf::relocation::Rela;

use crate::ObjectError;
use crate::dynamic::Tables;
use crate::image::Image;

const WORD: u64 = 8;

/// A word that holds the object's base plus `target`. Both are offsets in the image, which [`crate::limits`]
/// keeps far below 4 GiB.
#[derive(Clone, Copy)]
struct Relocation {
    at: u32,
    target: u32,
}

/// All relocations, in order and without overlap: each place and target was found to be in the image.
pub(crate) struct Relocations(Vec<Relocation>);

impl Relocations {
    pub(crate) fn read(image: &Image, tables: &Tables) -> Result<Self, ObjectError> {
        let mut relocations = Vec::with_capacity(tables.relocations.len());
        for rela in tables.relocations.iter() {
            let at = rela.r_offset;
            if !image.is_relocatable(at, WORD) {
                return Err(ObjectError::RelocationPlace { at });
            }
            let target = target(image, tables, &rela)?;
            // Some of the standard library's tables point right behind their last element.
            if target > image.bytes.len() as u64 {
                return Err(ObjectError::RelocationTarget { at });
            }
            relocations.push(Relocation { at: at as u32, target: target as u32 });
        }
        relocations.sort_unstable_by_key(|relocation| relocation.at);
        let overlap = relocations.array_windows().find(|[low, high]| u64::from(high.at - low.at) < WORD);
        match overlap {
            Some([_, high]) => Err(ObjectError::RelocationOverlap { at: u64::from(high.at) }),
            None => Ok(Self(relocations)),
        }
    }

    /// Where the word at `at` will point, if it is relocated: an offset in the image.
    pub(crate) fn target_of(&self, at: u64) -> Option<u64> {
        let index = self.0.binary_search_by_key(&at, |relocation| u64::from(relocation.at)).ok()?;
        Some(u64::from(self.0[index].target))
    }

    /// Does any relocated word overlap with these bytes?
    pub(crate) fn touches(&self, range: Range<u64>) -> bool {
        let first = self.0.partition_point(|relocation| u64::from(relocation.at) + WORD <= range.start);
        self.0.get(first).is_some_and(|relocation| u64::from(relocation.at) < range.end)
    }

    /// Writes the addresses of an object that is placed at `base`.
    pub(crate) fn apply(&self, image: &mut [u8], base: u64) {
        for &Relocation { at, target } in &self.0 {
            let address = base.wrapping_add(u64::from(target));
            image[at as usize..][..WORD as usize].copy_from_slice(&address.to_le_bytes());
        }
    }
}

fn target(image: &Image, tables: &Tables, rela: &Rela) -> Result<u64, ObjectError> {
    let at = rela.r_offset;
    let addend = match rela.r_type {
        abi::R_X86_64_RELATIVE if rela.r_sym == 0 => {
            return u64::try_from(rela.r_addend).map_err(|_| ObjectError::RelocationTarget { at });
        }
        // Its addend counts for nothing: psABI, table 4.9.
        abi::R_X86_64_GLOB_DAT => 0,
        abi::R_X86_64_64 => rela.r_addend,
        kind => return Err(ObjectError::ForbiddenRelocation { at, kind }),
    };
    let index = rela.r_sym as usize;
    // An absolute or common symbol, or one of thread-local storage, has no place in the image; an indirect
    // function's is only known when its resolver has run.
    let symbol = tables.symbols.get(index).ok().filter(|symbol| {
        let is_placed = (1..abi::SHN_LORESERVE).contains(&symbol.st_shndx);
        let is_plain = !matches!(symbol.st_symtype(), abi::STT_TLS | abi::STT_GNU_IFUNC | abi::STT_COMMON);
        index != 0 && is_placed && is_plain && symbol.st_value <= image.bytes.len() as u64
    });
    let symbol = symbol.ok_or(ObjectError::RelocationSymbol { at, index })?;
    symbol.st_value.checked_add_signed(addend).ok_or(ObjectError::RelocationTarget { at })
}
