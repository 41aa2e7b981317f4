//! Handlers: what a spindle installs on events, when it is called, and for how long.

use core::{fmt, marker::PhantomData, mem::MaybeUninit, ptr};

use crate::{
    Error, Event,
    closure::{Captures, Words},
    installation::{
        Condition, Exportation, FIRST, Installation, KEY, LAST, MOST_GUARDS, MOST_WAITING, NONE, PREDICATE,
    },
    interfaces::dispatcher,
    plain::{Plain, Text},
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

/// A handler of this spindle that is installed.
pub struct Binding<E> {
    number: u64,
    /// What may be dropped when it is known that nobody runs it.
    captures: *mut Captures,
    _event: PhantomData<fn(&E)>,
}

// SAFETY: what it points to is `Send`, and touched only by whoever has drained the binding: one.
unsafe impl<E> Send for Binding<E> {}
// SAFETY: as above.
unsafe impl<E> Sync for Binding<E> {}

impl<E> Clone for Binding<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Binding<E> {}

impl<E> PartialEq for Binding<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Binding<E> {}

impl<E> fmt::Debug for Binding<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Binding({})", self.number)
    }
}

impl<E> Binding<E> {
    /// The event's own handler, where it has one: to be ordered before or after it.
    pub const INTRINSIC: Self = Self { number: 0, captures: ptr::null_mut(), _event: PhantomData };
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

impl<E: Event> Handler<E> {
    /// Makes the event this spindle's own, with this handler, as [`export`] does.
    ///
    /// # Errors
    ///
    /// As for [`export`].
    pub fn export(self) -> Result<(), Error> {
        self.export_as(&const { Exportation::of::<E>(false) })
    }

    /// As [`export`](Self::export), and every spindle that imports the event may install handlers on it too.
    /// Of several the last one's result counts; this one is called first, unless somebody asks for that place.
    /// They are called as handlers of the kernel's events are, and go when this spindle goes.
    ///
    /// # Errors
    ///
    /// As for [`export`].
    pub fn export_open(self) -> Result<(), Error> {
        self.export_as(&const { Exportation::of::<E>(true) })
    }

    fn export_as(self, event: &Exportation) -> Result<(), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        dispatcher::export(&self.wanted, Text::new(E::NAME), Text::new(E::SIGNATURE), event)?;
        // It stays as long as the spindle.
        self.captures.leak();
        Ok(())
    }
}

/// Makes an event this spindle's own: creates it, and `handler` is what its raises run. Others can use this
/// spindle by it as they use the kernel, and see nothing else of it.
///
/// The event is declared in a small library that both depend on by its path, `extensions/NAME/interface` for the
/// spindle `NAME`, by [`events!`](crate::events); it is safe code as the spindle itself is:
///
/// ```
/// # mod cthreads_interface {
/// spindle::events! { "CThreads":
///     /// Takes a mutex; the answer says whether it was free.
///     pub event Lock { pub mutex: u64 } -> bool;
/// }
/// # }
/// // In the spindle whose event it is:
/// # mod owner {
/// # use crate::cthreads_interface;
/// use cthreads_interface::Lock;
/// use spindle::{Error, export};
///
/// pub fn start() -> Result<(), Error> {
///     export(|lock: &Lock| lock.mutex % 2 == 0)
/// }
/// # }
/// // In one that uses it, and is loaded later:
/// # mod user {
/// # use crate::cthreads_interface;
/// # use spindle::{Error, raise};
/// # use cthreads_interface::Lock;
/// fn work() -> Result<(), Error> {
///     let is_mine = raise(&Lock { mutex: 4 })?;
/// #   drop(is_mine);
///     Ok(())
/// }
/// # pub fn test() { assert_eq!(work(), Err(Error::Unbound)); }
/// # }
/// # fn main() {
/// #     user::test();
/// #     assert_eq!(owner::start(), Err(spindle::Error::Unbound));
/// # }
/// ```
///
/// Imports are bound when a spindle is loaded, by name and types: so the owner is loaded first. When the owner is
/// unloaded, or fails, raises return [`Error::Unbound`] from then on, and whoever imported the event stays; a
/// raise that was under way when it failed returns [`Error::Cut`]. When an owner is loaded again it is known to
/// those that are loaded after it; those from before stay unbound.
///
/// Nobody else may install handlers on the event; [`Handler::export_open`] lets them. A handler with conditions
/// leaves raises for which they do not hold unanswered. The spindle cannot import its own events: it calls its
/// own procedures.
///
/// Arguments and result have at most 256 bytes each, or it does not compile:
///
/// ```compile_fail
/// spindle::events! { "Test": pub event Large { pub bytes: [u64; 33] } -> (); }
/// let _ = spindle::export(|_: &Large| ());
/// ```
///
/// # Errors
///
/// [`Error::Exists`] if there is an event of that name. [`Error::Limit`] if this spindle has 64 already, or all
/// together 1,024; [`Error::BadArgument`] if the name is not `Interface.Event` in letters and digits;
/// [`Error::Context`] in a guard; [`Error::OutOfMemory`], [`Error::Closed`]. Nothing has changed then.
pub fn export<E: Event, F: Fn(&E) -> E::Result + Send + Sync + 'static>(handler: F) -> Result<(), Error> {
    self::handler(handler).export()
}

