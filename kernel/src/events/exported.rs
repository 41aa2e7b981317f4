//! Events that spindles own: created while the kernel runs, found by their numbers without a lock, and gone with
//! their owner.
//!
//! Threat: a raise meets an event that its owner takes away at this moment, or one that has come into its place.
//!
//! Defence: an event's number is its place in the table and how many there were before it, and is used once. A
//! raise opens its border first and looks into the table from inside ([`AnyEvent::raise_found`]); what it finds
//! there, with that very number, outlives the border. An owner's end goes by steps, each of which makes the next
//! one safe: its domain is closed, so that nobody comes by to export; [`withdraw`] takes its events out of the
//! places where raises look, and every handler off them; a grace period passes; [`forget`] drops them.
//!
//! Invariants: a stale number finds nothing, for ever (`tests::exported::a_stale_import_meets_nobody`); no raise
//! looks at an event that was dropped (`unloaded_while_all_raise`); an owner leaves nothing
//! (`comes_and_goes_to_the_last_byte`).
//!
//! The lock guards what the slow paths need: who exports, installs, lists. It is a leaf, and nobody waits with it.

use alloc::{boxed::Box, sync::Arc};
use core::{
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use dispatcher::{
    BindingId, DomainState, Event, EventInfo, InstallError, Processor, RaiseError, event::AnyEvent,
    handler::RawHandler,
};
use spindle::{Error, installation::MOST_BYTES};

use super::KernelEvent;
use crate::strands::Cpu;

/// The most events that spindles have at a time.
pub const MOST_EXPORTED: usize = 1_024;
/// The most that one of them has.
pub const MOST_OF_A_DOMAIN: usize = 64;

/// In an event's number: raising it takes room for arguments or results.
const LARGE: usize = MOST_EXPORTED;
/// So many numbers there are for each event that ever was: one for each place, [`LARGE`] or not.
const NUMBERS: usize = 2 * MOST_EXPORTED;

const WORDS: usize = MOST_BYTES / size_of::<u64>();
/// Arguments, of which as many bytes mean something as the event's have.
type Args = [MaybeUninit<u64>; WORDS];
/// A result that fits in a word, and one that does not, likewise.
type Narrow = MaybeUninit<u64>;
type Wide = [MaybeUninit<u64>; WORDS];

/// Where raises look: null, or an event whose owner has not withdrawn it. Written with the lock.
static PLACES: [AtomicPtr<Exported>; MOST_EXPORTED] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MOST_EXPORTED];

static REGISTRY: spin::Mutex<Registry> =
    spin::Mutex::new(Registry { events: [const { None }; MOST_EXPORTED], created: 0 });

struct Registry {
    /// Each in its place, until it is forgotten.
    events: [Option<Arc<Exported>>; MOST_EXPORTED],
    /// How many there ever were.
    created: usize,
}

impl Registry {
    fn with<T>(body: impl FnOnce(&mut Self) -> T) -> T {
        Cpu::unpreempted(|| body(&mut REGISTRY.lock()))
    }

    /// Those that were not withdrawn, from that place on.
    fn live(&self, from: usize) -> impl Iterator<Item = &Arc<Exported>> {
        // Relaxed: written with the lock.
        let is_live = |place: &usize| !PLACES[*place].load(Ordering::Relaxed).is_null();
        (from..MOST_EXPORTED).filter(is_live).filter_map(|place| self.events[place].as_ref())
    }
}

/// An event that a spindle owns.
pub struct Exported {
    number: usize,
    name: Box<str>,
    signature: Box<str>,
    hash: u64,
    args_size: usize,
    result_size: usize,
    /// Raises hand on a copy of the arguments as large as any: who runs may copy all of that.
    is_staged: bool,
    owner: Arc<DomainState>,
    event: Typed,
}

/// The event, by how its results are returned.
enum Typed {
    Narrow(Event<Args, Narrow, Cpu>),
    Wide(Event<Args, Wide, Cpu>),
}

macro_rules! typed {
    ($exported:expr, $event:ident => $body:expr) => {
        match &$exported.event {
            Typed::Narrow($event) => $body,
            Typed::Wide($event) => $body,
        }
    };
}

