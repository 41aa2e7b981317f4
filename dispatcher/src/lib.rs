//! # Dispatcher: events, handlers, and the borders that they cross
//!
//! Everything that matters in Whorl is announced by raising an [`Event`]; whoever wants to have a
//! say installs a handler, at any time, from any core. This crate holds that mechanism and knows no
//! processor: what it needs of one is the small trait [`Processor`], which a kernel implements over
//! its cores and a test over threads. So it can be used in any kernel, or in a program.
//!
//! ```
//! use dispatcher::{Event, Handler, Order, host::{Host, World}, key};
//!
//! #[derive(Clone, Copy)]
//! struct Packet { port: u16, bytes: u32 }
//!
//! /// What to do with a packet: the last handler decides. Anybody may install one.
//! static ARRIVED: Event<Packet, &str, Host> = Event::new("Net.Arrived", Some(|_| "dropped")).open();
//!
//! let world = World::new(); // a machine of threads
//! let _core = world.attach();
//! assert_eq!(ARRIVED.raise(&Packet { port: 80, bytes: 60 }), Ok("dropped"));
//!
//! // A handler behind a guard that the dispatcher can find by one probe, among ten thousand such.
//! let web = ARRIVED.install(Handler::trusted(|_| "served").key(key!(Packet, port), 80)).unwrap();
//! // A filter sees a copy of the arguments and changes it for those who come after it.
//! let tunnel = Handler::filter(|packet: &mut Packet| {
//!     packet.port = 80;
//!     "unwrapped"
//! });
//! let tunnel = ARRIVED.install(tunnel.when(|packet| packet.port == 8080).order(Order::Before(web))).unwrap();
//! assert_eq!(ARRIVED.raise(&Packet { port: 8080, bytes: 60 }), Ok("served"));
//!
//! ARRIVED.remove(tunnel).unwrap(); // now: no raise that begins after this calls it
//! ARRIVED.remove_drained(web).unwrap(); // and nobody is in it any more
//! assert_eq!(ARRIVED.raise(&Packet { port: 80, bytes: 60 }), Ok("dropped"));
//! ```
//!
//! The parts, in the order in which a reader needs them:
//!
//! - [`processor`]: what the machine must supply.
//! - [`event`]: what is raised, who owns it, and how several are changed at once; [`handler`]: what is
//!   installed; [`guard`], [`order`], [`merge`]: when it is called, in which order, and what becomes of
//!   several results; [`context`]: what it may do.
//! - [`plan`]: the immutable list that a raise runs, compiled from the bindings and replaced as a whole
//!   by whoever installs; `published`: the words by which raises find it.
//! - [`border`]: the record on the stack that each protected passage makes; [`passage`]: one outside of
//!   events; [`landing`]: how a
//!   passage into foreign code can be cut short; [`bound`]: how long it may take; [`domain`]: whose code
//!   that is.
//! - [`post`]: asynchronous handlers and raises: mailboxes, and the workers that deliver.
//! - [`observe`]: counts, durations and traces of an event that somebody watches.
//! - [`epoch`]: when may a plan that was replaced be freed? Participants, which belong to cores;
//!   [`slot`]: how one changes hands.
//! - [`core`](mod@core): one core's dispatcher: its participant, and what happens to it when strands switch.
//! - [`keeper`]: the housekeeper's half, which alone destroys; [`retire`]: how things get to it.
//! - `host` (a feature): a machine of threads, for tests, benchmarks and examples.
//!
//! # What a raise costs
//!
//! In instructions beyond a call through a function pointer, on x86-64 (`cargo xtask bench dispatch`):
//! 3 for an event on which only its intrinsic handler stands, 13 for one trusted handler, 34 for one
//! handler of a domain, its landing included. No lock, no allocation, no fence, and no store to memory
//! that another core touches in its raises. The price is paid by whoever installs (a new plan is built
//! beside the old one, in O(n log n)) and by the housekeeper, who waits for a *grace period* before it
//! frees.
//!
//! # Where it is weak
//!
//! - Each change copies the list of bindings: installing one handler among ten thousand costs what ten
//!   thousand pointers and counts cost, with preemption off for as long. Use a [`Transaction`] for many.
//! - Nothing bounds what a trusted handler does, and raises nest as deep as the stack allows: until
//!   [`LEAST_STACK`](plan::LEAST_STACK) bytes are left, then the raise is an error.
//! - A strand of low priority that is preempted inside a border, and starved by others, holds grace
//!   periods back.
//! - Small things (a binding, a closure) are allocated infallibly, since the compiler's library has no
//!   other way yet; what grows with the number of handlers is not.
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | a plan is freed while a core still runs it | the core's participant stays pinned while a border is open | a plan is destroyed only when every raise that could have loaded it is over | `tests/storm.rs`, `tests/loom.rs` |
//! | a raise finds no plan, or half of a change | a change is one store; where the last handler goes, a plan stays to be found | each raise runs the bindings of one instant | `tests/loom_plans.rs`, `tests/reference.rs` |
//! | a strand sleeps in a handler for hours | on blocking, its borders take counted references and the core's participant moves on | sleepers delay only what they sleep in | `tests/borders.rs` |
//! | a strand is preempted in a handler, resumes elsewhere | the participant travels with the strand, still pinned at its old epoch | a border is covered by one pinned participant or by counted references, at every instant | `tests/borders.rs` |
//! | a core raises for ever and is never seen outside | a nudge marks its outermost border, and leaving it repins | a grace period takes as long as the longest handler, not as long as the raiser's loop | `tests/storm.rs` |
//! | code of a dead domain is called by a raise that slept | after a sleep each binding is looked at again | nothing of a domain runs once it was drained | `tests/borders.rs` |
//! | an owner's event is used against him | changes by others pass his authorizer; the [`Authority`] can be neither copied nor made | only the owner sets terms | `tests/authority.rs` |
//! | a transaction fails half-way | all plans are built, with all locks, before the first is published | all or nothing | `tests/transactions.rs` |
//! | a handler runs for ever | its bound stands in the border; the tick finds it, and foreign code is cut at its landing | a bound is overrun by a tick at most, by code that can be cut | `tests/bounds.rs` |
//! | somebody drains the handler in which he runs | his own borders are looked through first | nobody waits for himself | `tests/drained.rs` |
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "host"))]
extern crate std;

mod binding;
pub mod border;
pub mod bound;
mod caller;
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
pub mod passage;
pub mod plan;
pub mod post;
mod primitive;
pub mod processor;
mod published;
mod references;
pub mod retire;
pub mod slot;
mod trace;
mod word;

pub use crate::{
    border::Border,
    caller::Caller,
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
    passage::{EnterError, Passage, enter},
    processor::Processor,
};
