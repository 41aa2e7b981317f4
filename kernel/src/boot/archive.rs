//! The boot archive: a ustar archive that the loader brought as its module.
//! It is read in place, so its memory stays reserved while the kernel runs.

use core::{ptr, slice};

use base::info::Info;
use spin::Once;
use tar_no_std::TarArchiveRef;

use crate::{layout, symbols};

static ARCHIVE: Once<TarArchiveRef<'static>> = Once::new();

/// Looks at the loader's module and takes the function names from it. A machine
/// without one, or with something else in it, boots with no files. Once, on the
/// boot core, before the module's memory could be given to anybody.
pub fn init(info: &Info) {
    let Some(module) = &info.module else {
        log::warn!("no boot archive: no spindles to load, no names in backtraces (QEMU: -initrd)");
        return;
    };
    if module.end > layout::EARLY_DIRECT_MAP_SIZE {
        log::error!("ignored the boot archive at {module:#x?}: it must lie below 4 GiB");
        return;
    }
    let start = ptr::with_exposed_provenance(layout::direct(module.start) as usize);
    // SAFETY: the range lies in the direct map, early and later, for RAM below 4
    // GiB; it holds what the loader put there, and nobody writes to it, because
    // whoever hands out memory leaves `Info::module` out.
    let bytes: &'static [u8] = unsafe { slice::from_raw_parts(start, (module.end - module.start) as usize) };
    match TarArchiveRef::new(bytes) {
        Ok(archive) => {
            ARCHIVE.call_once(|| archive);
        }
        Err(error) => {
            log::error!("ignored the boot archive, which is no ustar archive ({error}): make it anew");
            return;
        }
    }
    if let Some(text) = file("symbols") {
        symbols::init(text);
    }
}

/// The contents of the file `name`.
pub fn file(name: &str) -> Option<&'static [u8]> {
    let entries = ARCHIVE.get()?.entries();
    entries.into_iter().find(|entry| entry.filename().as_str() == Ok(name)).map(|entry| entry.data())
}

/// All files, in the archive's order.
pub fn files() -> impl Iterator<Item = tar_no_std::ArchiveEntry<'static>> {
    ARCHIVE.get().into_iter().flat_map(TarArchiveRef::entries)
}
