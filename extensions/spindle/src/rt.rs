//! The object's own machinery: header, heap and panic handler, put together by [`glue!`](crate::glue).
//!
//! The builder generates a crate that holds nothing but `glue!`. It is the only place of a spindle
//! with `unsafe` in it, and none of that is its author's.

use core::{
    alloc::{GlobalAlloc, Layout},
    fmt::Write as _,
    panic::PanicInfo,
    ptr,
};

use crate::{
    Error, Status,
    interface::{Import, Str},
    interfaces::domain,
    plain::{Buffer, Text},
};

/// The version of the object's layout.
pub const ABI: u32 = 1;

/// What stands at `WHORL_SPINDLE`. The kernel's reader knows this layout.
#[repr(C)]
pub struct Header {
    magic: [u8; 8],
    abi: u32,
    size: u32,
    name: Str,
    version: Str,
    imports: *const Import,
    imports_end: *const Import,
    start: extern "C" fn() -> Status,
    stop: Option<extern "C" fn()>,
}

const _: () = assert!(size_of::<Header>() == 80, "the reader of objects counts on it");

// SAFETY: constant after linking.
unsafe impl Sync for Header {}

// The linker sets these around the section, which keeps just the imports that are used.
unsafe extern "C" {
    #[link_name = "__start_whorl_imports"]
    static IMPORTS: Import;
    #[link_name = "__stop_whorl_imports"]
    static IMPORTS_END: Import;
}

impl Header {
    /// The header of a spindle.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str, start: extern "C" fn() -> Status) -> Self {
        Self {
            magic: *b"WHORLSPN",
            abi: ABI,
            size: size_of::<Self>() as u32,
            name: Str::new(name),
            version: Str::new(version),
            imports: &raw const IMPORTS,
            imports_end: &raw const IMPORTS_END,
            start,
            stop: None,
        }
    }
}

/// The domain's heap, which the kernel keeps.
pub struct Heap;

// SAFETY: the kernel hands out disjoint live blocks of the size and alignment that was asked for, or
// an error, which becomes null.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        domain::allocate(layout.size(), layout.align())
            .map_or(ptr::null_mut(), ptr::with_exposed_provenance_mut)
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // Cannot fail for a block of this heap; if the kernel disagrees, the block is lost to this
        // domain alone.
        let _ = domain::free(start.expose_provenance(), layout.size(), layout.align());
    }
}

/// The end of a domain: tells the kernel, which cuts the call and takes the domain back.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    let mut message = Buffer::<256>::new();
    let _ = match info.location() {
        Some(place) => write!(message, "{} ({}:{})", info.message(), place.file(), place.line()),
        None => write!(message, "{}", info.message()),
    };
    loop {
        // Does not return while it is bound, and it is bound while this code runs at all.
        let _: Result<(), Error> = domain::panic(Text::new(message.as_str()));
    }
}

/// What the generated crate consists of: allocator, panic handler, and the object's header.
#[macro_export]
macro_rules! glue {
    ($spindle:ident, $name:literal, $version:literal) => {
        #[global_allocator]
        static HEAP: $crate::rt::Heap = $crate::rt::Heap;

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::rt::panic(info)
        }

        extern "C" fn start() -> $crate::Status {
            $spindle::start().into()
        }

        /// What the kernel reads first.
        #[unsafe(no_mangle)]
        pub static WHORL_SPINDLE: $crate::rt::Header = $crate::rt::Header::new($name, $version, start);
    };
}