/// What a spindle says of an event that it exports.
pub struct Declaration<'a> {
    /// `Interface.Event`.
    pub name: &'a str,
    /// What both sides of an import must agree on, for people.
    pub signature: &'a str,
    /// What both sides of an import must agree on.
    pub hash: u64,
    /// How many bytes the arguments have.
    pub args_size: usize,
    /// How many bytes the result has.
    pub result_size: usize,
    /// May others install?
    pub is_open: bool,
    /// The handler has a queue, or changes arguments: it copies them whole.
    pub copies: bool,
}

impl Declaration<'_> {
    /// Could it be an event?
    fn is_sensible(&self) -> bool {
        object::forms::is_import_name(self.name)
            && object::forms::is_signature(self.signature)
            && self.args_size <= MOST_BYTES
            && self.result_size <= MOST_BYTES
    }
}

/// Creates an event of the domain `owner` with that handler. From then on it is found.
///
/// # Safety
///
/// The handler takes arguments and returns a result of just these sizes, which are what the hash stands for.
///
/// # Errors
///
/// `BadArgument`, `Exists`, `Limit`, `Closed`, `OutOfMemory`: nothing has changed then.
pub unsafe fn export(
    declaration: &Declaration<'_>,
    handler: RawHandler,
    owner: &Arc<DomainState>,
) -> Result<(), Error> {
    if !declaration.is_sensible() {
        return Err(Error::BadArgument);
    }
    // Looked at again below; so that whoever tries in vain makes little work.
    Registry::with(|registry| registry.room_for(declaration.name, owner))?;
    let mut exported = Arc::new(Exported::new(declaration, owner.clone()));
    // SAFETY: by the contract.
    unsafe { exported.install_own(handler) }.map_err(|error| match error {
        InstallError::OutOfMemory => Error::OutOfMemory,
        InstallError::Closed => Error::Closed,
        InstallError::Mailbox(_) | InstallError::PostedFilter | InstallError::BadKey => Error::BadArgument,
        _ => Error::Limit,
    })?;
    let mut spare = None;
    let entered = Registry::with(|registry| {
        let place = match registry.room_for(declaration.name, owner) {
            Ok(place) => place,
            Err(error) => {
                spare = Some(exported);
                return Err(error);
            }
        };
        registry.created += 1;
        let event = Arc::get_mut(&mut exported).expect("nobody else has it yet");
        let is_large = event.is_staged || matches!(event.event, Typed::Wide(_));
        event.number = registry.created * NUMBERS + if is_large { LARGE } else { 0 } + place;
        let pointer = Arc::as_ptr(&exported).cast_mut();
        registry.events[place] = Some(exported);
        // Release: pairs with the Acquire of the raise; all of it is there.
        PLACES[place].store(pointer, Ordering::Release);
        Ok(())
    });
    // What did not get in is dropped out here.
    drop(spare);
    entered
}

impl Registry {
    /// The place for an event of that name, if it may be.
    fn room_for(&self, name: &str, owner: &DomainState) -> Result<usize, Error> {
        // Asked with the lock, by way of which the events of a closed domain are withdrawn.
        if !owner.is_open() {
            return Err(Error::Closed);
        }
        if super::is_own(name) || self.live(0).any(|event| *event.name == *name) {
            return Err(Error::Exists);
        }
        let own = self.events.iter().flatten().filter(|event| event.owner.id() == owner.id()).count();
        if own >= MOST_OF_A_DOMAIN {
            return Err(Error::Limit);
        }
        self.events.iter().position(Option::is_none).ok_or(Error::Limit)
    }
}

/// Raises the event of that number, for a spindle that imported it. Takes no lock, allocates nothing, and
/// writes nothing that is shared.
///
/// # Safety
///
/// `args` points to the event's arguments, `result` to room for its result; both may be of another event if the
/// number is none, or stale.
///
/// # Errors
///
/// `None` if there is no such event, or no more; else why nobody answered.
#[inline]
pub unsafe fn raise(number: usize, args: *const (), result: *mut ()) -> Result<(), Option<RaiseError>> {
    if number & LARGE != 0 {
        // SAFETY: passed on.
        return unsafe { raise_large(number, args, result) };
    }
    let mut size = 0;
    let find = || {
        // SAFETY: this runs inside a border, by which what it finds is used.
        let exported = unsafe { find(number) }?;
        size = exported.result_size;
        Some((exported.any(), args))
    };
    // SAFETY: `find` only looks; what it finds is withdrawn a grace period before it is dropped; the arguments
    // are the raiser's, and results are narrow.
    match unsafe { AnyEvent::raise_found::<Cpu>(ptr::null_mut(), find) } {
        Some(Ok(word)) if size == size_of::<Narrow>() => {
            // SAFETY: by the contract there is room for the result, which has this size.
            unsafe { result.cast::<Narrow>().write(word) }
            Ok(())
        }
        Some(Ok(word)) => {
            let word = ptr::from_ref(&word).cast::<u8>();
            // SAFETY: as above; it is not longer than the word.
            unsafe { result.cast::<u8>().copy_from_nonoverlapping(word, size) }
            Ok(())
        }
        Some(Err(error)) => Err(unanswered(number, error)),
        None => Err(None),
    }
}

