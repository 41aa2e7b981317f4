//! What a spindle can be linked against: the kernel's procedures and events.

use alloc::{string::String, vec::Vec};
use core::fmt;

use object::{Import, Kind};
use spindle::{
    interface::Procedure,
    interfaces::{clock, dispatcher, domain, processor, strand, text},
};

use super::procedures;
use crate::events;

/// A procedure that the kernel exports.
struct Export {
    name: &'static str,
    signature: &'static str,
    hash: u64,
    address: usize,
}

impl Export {
    fn of<P: Procedure>(_: P, implementation: P::Implementation) -> Self {
        const { assert!(size_of::<P::Implementation>() == size_of::<usize>()) };
        // SAFETY: an implementation is a function pointer, as `interface!` declares it, and has the
        // size of a word.
        let address = unsafe { core::mem::transmute_copy::<P::Implementation, usize>(&implementation) };
        Self { name: P::NAME, signature: P::SIGNATURE, hash: P::HASH, address }
    }
}

/// The kernel's side of each interface. The types are checked against the declarations right here.
fn exports() -> [Export; 22] {
    [
        Export::of(text::Write, procedures::write),
        Export::of(clock::Now, procedures::now),
        Export::of(processor::Core, procedures::core),
        Export::of(processor::Cores, procedures::cores),
        Export::of(strand::Sleep, procedures::sleep),
        Export::of(strand::Yield, procedures::yield_now),
        Export::of(strand::Spawn, procedures::strands::spawn),
        Export::of(strand::Join, procedures::strands::join),
        Export::of(strand::Terminate, procedures::strands::terminate),
        Export::of(strand::IsTerminated, procedures::strands::is_terminated),
        Export::of(strand::Current, procedures::strands::current),
        Export::of(strand::Block, procedures::strands::block),
        Export::of(strand::BlockUntil, procedures::strands::block_until),
        Export::of(strand::Unblock, procedures::strands::unblock),
        Export::of(dispatcher::Install, procedures::dispatch::install),
        Export::of(dispatcher::Remove, procedures::dispatch::remove),
        Export::of(dispatcher::RemoveDrained, procedures::dispatch::remove_drained),
        Export::of(dispatcher::Raise, procedures::dispatch::raise),
        Export::of(dispatcher::Post, procedures::dispatch::post),
        Export::of(domain::Allocate, procedures::allocate),
        Export::of(domain::Free, procedures::free),
        Export::of(domain::Panic, procedures::panic),
    ]
}

/// Why an import cannot be bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unresolved {
    name: String,
    kind: Kind,
    /// What the spindle and the kernel take it for, where both know it.
    signatures: Option<(String, &'static str)>,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Procedure => "procedure",
            Kind::Event => "event",
        };
        match &self.signatures {
            None => write!(out, "no domain exports the {kind} {}", self.name),
            Some((wanted, there)) => write!(
                out,
                "the {kind} {} has another type: the spindle wants `{wanted}`, the kernel has `{there}`",
                self.name
            ),
        }
    }
}

/// Finds for each import what its slot must hold, in the order of the imports.
///
/// # Errors
///
/// Every import that cannot be bound, not just the first.
pub fn resolve(imports: &[Import]) -> Result<Vec<usize>, Vec<Unresolved>> {
    let exports = exports();
    let mut words = Vec::with_capacity(imports.len());
    let mut unresolved = Vec::new();
    for import in imports {
        let found = match import.kind {
            Kind::Procedure => exports
                .iter()
                .find(|export| export.name == import.name)
                .map(|export| (export.hash, export.signature, export.address)),
            Kind::Event => events::number_of(&import.name)
                .and_then(|number| Some((number, events::by_number(number)?)))
                .map(|(number, event)| (event.hash(), event.signature(), number)),
        };
        match found {
            Some((hash, _, word)) if hash == import.hash => words.push(word),
            found => unresolved.push(Unresolved {
                name: import.name.clone(),
                kind: import.kind,
                signatures: found.map(|(_, there, _)| (import.signature.clone(), there)),
            }),
        }
    }
    if unresolved.is_empty() { Ok(words) } else { Err(unresolved) }
}
