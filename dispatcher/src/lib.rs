//! # Dispatcher: events, handlers, and the borders that they cross
//!
//! Everything that matters in Whorl is announced by raising an [`Event`]; whoever wants to have a
//! say installs a handler, at any time, from any core. This crate holds that mechanism and knows no
//! processor: what it needs of one is the small trait [`Processor`], which a kernel implements over
//! its cores and a test over threads.
//!
//! The parts, in the order in which a reader needs them:
//!
//! - [`processor`]: what the machine must supply.
//! - [`event`]: what is raised, and how; [`handler`]: what is installed.
//! - [`plan`]: the immutable list that a raise runs, replaced as a whole by whoever installs.
//! - [`border`]: the record on the stack that each protected passage makes; [`landing`]: how a
//!   passage into foreign code can be cut short; [`domain`]: whose code that is.
//! - [`epoch`]: when may a plan that was replaced be freed? Participants, which belong to cores;
//!   [`slot`]: how one changes hands.
//! - [`core`](mod@core): one core's dispatcher: its participant, and what happens to it when strands switch.
//! - [`keeper`]: the housekeeper's half, which alone destroys; [`retire`]: how things get to it.
//! - [`post`]: asynchronous dispatch: mailboxes, agendas, and what workers do.
//! - `host` (a feature): a machine of threads, for tests, benchmarks and examples.
//!
//! # What a raise costs
//!
//! An event on which only its intrinsic handler stands costs one load and one call. Any other makes
//! one [`border::Border`] on the stack: no lock, no allocation, no fence, and no store
//! to memory that another core reads. The price is paid by whoever installs (a new plan is built
//! beside the old one) and by the housekeeper, who waits for a *grace period* before it frees.
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | a plan is freed while a core still runs it | the core's participant stays pinned while a border is open | a plan is destroyed only when every raise that could have loaded it is over | `tests/storm.rs`, `tests/loom.rs` |
//! | a strand sleeps in a handler for hours | on blocking, its borders take counted references and the core's participant moves on | sleepers delay only what they sleep in | `tests/borders.rs` |
//! | a strand is preempted in a handler, resumes elsewhere | the participant travels with the strand, still pinned at its old epoch | a border is covered by one pinned participant or by counted references, at every instant | `tests/borders.rs` |
//! | a core raises for ever and is never seen outside | a nudge marks its outermost border, and leaving it repins | a grace period takes as long as the longest handler, not as long as the raiser's loop | `tests/storm.rs` |
//! | code of a dead domain is called by a raise that slept | after a sleep each binding is looked at again | nothing of a domain runs once it was drained | `tests/borders.rs` |
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "host"))]
extern crate std;

mod binding;
pub mod border;
pub mod bound;
pub mod context;
pub mod core;
pub mod domain;
pub mod epoch;
pub mod event;
pub mod guard;
pub mod handler;
#[cfg(all(feature = "host", not(loom)))]
pub mod host;
pub mod keeper;
pub mod landing;
pub mod merge;
pub mod observe;
pub mod order;
pub mod plan;
pub mod post;
mod primitive;
pub mod processor;
mod published;
mod references;
pub mod retire;
pub mod slot;
mod word;

pub use crate::{
    border::{Border, EnterError, Passage, enter},
    context::{ContextError, might_sleep},
    core::{Crossing, Departure, Dispatcher},
    domain::DomainState,
    epoch::Epochs,
    event::{Authority, Event, EventInfo, InstallError, RaiseError, Request, Terms, Transaction, Verdict},
    guard::{Guard, Key, RawKey},
    handler::{BindingId, Code, Handler},
    keeper::{Keeper, Progress},
    merge::Merge,
    order::Order,
    processor::Processor,
};
