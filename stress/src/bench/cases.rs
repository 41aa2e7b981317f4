//! What is measured.

use alloc::{boxed::Box, vec::Vec};
use core::{hint::black_box, marker::PhantomData};

use dispatcher::{
    BindingId, Handler, InstallError, Processor, Transaction, key,
    post::{OnFull, Place, Posting},
};

use super::stage::{Args, Stage, Tried, add_one};

/// A loop that is ready to run so many times, by several cores at once too. Dropped, it clears away
/// what it had installed.
pub type Ready = Box<dyn Fn(u64) + Send + Sync>;

/// One thing to measure.
pub struct Case<S: 'static> {
    /// What it is called in every table and file.
    pub name: &'static str,
    /// How many times make one sample in the kernel; 1 for what is long by itself.
    pub batch: u64,
    /// Does it leave something to be delivered, by others and for others to pay? Then no more than a
    /// batch at a time, and a [rest](Stage::rest) after each.
    pub leaves_posts: bool,
    make: fn(&'static S) -> Result<Ready, InstallError>,
}

/// How many times make one sample of something short.
pub const BATCH: u64 = 2000;

/// How many keys are many.
const MANY: u64 = 10_000;

/// How many arguments are drawn at random, before they come again.
const TABLE: usize = 4096;

impl<S: Stage> Case<S> {
    const fn new(name: &'static str, make: fn(&'static S) -> Result<Ready, InstallError>) -> Self {
        Self { name, batch: BATCH, leaves_posts: false, make }
    }

    const fn posting(name: &'static str, make: fn(&'static S) -> Result<Ready, InstallError>) -> Self {
        Self { name, batch: BATCH, leaves_posts: true, make }
    }

    const fn long(name: &'static str, make: fn(&'static S) -> Result<Ready, InstallError>) -> Self {
        Self { name, batch: 1, leaves_posts: false, make }
    }

    /// Is it so short that a loop around it matters?
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.batch > 1
    }

    /// Installs what the case needs.
    ///
    /// # Errors
    ///
    /// See [`InstallError`].
    pub fn make(&self, stage: &'static S) -> Result<Ready, InstallError> {
        (self.make)(stage)
    }

    /// All cases, the two by which the others are measured first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        [
            Self::new("loop", |_| Ok(Box::new(|times| repeat(times, |args| args.number)))),
            Self::new("call", |_| {
                Ok(Box::new(|times| {
                    let procedure = black_box(add_one as fn(&Args) -> u64);
                    repeat(times, procedure);
                }))
            }),
            Self::new("intrinsic", |_| Ok(Box::new(|times| raise(&S::events().intrinsic, times)))),
            Self::new("trusted", |_| with_handlers::<S>(1)),
            Self::new("foreign", |stage| {
                let ids = [stage.install_foreign(&S::events().bare)?].into();
                let installed = Installed::<S> { ids, of: PhantomData };
                Ok(Box::new(move |times| installed.raise(times)))
            }),
            Self::new("guarded", |_| with_keys::<S>(1)),
            Self::new("predicate", |_| {
                let handler = Handler::trusted(add_one).when(|args| args.key == 1);
                let ids = [S::events().bare.install(handler)?].into();
                let installed = Installed::<S> { ids, of: PhantomData };
                Ok(Box::new(move |times| installed.raise(times)))
            }),
            Self::new("50 keys", |_| with_keys::<S>(50)),
            Self::new("10000 keys, hot", |_| with_keys::<S>(MANY)),
            Self::new("10000 keys, random", |_| {
                let installed = Installed::<S>::keyed(MANY)?;
                let table = at_random(MANY);
                Ok(Box::new(move |times| installed.raise_from(&table, times)))
            }),
            Self::new("2 handlers", |_| with_handlers::<S>(2)),
            Self::new("5 handlers", |_| with_handlers::<S>(5)),
            Self::new("10 handlers", |_| with_handlers::<S>(10)),
            Self::new("50 handlers", |_| with_handlers::<S>(50)),
            Self::posting("posted", |_| {
                let handler = Handler::trusted(|args: &Args| {
                    black_box(add_one(args));
                });
                let event = &S::events().told;
                let told = Told::<S> { id: event.install(handler.posted(QUEUE))?, of: PhantomData };
                Ok(Box::new(move |times| told.raise(times)))
            }),
            Self::long("install and remove", |stage| {
                let installed = Installed::<S>::trusted(10)?;
                let others = stage.meanwhile(|_| raise(&S::events().bare, BATCH));
                let both = (others, installed);
                Ok(Box::new(move |times| {
                    // The whole of it, so that the closure keeps it.
                    let (_, installed) = &both;
                    (0..times).for_each(|_| installed.come_and_go());
                }))
            }),
            Self::long("install and remove drained", |stage| {
                let installed = Installed::<S>::trusted(10)?;
                let others = stage.meanwhile(|_| raise(&S::events().bare, BATCH));
                let both = (others, installed);
                Ok(Box::new(move |times| {
                    let (_, installed) = &both;
                    (0..times).for_each(|_| installed.come_and_go_drained());
                }))
            }),
        ]
        .into()
    }

    /// Those of the cases that many cores run at once.
    #[must_use]
    pub fn parallel() -> Vec<Self> {
        let names = ["loop", "call", "intrinsic", "trusted", "foreign", "10 handlers"];
        Self::all().into_iter().filter(|case| names.contains(&case.name)).collect()
    }
}

