//! How large a spindle may be. What exceeds a limit is refused before memory is taken for it.

/// Pages of an image: 16 MiB.
pub const IMAGE_PAGES: usize = 4096;

/// Program headers of a file; the linker writes about ten.
pub const PROGRAM_HEADERS: usize = 32;

/// Imports of a spindle.
pub const IMPORTS: usize = 1024;

/// Bytes of a spindle's name.
pub const NAME: usize = 32;

/// Bytes of a spindle's version.
pub const VERSION: usize = 32;

/// Bytes of an import's name.
pub const IMPORT_NAME: usize = 64;

/// Bytes of an import's signature.
pub const SIGNATURE: usize = 4096;

/// Functions that are kept for backtraces; further ones are left out.
pub const FUNCTIONS: usize = 16384;

/// Bytes of a function's name; longer ones are left out.
pub const SYMBOL: usize = 512;
