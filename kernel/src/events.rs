//! Events: the kernel's, each declared once and for all in the spindle's kit, and those that spindles export.

pub mod exported;
mod guarded;
pub mod strands;
#[cfg(feature = "ktest")]
mod tests;
pub mod watch;

use alloc::sync::Arc;
use core::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use dispatcher::{
    BindingId, Event, EventInfo, InstallError, RaiseError, epoch::MOST_CORES, event::AnyEvent,
    handler::RawHandler,
};
use exported::Exported;
pub use guarded::GUARDED;
use spindle::demo::{Guarded, Heard, Hello};

use crate::strands::Cpu;

/// `Demo.Hello`: to play with.
pub static HELLO: Event<Hello, u64, Cpu> = Event::new(<Hello as spindle::Event>::NAME, None).open();

/// `Demo.Heard`: a handler of `Demo.Hello` says that it was called. The intrinsic handler counts.
pub static HEARD: Event<Heard, u64, Cpu> = Event::new(<Heard as spindle::Event>::NAME, Some(hear)).open();

/// Every event of the kernel, by its number less one: no number is zero. Those of spindles have larger ones.
static EVENTS: [&dyn OwnEvent; 7] =
    [&HELLO, &GUARDED, &HEARD, &strands::RESUME, &strands::CHECKPOINT, &strands::BLOCK, &strands::UNBLOCK];
/// So many of them, the first, spindles may raise. What the others tell thread packages is the scheduler's word, and a
/// package believes it.
const RAISED_BY_ALL: usize = 3;

/// How often `Demo.Heard` told of each core; a line for each.
static HEARD_OF: [Count; MOST_CORES] = [const { Count(AtomicU64::new(0)) }; MOST_CORES];

#[repr(align(64))]
struct Count(AtomicU64);

fn hear(heard: &Heard) -> u64 {
    // Relaxed: who reads it has waited for the raises that it counts.
    HEARD_OF.get(heard.core as usize).map_or(0, |count| count.0.fetch_add(1, Ordering::Relaxed) + 1)
}

/// How often `Demo.Heard` told of core `core`.
pub fn heard_of(core: usize) -> u64 {
    HEARD_OF[core].0.load(Ordering::Relaxed)
}

/// What came of a raise by hand.
pub enum Raised {
    /// A handler's answer.
    Answered(u64),
    /// There was no handler.
    Unanswered,
    /// It went wrong.
    Failed(RaiseError),
}

