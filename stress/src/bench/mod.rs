//! What a raise costs.
//!
//! A *case* is a loop that does one thing a given number of times: an empty one, a call through a
//! function pointer, a raise of an event on which this or that is installed. All loops have one shape
//! and hide arguments and results from the compiler alike, so that their differences are the price of
//! what they do. A host runs them under criterion (`dispatcher/benches`), the kernel by itself.
//!
//! - [`stage`]: the machine, as far as a case must know it; the events that are raised.
//! - [`cases`]: the cases. To add one is a line in its list.
//! - [`costs`]: runs each of them on one core.
//! - [`parallel`]: runs some of them on many cores at once, between marks by which a recorder outside
//!   of the machine sees what the cores do to each other's cache lines.
//! - [`strands`]: what strands cost, by the same means.
//! - [`jobs`]: how parallel jobs spread over the cores.
//! - [`sample`]: what was measured, as people and as tools read it.

pub mod cases;
pub mod costs;
pub mod jobs;
pub mod parallel;
pub mod sample;
pub mod stage;
pub mod strands;

pub use self::{
    cases::Case,
    sample::Samples,
    stage::{Args, Events, Instrument, Mark, Stage},
};
