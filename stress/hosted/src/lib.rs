//! The cases of `stress::bench` on this host, under criterion: see `benches/`, and run them by
//! `cargo xtask bench`. A crate by itself, so that nothing else is built with criterion.
#![forbid(unsafe_code)]