impl From<Result<u64, RaiseError>> for Raised {
    fn from(result: Result<u64, RaiseError>) -> Self {
        match result {
            Ok(answer) => Self::Answered(answer),
            Err(RaiseError::NoHandler) => Self::Unanswered,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Raises an event that carries but a number and the core that raises.
pub type ByHand = fn(u64, u32) -> Raised;

/// Raises `Demo.Hello`.
pub fn raise_hello(number: u64, core: u32) -> Raised {
    HELLO.raise(&Hello { number, core }).into()
}

/// Raises `Demo.Guarded`.
pub fn raise_guarded(number: u64, core: u32) -> Raised {
    GUARDED.raise(&Guarded { number, core }).into()
}

/// The events that can be raised by hand.
pub fn by_hand() -> impl Iterator<Item = (&'static str, ByHand)> {
    [(HELLO.any().name(), raise_hello as ByHand), (GUARDED.any().name(), raise_guarded)].into_iter()
}

/// The owners of events take them into their care. Once, before anybody else can install on them.
pub fn init() {
    guarded::init();
    strands::init();
}

/// An event that is there as long as somebody has this.
#[derive(Clone)]
pub enum EventRef {
    /// One of the kernel's.
    Own(&'static dyn OwnEvent),
    /// A spindle's. It may have been withdrawn meanwhile: then nothing can be installed on it.
    Exported(Arc<Exported>),
}

impl Deref for EventRef {
    type Target = dyn KernelEvent;

    fn deref(&self) -> &(dyn KernelEvent + 'static) {
        match self {
            Self::Own(event) => *event,
            Self::Exported(event) => &**event,
        }
    }
}

impl EventRef {
    /// The number by which imports know it.
    pub fn number(&self) -> usize {
        match self {
            Self::Own(own) => {
                // No name is used twice.
                let index = EVENTS.iter().position(|event| event.name() == own.name());
                index.map_or(0, |index| index + 1)
            }
            Self::Exported(event) => event.number(),
        }
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = EventRef> {
    EVENTS.into_iter().map(EventRef::Own).chain(exported::all().map(EventRef::Exported))
}

/// Is it the name of one of the kernel's?
fn is_own(name: &str) -> bool {
    EVENTS.iter().any(|event| event.name() == name)
}

/// The event of that name.
pub fn by_name(name: &str) -> Option<EventRef> {
    let own = EVENTS.into_iter().find(|event| event.name() == name).map(EventRef::Own);
    own.or_else(|| exported::by_name(name).map(EventRef::Exported))
}

/// The event of that number, which may come from a spindle.
pub fn by_number(number: usize) -> Option<EventRef> {
    let own = own_by_number(number).map(EventRef::Own);
    own.or_else(|| exported::by_number(number).map(EventRef::Exported))
}

/// The kernel's event of that number. Cost: a load.
#[inline]
pub fn own_by_number(number: usize) -> Option<&'static dyn OwnEvent> {
    EVENTS.get(number.wrapping_sub(1)).copied()
}

/// As [`own_by_number`], for a spindle that raises it: only those that spindles may raise.
#[inline]
pub fn raised_by_number(number: usize) -> Option<&'static dyn OwnEvent> {
    EVENTS[..RAISED_BY_ALL].get(number.wrapping_sub(1)).copied()
}

/// An event of the kernel's own, which any code of it may raise.
pub trait OwnEvent: KernelEvent {
    /// Raises it on a spindle's behalf.
    ///
    /// # Safety
    ///
    /// `args` points to its arguments, `result` to room for its result.
    ///
    /// # Errors
    ///
    /// See [`RaiseError`].
    unsafe fn raise(&self, args: *const (), result: *mut ()) -> Result<(), RaiseError>;

    /// Raises it asynchronously on a spindle's behalf.
    ///
    /// # Safety
    ///
    /// `args` points to its arguments.
    ///
    /// # Errors
    ///
    /// See [`RaiseError`].
    unsafe fn post(&self, args: *const ()) -> Result<(), RaiseError>;
}

/// An event, whatever its types.
pub trait KernelEvent: Sync {
    /// `Interface.Event`.
    fn name(&self) -> &str;
    /// What both sides of an import must agree on, for people.
    fn signature(&self) -> &str;
    /// What both sides of an import must agree on.
    fn hash(&self) -> u64;
    /// Whose it is, if it is a spindle's.
    fn owner(&self) -> Option<u32>;
    /// How many bytes the arguments have.
    fn args_size(&self) -> usize;
    /// The fields of its arguments, each with its offset and its size in bytes; for people. Of a spindle's
    /// event they are not known.
    fn fields(&self) -> &'static [(&'static str, usize, usize)];
    /// What there is to it apart from its types.
    fn any(&self) -> &AnyEvent;
    /// What is installed.
    fn info(&self) -> EventInfo;

    /// Installs a spindle's handler.
    ///
    /// # Safety
    ///
    /// It and its guards have this event's types: its object imported the event by its hash.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    unsafe fn install(&self, handler: RawHandler) -> Result<BindingId, InstallError>;

    /// Puts a spindle's handler in the place of another of that domain.
    ///
    /// # Safety
    ///
    /// As for [`install`](Self::install).
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    unsafe fn replace(
        &self,
        old: BindingId,
        handler: RawHandler,
        domain: u32,
    ) -> Result<BindingId, InstallError>;

    /// Removes a binding of a domain.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    fn remove(&self, binding: BindingId, domain: u32) -> Result<(), InstallError>;

    /// Removes a binding of a domain, and waits until nobody runs it any more. Blocks.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    fn remove_drained(&self, binding: BindingId, domain: u32) -> Result<(), InstallError>;

    /// Removes all bindings of a domain.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    fn remove_domain(&self, domain: u32) -> Result<usize, InstallError>;
}

impl<E: spindle::Event> KernelEvent for Event<E, E::Result, Cpu> {
    fn name(&self) -> &str {
        E::NAME
    }

    fn signature(&self) -> &str {
        E::SIGNATURE
    }

    fn hash(&self) -> u64 {
        E::HASH
    }

    fn owner(&self) -> Option<u32> {
        None
    }

    fn args_size(&self) -> usize {
        size_of::<E>()
    }

    fn fields(&self) -> &'static [(&'static str, usize, usize)] {
        E::FIELDS
    }

    fn any(&self) -> &AnyEvent {
        Self::any(self)
    }

    fn info(&self) -> EventInfo {
        self.any().info::<Cpu>()
    }

    unsafe fn install(&self, handler: RawHandler) -> Result<BindingId, InstallError> {
        // SAFETY: passed on.
        unsafe { self.install_raw(handler) }
    }

    unsafe fn replace(
        &self,
        old: BindingId,
        handler: RawHandler,
        domain: u32,
    ) -> Result<BindingId, InstallError> {
        // SAFETY: passed on.
        unsafe { self.replace_raw(old, handler, Some(domain)) }
    }

    fn remove(&self, binding: BindingId, domain: u32) -> Result<(), InstallError> {
        self.remove_owned(binding, domain)
    }

    fn remove_drained(&self, binding: BindingId, domain: u32) -> Result<(), InstallError> {
        self.remove_drained_owned(binding, domain)
    }

    fn remove_domain(&self, domain: u32) -> Result<usize, InstallError> {
        Self::remove_domain(self, domain)
    }
}

impl<E: spindle::Event> OwnEvent for Event<E, E::Result, Cpu> {
    unsafe fn raise(&self, args: *const (), result: *mut ()) -> Result<(), RaiseError> {
        // SAFETY: by the contract.
        let value = Self::raise(self, unsafe { &*args.cast::<E>() })?;
        // SAFETY: by the contract.
        unsafe { result.cast::<E::Result>().write(value) };
        Ok(())
    }

    unsafe fn post(&self, args: *const ()) -> Result<(), RaiseError> {
        // SAFETY: by the contract.
        Self::post(self, unsafe { &*args.cast::<E>() })
    }
}
