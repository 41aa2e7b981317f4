//! The atomics of `token`, `hail` and `slots`: here those of `core`; the models in `tests/loom*.rs` take the same
//! files with loom's.

pub(crate) use alloc::sync::Arc;
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence},
};
