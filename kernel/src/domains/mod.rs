//! Domains: spindles' code in the kernel's address space, linked while it runs.
//!
//! - [`domain`]: what a domain is; [`table`]: which there are.
//! - [`mod@load`]: from an object file to running code; [`exports`]: what it can be linked against, and
//!   [`procedures`]: what the kernel does when it is called.
//! - [`strands`]: the strands that a domain makes.
//! - [`retire`]: from running code to free frames; [`failure`]: how a domain ends by its own fault.
//!
//! # Invariants
//!
//! | threat | defence | invariant | test |
//! | --- | --- | --- | --- |
//! | an object file lies | crate `object` checks all of it, in safe code, before a byte is mapped | a refused object changes nothing | `tests::garbled_objects_are_refused`, `truncated_objects_are_refused` |
//! | an import is taken for what it is not | names are bound only with the same hash of their types | both sides of a call agree on its types | `tests::another_type_is_told_with_both_signatures` |
//! | code is written, or data run | frames of code come from blocks that are read-only in every other mapping | W^X, aliases included | `tests::many_domains_at_once`, `memory audit` |
//! | a handler panics, or overflows its stack | it is cut at its landing; its domain is closed at once and retired | its raiser goes on, and every frame and byte comes back | `tests::a_panic_ends_the_domain`, `a_stack_overflow_ends_the_domain`, `all_cores_fail_in_one_domain_at_once` |
//! | a handler or its guard runs for ever | its owner or its author bounds it: a tick, or its next call, finds it late, and it is cut | a raiser waits no longer than the bounds allow | `tests::dispatch::a_bounded_handler_that_loops_is_cut` and those after it |
//! | a handler runs for ever on one core while its domain fails on another | a nudge or a tick finds it dead, and it is cut | a domain that has failed runs nowhere for long | `tests::dispatch::handlers_that_loop_are_cut_when_their_domain_fails_elsewhere` |
//! | a wish for a handler lies | each word of it is checked that can be | code and predicates lie in the image, keys in the arguments, counts in their limits | `tests::dispatch::a_wish_that_lies_is_refused` |
//! | code does where it runs what must not be done there | calls ask the dispatcher's table of contexts | what would wait, change or raise in a guard, or wait in a bounded handler, is an error | `tests::dispatch::contexts_are_kept_row_by_row` |
//! | ten thousand strands sleep in handlers | borders of sleepers are counted, and a domain knows who sleeps for it | nobody else's memory waits for them | `tests::crowd` |
//! | a handler lingers where its stack is nearly used up | interrupts arrive on a stack of the core's, and end it there | no interrupt faults, each is acknowledged | `tests::interrupts_where_the_stack_ends_end_the_domain` |
//! | a domain makes strands without end | each is counted before it is made | nobody has more than `strands::MOST_STRANDS` | `tests::forks::no_more_than_the_quota` |
//! | a domain is unloaded, or fails, while its strands run, sleep or wait | the ledger ends their waits, and cuts those that go on nevertheless; memory waits for the last one | no strand runs code that has gone, and none holds up an unload for ever | `tests::forks::what_is_left_behind_ends`, `one_that_loops_for_ever_is_cut_at_unload` |
//! | a domain is unloaded while it is being called | handlers leave the plans, a grace period passes, the last sleeper leaves, in this order | memory goes only when no stack has a frame of it | `tests::unload_while_all_others_raise`, `storm loads` |
//!
//! # Locks
//!
//! `CHANGES` (a sleeping lock) is held by whoever loads or retires, across start procedures and
//! grace periods; `table`'s registry, a domain's list of sleepers ([`naps`]) and its ledger of strands are leaves. Neither is ever held in code that a spindle calls.

mod domain;
mod exports;
mod failure;
mod load;
mod naps;
mod procedures;
mod retire;
mod strands;
mod table;
#[cfg(feature = "ktest")]
mod tests;

pub use domain::Domain;
pub use failure::{end_by_fault, end_late};
#[cfg(feature = "ktest")]
pub use load::{LoadError, load_object};
pub use load::{load, spindles};
pub use retire::{start_undertaker, unload};
pub use table::{all, name_of};

use crate::strands::Mutex;

/// Held by whoever loads or retires a domain, for as long as that takes.
static CHANGES: Mutex<()> = Mutex::new(());
