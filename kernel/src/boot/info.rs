//! The loader's information, kept for as long as the kernel runs.

use core::{ptr, slice};

use base::info::{Info, Physical};
use base::options::Options;
use spin::Once;

use crate::layout;

static INFO: Once<Info> = Once::new();

/// Copies what the loader left at physical address `start_info`. On the boot
/// core, while nothing else has been put into RAM.
///
/// # Panics
/// Where the information is unusable: there is nothing to go on with.
pub fn init(start_info: u64) -> &'static Info {
    INFO.call_once(|| match Info::read(start_info, &EarlyMemory) {
        Ok(info) => info,
        Err(error) => panic!("{error}"),
    })
}

/// What the loader said of the machine.
///
/// # Panics
/// Before [`init`]: a bug of the boot order.
pub fn info() -> &'static Info {
    INFO.get().expect("boot::init comes first")
}

/// What the command line asks for.
pub fn options() -> Options<'static> {
    Options::parse(info().command_line())
}

/// The first 4 GiB, through the direct map of the early page tables.
struct EarlyMemory;

impl Physical for EarlyMemory {
    fn bytes(&self, start: u64, len: usize) -> Option<&[u8]> {
        let end = start.checked_add(len as u64)?;
        if end > layout::EARLY_DIRECT_MAP_SIZE {
            return None;
        }
        let address = layout::direct(start) as usize;
        // SAFETY: the early page tables map all of the first 4 GiB there. What
        // is RAM of the loader's holds initialized bytes that nobody writes
        // while `Info::read` runs, alone on the boot core; what is not RAM reads
        // as some bytes or other, and they are checked like all others.
        Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), len) })
    }
}
