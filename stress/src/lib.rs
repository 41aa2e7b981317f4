//! What measures and torments the kernel.
//!
//! The torments are written against [`Kernel`], a small trait that the kernel implements, and hold no
//! line of `unsafe`. They count, and they compare counts with a [`Level`] that was taken before: what
//! does not come back is a failure.
//!
//! - [`kernel`]: what is tormented.
//! - [`dice`]: chance that can be repeated.
//! - [`reference`](mod@reference): random programs, run by the dispatcher and by a naive one, which must agree.
//! - [`loads`]: a spindle is loaded and unloaded while every other core raises the event that it
//!   handles.
//! - [`registrations`]: handlers come, go and are replaced everywhere while every core raises.
//! - [`mod@bench`]: what a raise costs, on a host and in the booted kernel by the same loops; what
//!   cores that raise at once do to each other.
//!
//! Spindles for the torments stand in folders of their own beside this one: `echo` answers and tells of
//! it; `adder` answers and does nothing else; each of the others misbehaves in the way that it is named
//! for.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bench;
pub mod dice;
pub mod kernel;
pub mod loads;
pub mod reference;
pub mod registrations;

pub use crate::{
    dice::Dice,
    kernel::{Answer, Kernel, Level},
};