/// [`raise`] for an event whose results are wide, or whose arguments are handed on as a copy. Apart, for the
/// room that it takes on the stack.
///
/// # Safety
///
/// As for [`raise`].
#[inline(never)]
unsafe fn raise_large(number: usize, args: *const (), result: *mut ()) -> Result<(), Option<RaiseError>> {
    let mut staged = MaybeUninit::<Args>::uninit();
    let mut room = MaybeUninit::<Wide>::uninit();
    let mut size = 0;
    let find = || {
        // SAFETY: this runs inside a border, by which what it finds is used.
        let exported = unsafe { find(number) }?;
        size = exported.result_size;
        if !exported.is_staged {
            return Some((exported.any(), args));
        }
        let copy = staged.as_mut_ptr().cast::<u8>();
        // SAFETY: by the contract there are so many bytes, and there is room for as many as any event has.
        unsafe { copy.copy_from_nonoverlapping(args.cast(), exported.args_size) };
        Some((exported.any(), copy.cast_const().cast()))
    };
    // SAFETY: `find` looks and copies; what it finds is withdrawn a grace period before it is dropped; the
    // arguments are the raiser's, or the copy, and the room is as wide as any result.
    let word = match unsafe { AnyEvent::raise_found::<Cpu>(room.as_mut_ptr().cast(), find) } {
        Some(Ok(word)) => word,
        Some(Err(error)) => return Err(unanswered(number, error)),
        None => return Err(None),
    };
    let answer =
        if size <= size_of::<Narrow>() { ptr::from_ref(&word).cast::<u8>() } else { room.as_ptr().cast() };
    // SAFETY: by the contract there is room for the result, and there it was delivered.
    unsafe { result.cast::<u8>().copy_from_nonoverlapping(answer, size) }
    Ok(())
}

/// The event of that number, without a lock.
///
/// # Safety
///
/// Called inside a border; what comes back is used until that closes, or a handler runs.
#[inline(always)]
unsafe fn find<'a>(number: usize) -> Option<&'a Exported> {
    // Acquire: pairs with the Release of `export`.
    let place = PLACES[number % MOST_EXPORTED].load(Ordering::Acquire);
    // SAFETY: it was found inside a border, so it stays: it is dropped a grace period after it was taken out of
    // its place.
    unsafe { place.as_ref() }.filter(|exported| exported.number == number)
}

/// Why there is no result. A landing does not say whether it is its domain that is closed.
#[cold]
fn unanswered(number: usize, error: RaiseError) -> Option<RaiseError> {
    let is_gone = || by_number(number).is_none_or(|event| !event.owner.is_open());
    (error != RaiseError::NoHandler || !is_gone()).then_some(error)
}

/// The event of that number, which may come from a spindle.
pub fn by_number(number: usize) -> Option<Arc<Exported>> {
    let place = number % MOST_EXPORTED;
    Registry::with(|registry| registry.live(place).next().filter(|event| event.number == number).cloned())
}

/// The event of that name.
pub fn by_name(name: &str) -> Option<Arc<Exported>> {
    Registry::with(|registry| registry.live(0).find(|event| *event.name == *name).cloned())
}

/// All of them. Those that come or go meanwhile are among them or not.
pub fn all() -> impl Iterator<Item = Arc<Exported>> {
    let mut from = 0;
    core::iter::from_fn(move || {
        let next = Registry::with(|registry| registry.live(from).next().cloned())?;
        from = next.number % MOST_EXPORTED + 1;
        Some(next)
    })
}

