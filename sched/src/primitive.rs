//! The atomics of `token` and `hail`: here those of `core`; the models in `tests/loom.rs` take the same
//! files with loom's.

pub(crate) use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering, fence};
