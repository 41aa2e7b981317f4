//! Atomics that can be made at compile time, for what stands in statics. The models take the files that use
//! this, and bring a `word` of their own, with loom's.

pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