/// Takes a domain's events out of sight, and every handler off them: a raise that begins now finds none of
/// them. The domain is closed. Says which could not be cleared, for lack of memory: then to be called again.
pub fn withdraw(owner: u32) -> Result<(), InstallError> {
    Registry::with(|registry| {
        for (place, event) in registry.events.iter().enumerate() {
            if event.as_ref().is_some_and(|event| event.owner.id() == owner) {
                // Relaxed: a grace period passes before anything is done that must not be seen.
                PLACES[place].store(ptr::null_mut(), Ordering::Relaxed);
            }
        }
    });
    let mut from = 0;
    while let Some((place, event)) = owned(owner, from) {
        typed!(event, event => event.dissolve())?;
        from = place + 1;
    }
    Ok(())
}

/// Drops a domain's events, a grace period after they were withdrawn. Who lists or installs at this moment may
/// have one a little longer.
pub fn forget(owner: u32) {
    while let Some((place, event)) = owned(owner, 0) {
        let last = Registry::with(|registry| registry.events[place].take());
        drop((event, last));
    }
}

/// The first event of a domain's from that place on, withdrawn or not, and its place.
fn owned(owner: u32, from: usize) -> Option<(usize, Arc<Exported>)> {
    Registry::with(|registry| {
        let events = registry.events.iter().enumerate().skip(from);
        let mut own = events.filter_map(|(place, event)| Some((place, event.as_ref()?)));
        own.find(|(_, event)| event.owner.id() == owner).map(|(place, event)| (place, event.clone()))
    })
}

impl Exported {
    fn new(declaration: &Declaration<'_>, owner: Arc<DomainState>) -> Self {
        let &Declaration { name, signature, hash, args_size, result_size, is_open, copies } = declaration;
        // It goes by the name that the spindle gave it, which does not live for ever.
        const NAME: &str = "of a spindle";
        let event = match (result_size <= size_of::<Narrow>(), is_open) {
            (true, false) => Typed::Narrow(Event::new(NAME, None)),
            (true, true) => Typed::Narrow(Event::new(NAME, None).open()),
            (false, false) => Typed::Wide(Event::new(NAME, None)),
            (false, true) => Typed::Wide(Event::new(NAME, None).open()),
        };
        Self {
            number: 0,
            name: name.into(),
            signature: signature.into(),
            hash,
            args_size,
            result_size,
            is_staged: is_open || copies,
            owner,
            event,
        }
    }

    /// # Safety
    ///
    /// The handler has the event's types.
    unsafe fn install_own(&self, handler: RawHandler) -> Result<(), InstallError> {
        typed!(self, event => {
            let authority = event.claim().expect("the owner is the first to ask");
            // SAFETY: by the contract, and arguments are copied bit by bit: those of spindles are plain.
            unsafe { authority.install_raw(handler) }.map(drop)
        })
    }

    /// The number by which imports know it.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        // For one that never got in; any other was dissolved when it was withdrawn, and this finds nothing.
        if let Err(error) = typed!(self, event => event.dissolve()) {
            log::error!("what handles {} is lost with it: {error}", self.name);
        }
    }
}

impl KernelEvent for Exported {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &str {
        &self.signature
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn owner(&self) -> Option<u32> {
        Some(self.owner.id())
    }

    fn args_size(&self) -> usize {
        self.args_size
    }

    fn fields(&self) -> &'static [(&'static str, usize, usize)] {
        // Its owner may be gone before whoever asks has read them.
        &[]
    }

    fn any(&self) -> &AnyEvent {
        typed!(self, event => event.any())
    }

    fn info(&self) -> EventInfo {
        KernelEvent::any(self).info::<Cpu>()
    }

    unsafe fn install(&self, handler: RawHandler) -> Result<BindingId, InstallError> {
        // SAFETY: passed on; arguments are copied as they are, which those of spindles may be.
        typed!(self, event => unsafe { event.install_raw(handler) })
    }

    unsafe fn replace(
        &self,
        old: BindingId,
        handler: RawHandler,
        domain: u32,
    ) -> Result<BindingId, InstallError> {
        // SAFETY: as above.
        typed!(self, event => unsafe { event.replace_raw(old, handler, Some(domain)) })
    }

    fn remove(&self, binding: BindingId, domain: u32) -> Result<(), InstallError> {
        typed!(self, event => event.remove_owned(binding, domain))
    }

    fn remove_drained(&self, binding: BindingId, domain: u32) -> Result<(), InstallError> {
        typed!(self, event => event.remove_drained_owned(binding, domain))
    }

    fn remove_domain(&self, domain: u32) -> Result<usize, InstallError> {
        typed!(self, event => event.remove_domain(domain))
    }
}
