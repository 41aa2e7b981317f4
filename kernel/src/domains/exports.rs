//! What a spindle can be linked against: the kernel's procedures and events, and the events of spindles that
//! are loaded.

use alloc::{string::String, vec::Vec};
use core::fmt;

use object::{Import, Kind, Object};
use spindle::{
    interface::Procedure,
    interfaces::{clock, dispatcher, domain, package, processor, strand, text},
};

use super::{procedures, table};
use crate::{boot::archive, events};

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
fn exports() -> [Export; 31] {
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
        Export::of(dispatcher::Export, procedures::dispatch::export),
        Export::of(dispatcher::Remove, procedures::dispatch::remove),
        Export::of(dispatcher::RemoveDrained, procedures::dispatch::remove_drained),
        Export::of(dispatcher::Raise, procedures::dispatch::raise),
        Export::of(dispatcher::Post, procedures::dispatch::post),
        Export::of(package::Register, procedures::package::register),
        Export::of(package::Wake, procedures::package::wake),
        Export::of(package::Recall, procedures::package::recall),
        Export::of(package::Current, procedures::package::current),
        Export::of(package::Used, procedures::package::used),
        Export::of(package::HandOff, procedures::package::hand_off),
        Export::of(package::Keep, procedures::package::keep),
        Export::of(package::Resign, procedures::package::resign),
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
    found: Found,
}

/// What there is instead.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    /// Nothing.
    Nothing,
    /// Nothing, but a spindle that seems to export it could be loaded.
    Loadable(String),
    /// Something of another type.
    OtherType {
        /// What the spindle takes it for.
        wanted: String,
        /// What it is.
        there: String,
        /// Whose it is.
        owner: String,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Procedure => "procedure",
            Kind::Event => "event",
        };
        let name = &self.name;
        match &self.found {
            Found::Nothing => write!(out, "no domain exports the {kind} {name}"),
            Found::Loadable(spindle) => {
                write!(out, "no domain exports the {kind} {name}: `load {spindle}` first")
            }
            Found::OtherType { wanted, there, owner } => write!(
                out,
                "the {kind} {name} has another type: the spindle wants `{wanted}`, {owner} has `{there}`"
            ),
        }
    }
}

/// Something that an import may be bound to.
struct Candidate {
    hash: u64,
    word: usize,
    signature: String,
    /// The domain that has it, if it is not the kernel.
    owner: Option<u32>,
}

fn candidate(import: &Import, exports: &[Export]) -> Option<Candidate> {
    match import.kind {
        Kind::Procedure => {
            let &Export { signature, hash, address, .. } =
                exports.iter().find(|export| export.name == import.name)?;
            Some(Candidate { hash, word: address, signature: signature.into(), owner: None })
        }
        Kind::Event => {
            let event = events::by_name(&import.name)?;
            let (hash, word, owner) = (event.hash(), event.number(), event.owner());
            Some(Candidate { hash, word, signature: event.signature().into(), owner })
        }
    }
}

/// A spindle of the boot archive that seems to export an event: it speaks of it and does not import it.
fn exporter_of(name: &str) -> Option<String> {
    archive::files().find_map(|entry| {
        let is_spindle = entry.filename().as_str().is_ok_and(|name| name.ends_with(".spindle"));
        let file = entry.data();
        if !is_spindle || !file.windows(name.len()).any(|bytes| bytes == name.as_bytes()) {
            return None;
        }
        let object = Object::parse(file).ok()?;
        let imports_it = object.imports().iter().any(|import| import.name == name);
        (!imports_it).then(|| object.name().into())
    })
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
        let found = match candidate(import, &exports) {
            Some(candidate) if candidate.hash == import.hash => {
                words.push(candidate.word);
                continue;
            }
            Some(candidate) => Found::OtherType {
                wanted: import.signature.clone(),
                there: candidate.signature,
                owner: candidate.owner.map_or("the kernel".into(), |owner| {
                    table::name_of(owner).unwrap_or_else(|| "a domain that is going".into())
                }),
            },
            None if import.kind == Kind::Event => {
                exporter_of(&import.name).map_or(Found::Nothing, Found::Loadable)
            }
            None => Found::Nothing,
        };
        unresolved.push(Unresolved { name: import.name.clone(), kind: import.kind, found });
    }
    if unresolved.is_empty() { Ok(words) } else { Err(unresolved) }
}