/// Removes a handler: no raise that begins after this returns calls it. One that began before may
/// still be in it, so its closure stays until the spindle is unloaded.
///
/// # Errors
///
/// [`Error::UnknownBinding`] if it was removed before, [`Error::Context`] in a guard.
pub fn remove<E: Event>(binding: Binding<E>) -> Result<(), Error> {
    dispatcher::remove(E::import().load(), binding.number)
}

/// Removes a handler, waits until nobody runs it any more, or sleeps in it, and drops its closure.
///
/// # Errors
///
/// [`Error::UnknownBinding`] if it was removed before. [`Error::Context`] where nobody may wait: in a guard,
/// in a bounded handler, and in the very handler that is to be removed; it stays installed then.
pub fn remove_drained<E: Event>(binding: Binding<E>) -> Result<(), Error> {
    dispatcher::remove_drained(E::import().load(), binding.number)?;
    // SAFETY: nobody runs the handler any more, and nobody will. It was there and is not: of all who hold
    // copies of its binding, this is the one that removed it.
    unsafe { Captures::drop_leaked(binding.captures) };
    Ok(())
}

/// What handlers can be keyed by: numbers and truth values.
pub trait Field: Plain + sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// The value as the kernel compares it: its bytes, widened with zeros.
        fn word(self) -> u64;
    }
}

macro_rules! fields {
    ($($field:ty as $bits:ty),*) => {$(
        impl sealed::Sealed for $field {
            fn word(self) -> u64 {
                self as $bits as u64
            }
        }
        impl Field for $field {}
    )*};
}
fields!(
    bool as u8,
    u8 as u8,
    u16 as u16,
    u32 as u32,
    u64 as u64,
    usize as usize,
    i8 as u8,
    i16 as u16,
    i32 as u32,
    i64 as u64,
    isize as usize
);

#[cfg(test)]
mod tests {
    extern crate alloc;

    use super::*;
    use crate::demo::Hello;
    use alloc::sync::Arc;

    crate::plain! {
        pub struct Inner { pub a: u8, pub b: i16 }
    }
    crate::events! { "Test":
        pub event Packet { pub inner: Inner, pub port: u16, pub parts: [u32; 2], pub is_last: bool } -> ();
    }

    fn nothing(_: &Packet) {}

    #[test]
    fn keys_are_where_their_fields_are() {
        use core::mem::offset_of;
        let all = handler(nothing)
            .key(|packet| &packet.inner.b, -2)
            .key(|packet| &packet.port, 80)
            .key(|packet| &packet.parts[1], 7)
            .key(|packet| &packet.is_last, true);
        let keys: alloc::vec::Vec<_> = all.wanted.guards[..4]
            .iter()
            .map(|guard| (guard.kind, guard.place, guard.width, guard.value))
            .collect();
        let inner = offset_of!(Packet, inner) + offset_of!(Inner, b);
        assert_eq!(
            keys,
            [
                (KEY, inner, 2, 0xfffe),
                (KEY, offset_of!(Packet, port), 2, 80),
                (KEY, offset_of!(Packet, parts) + 4, 4, 7),
                (KEY, offset_of!(Packet, is_last), 1, 1),
            ]
        );
        assert_eq!(all.wanted.guard_count, 4);
    }

