//! What a domain is.

use alloc::{string::String, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dispatcher::DomainState;

use super::{naps::Naps, strands::Ledger};
use crate::{
    memory::{DomainHeap, Image, domain_heap},
    strands::Cpu,
};

/// What a domain's heap may claim, in bytes.
pub const HEAP_QUOTA: usize = 16 << 20;

/// A spindle that is loaded: its code and data, its heap, and how it is doing.
///
/// Dropping it gives all its memory back, so it must happen when nothing of it runs or is
/// referred to any more: see [`retire`](super::retire).
pub struct Domain {
    pub(super) name: String,
    pub(super) version: String,
    /// The dispatcher's view: whether it may be entered, and who sleeps in it.
    pub(super) state: Arc<DomainState>,
    /// Its strands.
    pub(super) strands: Arc<Ledger>,
    pub(super) image: Image,
    pub(super) heap: DomainHeap,
    pub(super) imports: usize,
    /// It has failed: no code of it is to go on.
    pub(super) has_failed: AtomicBool,
    /// Lines that it wrote to the console.
    pub(super) lines: AtomicU64,
    /// The strands that sleep in `Strand.Sleep` for its code.
    naps: Naps,
}

impl Domain {
    pub(super) fn new(name: &str, version: &str, id: u32, image: Image, imports: usize) -> Self {
        let state = Arc::new(DomainState::new(id));
        Self {
            name: name.into(),
            version: version.into(),
            strands: Ledger::new(state.clone()),
            state,
            image,
            heap: domain_heap(HEAP_QUOTA),
            imports,
            has_failed: AtomicBool::new(false),
            lines: AtomicU64::new(0),
            naps: Naps::new(),
        }
    }

    /// The spindle's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The spindle's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it is mapped: its first address, and its size in bytes.
    pub fn place(&self) -> (u64, usize) {
        (self.image.base().as_u64(), self.image.pages() * 4096)
    }

    /// What its heap holds.
    pub fn heap(&self) -> ::memory::DomainCounts {
        self.heap.counts()
    }

    /// How many imports it is linked by.
    pub fn imports(&self) -> usize {
        self.imports
    }

    /// How many lines it has written to the console.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Strands that sleep in its handlers.
    pub fn sleepers(&self) -> usize {
        self.state.sleepers()
    }

    /// Strands of its own.
    pub fn strands(&self) -> usize {
        self.strands.count()
    }

    /// Can it be entered, or is it on its way out?
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    pub(super) fn id(&self) -> u32 {
        self.state.id()
    }

    /// Lets the strand that runs its code sleep until `deadline_ns`, or until the domain is closed; may
    /// return early. Says whether it is open still.
    pub(super) fn nap_until(&self, deadline_ns: u64) -> bool {
        self.naps.nap_until(deadline_ns, || self.is_open())
    }

    /// Wakes all who sleep for its code, once it was closed.
    pub(super) fn wake_all(&self) {
        self.naps.wake_all();
    }

    /// Does the address lie in its image?
    pub(super) fn has(&self, address: usize) -> bool {
        let range = self.image.range();
        (range.start.as_u64()..range.end.as_u64()).contains(&(address as u64))
    }
}

/// Runs `body` with the domain whose code called into the kernel; `None` if it was no domain's.
pub(super) fn with_running<T>(body: impl FnOnce(&Domain) -> T) -> Option<T> {
    use dispatcher::Processor;

    // SAFETY: the running strand's own borders, which it does not close meanwhile.
    let border = unsafe { dispatcher::border::outwards(Cpu::top()) }.next()?;
    let id = border.domain()?.id();
    // SAFETY: the domain's code is on the stack below us, so it has not been retired, and will not
    // be before we return to it.
    unsafe { super::table::by_id(id) }.map(body)
}
