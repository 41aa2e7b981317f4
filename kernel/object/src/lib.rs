//! The reader of spindle object files.
//!
//! A `.spindle` file is an x86-64 ELF shared object with one entry, the header `WHORL_SPINDLE`.
//! [`Object::parse`] reads one from its bytes and checks all of it *before* anything is mapped; what comes
//! out can be placed at any page-aligned address without a further question:
//!
//! ```
//! # let file: &[u8] = b"no object at all";
//! match object::Object::parse(file) {
//!     Ok(object) => {
//!         let base = 0xffff_ffff_a000_0000;
//!         let image = object.link(base);
//!         assert_eq!(image.len(), object.image_pages() * object::PAGE_SIZE);
//!     }
//!     Err(error) => assert!(error.to_string().contains("cargo xtask spindle build")),
//! }
//! ```
//!
//! # Threat, defence, invariants, tests
//!
//! *Threat*: a file that lies. Every number in it may be wrong, huge, or overlap with another.
//!
//! *Defence*: the file is an allegation. No number is used as an index before it was compared with what it
//! indexes, additions are checked, sizes are limited ([`limits`]), the crate holds no `unsafe`, and whatever
//! is not known to be needed is refused, not skipped.
//!
//! *Invariants* of an [`Object`], which `tests/mutations.rs` checks anew, by its own means, on whatever came
//! through out of tens of thousands of damaged files:
//! 1. The image has at most [`limits::IMAGE_PAGES`] pages; segments are in order, lie in it and share no
//!    page.
//! 2. No page is both writable and executable.
//! 3. Each relocated word lies in one writable or RELRO segment, no two overlap, and each points into the
//!    image.
//! 4. `start` and `stop` lie in executable segments.
//! 5. Each slot is an aligned word in a segment that stays writable, no two overlap, and each holds at first
//!    the address of code of this object: its stub.
//! 6. Names have their form, and no import is named twice.
//!
//! `tests/rules.rs` breaks each rule by itself. *Not* checked here: that the code is what the builder made of
//! safe Rust (that is the signature's part), and that an import's hash belongs to its signature (the
//! builder's too).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod dynamic;
mod error;
mod functions;
mod header;
mod image;
mod object;
mod relocations;

pub mod forms;
pub mod limits;

pub use error::{Evidence, ObjectError, Table};
pub use functions::Function;
pub use header::{Import, Kind};
pub use image::{Access, Segment};
pub use object::Object;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
