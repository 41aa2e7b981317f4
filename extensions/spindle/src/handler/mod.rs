//! Handlers: what a spindle installs on events, when it is called, and for how long.

mod binding;
mod export;
mod field;
#[cfg(test)]
mod tests;

use core::{marker::PhantomData, mem::MaybeUninit, ptr};

pub use binding::{Binding, remove, remove_drained};
pub use export::export;
pub use field::Field;

use crate::{
    Error, Event,
    closure::{Captures, Words},
    installation::{Condition, FIRST, Installation, KEY, LAST, MOST_GUARDS, MOST_WAITING, NONE, PREDICATE},
    interfaces::dispatcher,
};

/// Installs a handler; from the next raise on, on any core, it is called.
///
/// This is the simplest form: [`handler`] says on what conditions, too.
///
/// Cost: a new plan in the kernel, O(n log n) in the number of the event's handlers.
///
/// # Errors
///
/// As for [`Handler::install`].
pub fn install<E: Event, F: Fn(&E) -> E::Result + Send + Sync + 'static>(
    handler: F,
) -> Result<Binding<E>, Error> {
    self::handler(handler).install()
}

/// A handler to be installed, once it was said when it is called.
///
/// ```
/// use spindle::{Error, Order, demo::Hello, handler};
///
/// pub fn start() -> Result<(), Error> {
///     let first = handler(greet)
///         .key(|hello| &hello.number, 80)
///         .when(|hello| hello.core != 0)
///         .order(Order::First)
///         .bounded_ns(1_000_000)
///         .install()?;
///     handler(|hello: &Hello| hello.number).order(Order::After(first)).install()?;
///     Ok(())
/// }
///
/// fn greet(hello: &Hello) -> u64 {
///     hello.number + 1
/// }
/// # // On this machine there is no kernel to install it.
/// # assert_eq!(start(), Err(Error::Unbound));
/// ```
pub fn handler<E: Event, F: Fn(&E) -> E::Result + Send + Sync + 'static>(procedure: F) -> Handler<E> {
    Handler::new(|captures| captures.handler(procedure))
}

/// A handler that may change the arguments, for all that are called after it. It is given a copy that
/// belongs to the raise: the raiser's own arguments stay as they are.
///
/// ```
/// use spindle::{Error, Order, demo::Hello, filter};
///
/// pub fn start() -> Result<(), Error> {
///     filter(|hello: &mut Hello| {
///         hello.number %= 100;
///         hello.number
///     })
///     .order(Order::First)
///     .install()?;
///     Ok(())
/// }
/// # assert_eq!(start(), Err(Error::Unbound));
/// ```
pub fn filter<E: Event, F: Fn(&mut E) -> E::Result + Send + Sync + 'static>(procedure: F) -> Handler<E> {
    let mut filter = Handler::new(|captures| captures.filter(procedure));
    filter.wanted.is_filter = 1;
    filter
}

/// A handler, and on what conditions it is called: see [`handler()`] and [`filter`].
#[must_use = "it is called only once it was installed"]
pub struct Handler<E> {
    wanted: Installation,
    captures: Captures,
    /// What is wrong with it already.
    error: Option<Error>,
    _event: PhantomData<fn(&E)>,
}

/// Where a handler stands among those of its event.
#[derive(Debug)]
pub enum Order<E> {
    /// Ahead of all that there are, and of all that will not ask for the same.
    First,
    /// Behind all that there are, and all that will not ask for the same.
    Last,
    /// Some time before that one, as long as it is there.
    Before(Binding<E>),
    /// Some time after that one, as long as it is there.
    After(Binding<E>),
}

impl<E> Clone for Order<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Order<E> {}

/// How an asynchronous handler is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// On which core.
    pub place: Place,
    /// How many invocations may wait: 1 to 1,024, rounded up to a power of two.
    pub capacity: u32,
    /// What becomes of one too many.
    pub on_full: OnFull,
}

/// On which core an asynchronous handler is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On that of whoever raises.
    Here,
    /// On that one, wherever it is raised.
    Core(u32),
}

/// What becomes of an invocation for which there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFull {
    /// The raiser is told: [`Error::Full`].
    Refuse,
    /// It is dropped, and the raiser goes on.
    Drop,
}

impl<E: Event> Handler<E> {
    fn new(procedure: impl FnOnce(&mut Captures) -> Words) -> Self {
        let mut captures = Captures::default();
        let Words { code, closure } = procedure(&mut captures);
        // Which event it is, by its number, is asked when it is installed: whoever exports it imports it not.
        let wanted = Installation::new(0, code, closure);
        Self { wanted, captures, error: None, _event: PhantomData }
    }