    #[test]
    fn a_key_outside_of_the_arguments_is_an_error() {
        static ELSEWHERE: u64 = 3;
        let strange = handler(nothing).key(|_| &ELSEWHERE, 3);
        assert_eq!(strange.wanted.guard_count, 0);
        assert_eq!(strange.install(), Err(Error::BadArgument));
    }

    #[test]
    fn too_many_conditions_and_contradictions_are_told() {
        let guarded = (0..MOST_GUARDS).fold(handler(nothing), |handler, _| handler.when(|_| true));
        assert_eq!(guarded.error, None);
        assert_eq!(guarded.when(|_| true).install(), Err(Error::Limit));
        assert_eq!(handler(nothing).order(Order::First).order(Order::Last).install(), Err(Error::Order));
        let before = Order::Before(Binding::INTRINSIC);
        assert_eq!(handler(nothing).order(before).order(before).install(), Err(Error::Order));
        let between = handler(nothing).order(before).order(Order::After(Binding::INTRINSIC));
        assert_eq!(between.install(), Err(Error::Unbound), "only the kernel knows that this is a circle");
    }

    #[test]
    fn what_was_not_installed_is_dropped() {
        let token = Arc::new(());
        let (one, two, three) = (token.clone(), token.clone(), token.clone());
        let handler = handler(move |hello: &Hello| hello.number + Arc::strong_count(&one) as u64)
            .when(move |_| Arc::strong_count(&two) > 0)
            .when(move |_| Arc::strong_count(&three) > 0);
        assert_eq!(Arc::strong_count(&token), 4);
        assert_eq!(handler.install(), Err(Error::Unbound));
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[test]
    fn what_was_drained_is_dropped_and_what_captures_nothing_takes_no_memory() {
        let mut captures = Captures::default();
        captures.handler(nothing);
        captures.predicate(|_: &Packet| true);
        assert!(captures.leak().is_null());
        let token = Arc::new(());
        let captured = token.clone();
        let mut captures = Captures::default();
        captures.filter(move |_: &mut Packet| assert!(Arc::strong_count(&captured) > 0));
        let leaked = captures.leak();
        assert_eq!(Arc::strong_count(&token), 2);
        // SAFETY: leaked a moment ago, and never installed.
        unsafe { Captures::drop_leaked(leaked) };
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[test]
    fn procedures_are_called_as_the_kernel_calls_them() {
        type Code = unsafe extern "C" fn(*const (), *const (), *mut ());
        let mut captures = Captures::default();
        let run = |words: Words, hello: &mut Hello| {
            // SAFETY: these words are of code in this form.
            let code = unsafe { core::mem::transmute::<usize, Code>(words.code) };
            let mut result = 0_u64;
            let args = ptr::from_mut(hello).cast_const().cast();
            let closure = ptr::with_exposed_provenance(words.closure);
            // SAFETY: with the closure that goes with it, and arguments and result of its types.
            unsafe { code(closure, args, (&raw mut result).cast()) };
            result
        };
        let offset = 5;
        let mut hello = Hello { number: 4, core: 1 };
        assert_eq!(run(captures.handler(move |hello: &Hello| hello.number + offset), &mut hello), 9);
        let doubles = captures.filter(|hello: &mut Hello| {
            hello.number *= 2;
            1
        });
        assert_eq!((run(doubles, &mut hello), hello.number), (1, 8));
        assert_eq!(run(captures.predicate(|hello: &Hello| hello.core == 1), &mut hello), 1);
        assert_eq!(run(captures.predicate(|hello: &Hello| hello.core == 2), &mut hello), 0);
    }
}