/// The loop of every case: `body` is given arguments that the compiler knows nothing of, and its result
/// is used in a way that the compiler knows nothing of.
#[inline(always)]
pub fn repeat<R>(times: u64, body: impl Fn(&Args) -> R) {
    let args = black_box(&Args { key: 1, number: 1 });
    for _ in 0..times {
        black_box(body(args));
    }
}

/// The loop of every case that raises. A raiser must look whether there was an answer, so that is in it.
#[inline(always)]
fn raise<P: Processor>(event: &'static Tried<P>, times: u64) {
    let args = black_box(&Args { key: 1, number: 1 });
    for _ in 0..times {
        // No closure: the compiler might make it a procedure of its own, and the call of that would count.
        black_box(match event.raise(args) {
            Ok(answer) => answer,
            Err(_) => unanswered(),
        });
    }
}

/// What comes of a raise without an answer, which no case makes: out of the loop's way.
#[cold]
#[inline(never)]
pub fn unanswered() -> u64 {
    black_box(0)
}

fn with_keys<S: Stage>(count: u64) -> Result<Ready, InstallError> {
    let installed = Installed::<S>::keyed(count)?;
    Ok(Box::new(move |times| installed.raise(times)))
}

/// Arguments whose keys are drawn from 1 to `count`, the same in each run (xorshift64*).
fn at_random(count: u64) -> Vec<Args> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    };
    (0..TABLE).map(|_| Args { key: draw() % count + 1, number: 1 }).collect()
}

fn with_handlers<S: Stage>(count: usize) -> Result<Ready, InstallError> {
    let installed = Installed::<S>::trusted(count)?;
    Ok(Box::new(move |times| installed.raise(times)))
}

/// Room for a batch and more.
const QUEUE: Posting = Posting { place: Place::Here, capacity: 2 * BATCH as usize, on_full: OnFull::Refuse };

/// An asynchronous handler, which goes when this is dropped.
struct Told<S: Stage> {
    id: BindingId,
    of: PhantomData<fn() -> S>,
}

impl<S: Stage> Told<S> {
    fn raise(&self, times: u64) {
        let args = black_box(&Args { key: 1, number: 1 });
        for _ in 0..times {
            if S::events().told.raise(args).is_err() {
                unanswered();
            }
        }
    }
}

impl<S: Stage> Drop for Told<S> {
    fn drop(&mut self) {
        S::events().told.remove(self.id).expect("nobody else knows the binding");
    }
}

/// Bindings on the bare event that go when this is dropped.
struct Installed<S: Stage> {
    ids: Vec<BindingId>,
    of: PhantomData<fn() -> S>,
}

impl<S: Stage> Installed<S> {
    fn trusted(count: usize) -> Result<Self, InstallError> {
        let mut installed = Self { ids: Vec::new(), of: PhantomData };
        for _ in 0..count {
            installed.ids.push(S::events().bare.install(Handler::trusted(add_one))?);
        }
        Ok(installed)
    }

    /// So many handlers behind different keys, from 1 on.
    fn keyed(count: u64) -> Result<Self, InstallError> {
        let mut all = Transaction::new();
        for value in 1..=count {
            all = all.install(&S::events().bare, Handler::trusted(add_one).key(key!(Args, key), value));
        }
        Ok(Self { of: PhantomData, ids: all.commit().map_err(|failure| failure.why)? })
    }

    fn raise(&self, times: u64) {
        raise(&S::events().bare, times);
    }

    /// As [`raise`](Self::raise), with the arguments of the table in turn.
    fn raise_from(&self, table: &[Args], times: u64) {
        let table = black_box(table);
        for args in table.iter().cycle().take(times as usize) {
            black_box(match S::events().bare.raise(args) {
                Ok(answer) => answer,
                Err(_) => unanswered(),
            });
        }
    }

    /// One installation and its removal *now*.
    fn come_and_go(&self) {
        let id = S::events().bare.install(Handler::trusted(add_one)).expect("there is room for one more");
        S::events().bare.remove(id).expect("nobody else knows the binding");
    }

    /// One installation and its removal when nobody runs it any more.
    fn come_and_go_drained(&self) {
        let id = S::events().bare.install(Handler::trusted(add_one)).expect("there is room for one more");
        S::events().bare.remove_drained(id).expect("nobody else knows the binding, and it may block");
    }
}

impl<S: Stage> Drop for Installed<S> {
    fn drop(&mut self) {
        // In one step: each by itself would build as many plans.
        let all = Transaction::new();
        let all = self.ids.drain(..).fold(all, |all, id| all.remove(&S::events().bare, id));
        all.commit().expect("nobody else knows the bindings");
    }
}