    /// Called only if the predicate holds, too. It looks and does nothing else: it cannot raise, install,
    /// sleep or allocate. At most eight conditions, of both kinds together.
    pub fn when<F: Fn(&E) -> bool + Send + Sync + 'static>(mut self, predicate: F) -> Self {
        let Words { code, closure } = self.captures.predicate::<E, F>(predicate);
        self.guard(Condition { kind: PREDICATE, place: code, width: 0, value: closure as u64 })
    }

    /// Called only if a field of the arguments has that value, too. As long as no filter is among them,
    /// any number of handlers that wait for different values of one field cost a raise what one does; a
    /// predicate costs a call for each.
    ///
    /// ```
    /// # use spindle::{demo::Hello, handler};
    /// # fn serve(hello: &Hello) -> u64 { hello.number }
    /// let web = handler(serve).key(|hello| &hello.number, 80);
    /// ```
    pub fn key<F: Field>(mut self, field: impl Fn(&E) -> &F, value: F) -> Self {
        // SAFETY: arguments are plain, and zero is a value of all that is.
        let sample = unsafe { MaybeUninit::<E>::zeroed().assume_init() };
        let start = ptr::from_ref(&sample).addr();
        let place = ptr::from_ref(field(&sample)).addr().wrapping_sub(start);
        if place >= size_of::<E>() {
            // A reference to something else.
            self.error.get_or_insert(Error::BadArgument);
            return self;
        }
        self.guard(Condition { kind: KEY, place, width: size_of::<F>() as u64, value: value.word() })
    }

    fn guard(mut self, guard: Condition) -> Self {
        let count = self.wanted.guard_count as usize;
        if count == MOST_GUARDS {
            self.error.get_or_insert(Error::Limit);
        } else {
            self.wanted.guards[count] = guard;
            self.wanted.guard_count += 1;
        }
        self
    }

    /// Where it stands among the event's handlers. One that is named here must be of this event.
    pub fn order(mut self, order: Order<E>) -> Self {
        let wanted = &mut self.wanted;
        let (word, wish, none) = match order {
            Order::First => (&mut wanted.rank, FIRST, 0),
            Order::Last => (&mut wanted.rank, LAST, 0),
            Order::Before(binding) => (&mut wanted.before, binding.number, NONE),
            Order::After(binding) => (&mut wanted.after, binding.number, NONE),
        };
        if *word != none {
            self.error.get_or_insert(Error::Order);
        }
        *word = wish;
        self
    }

    /// How long it may run at a time, in nanoseconds. It must not block then, and when it runs longer, this
    /// spindle has failed: the call is cut, and so is the spindle. Time that its strand has to wait for its
    /// core does not count. The bound is looked at by ticks, some milliseconds apart.
    pub fn bounded_ns(mut self, bound_ns: u64) -> Self {
        self.wanted.bound_ns = bound_ns;
        self
    }

    /// It is asynchronous: each raise for which its conditions hold leaves a copy of the arguments, and a
    /// strand of the kernel's runs it later, one invocation after the other, in the order of the raises of
    /// each raiser. Its result goes nowhere: a raise that finds nothing but such handlers gets
    /// [`Error::Posted`].
    ///
    /// ```
    /// use spindle::{Error, OnFull, Place, Posting, demo::Hello, handler, println};
    ///
    /// pub fn start() -> Result<(), Error> {
    ///     let posting = Posting { place: Place::Here, capacity: 64, on_full: OnFull::Drop };
    ///     handler(note).posted(posting).install()?;
    ///     Ok(())
    /// }
    ///
    /// fn note(hello: &Hello) -> u64 {
    ///     // The raiser is long gone, so there is time.
    ///     let _ = println!("somebody said {}", hello.number);
    ///     0
    /// }
    /// # assert_eq!(start(), Err(Error::Unbound));
    /// ```
    pub fn posted(mut self, posting: Posting) -> Self {
        if !(1..=MOST_WAITING).contains(&posting.capacity.into()) {
            self.error.get_or_insert(Error::Limit);
        }
        self.wanted.capacity = posting.capacity.into();
        self.wanted.core = match posting.place {
            Place::Here => NONE,
            Place::Core(core) => core.into(),
        };
        self.wanted.drops = u64::from(posting.on_full == OnFull::Drop);
        self
    }

    /// Installs it; from the next raise on, on any core, it is called.
    ///
    /// Cost: a new plan in the kernel, O(n log n) in the number of the event's handlers.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] by the event's owner; the kernel's log says by which rule. [`Error::Order`] if
    /// the wishes for an order contradict each other, [`Error::UnknownBinding`] if one names a handler
    /// that is gone. [`Error::Limit`] if the event or this spindle has too many handlers, or this one too
    /// many conditions, or wants too much to wait; [`Error::BadArgument`] for a key outside of the
    /// arguments, a core that is not there, an asynchronous filter, or one of large arguments (more than 256
    /// bytes); [`Error::Context`] in a guard; [`Error::OutOfMemory`], [`Error::Closed`]. Nothing has
    /// changed then.
    pub fn install(mut self) -> Result<Binding<E>, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.wanted.event = E::import().load();
        let number = dispatcher::install(&self.wanted)?;
        Ok(Binding { number, captures: self.captures.leak(), _event: PhantomData })
    }

    /// Installs it in the place of another of this spindle's, in one step: each raise calls one of them,
    /// never both. Unless it asks for another place it stands where the other stood. The other's closure
    /// stays until the spindle is unloaded, as with [`remove`].
    ///
    /// # Errors
    ///
    /// As for [`install`](Self::install); [`Error::UnknownBinding`] if the other is gone.
    pub fn replace(mut self, other: Binding<E>) -> Result<Binding<E>, Error> {
        self.wanted.replaces = other.number;
        self.install()
    }
}
