//! A domain's strands: who there is, how many there may be, and how they end.
//!
//! The domain's code runs on them from their base up, so that no epoch keeps it: the ledger does. Its memory
//! goes only when the ledger is empty (see [`retire`](super::retire)), and a strand leaves the ledger when it
//! will never run the domain's code again.
//!
//! Each strand has an entry, which is attached to it. Entries stand in parts, one for some of the cores each,
//! so that cores which make strands of one domain at once do not meet.

use alloc::{sync::Arc, vec::Vec};
use core::{
    mem,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use dispatcher::{Code, DomainState, Passage, Processor};
use sched::{Builder, CoreSet, Machine, Priority};
use spindle::Error;

use crate::strands::{self, Cpu, Package, SpawnError, Strand};

/// The most strands that a domain has at a time.
pub const MOST_STRANDS: usize = 1_024;
/// The parts of a ledger.
const PARTS: usize = 8;
/// Room that a part begins with; it doubles.
const FIRST_ROOM: usize = 16;

/// The strands of one domain.
pub struct Ledger {
    domain: Arc<DomainState>,
    /// Strands that have not ended, and such as are being made.
    count: AtomicUsize,
    /// No new ones, and the waits of those that there are are over.
    is_closed: AtomicBool,
    parts: [Part; PARTS],
}

/// Leaves among locks, taken with interrupts masked; on a cache line of its own.
#[repr(align(64))]
struct Part(spin::Mutex<Places>);

struct Places {
    entries: Vec<Option<Arc<Entry>>>,
    free: Vec<usize>,
}

/// One strand in its domain's ledger.
pub struct Entry {
    ledger: Arc<Ledger>,
    part: usize,
    /// Its place in that part.
    place: AtomicUsize,
    /// The word by which spindles name it, once it has begun.
    name: AtomicU64,
    /// It was asked to end: its waits are over.
    is_terminated: AtomicBool,
    /// The domains whose code has asked for its name when it ran there: bit *n* is for all whose number is *n*
    /// modulo 64.
    visited: AtomicU64,
    life: spin::Mutex<Life>,
}

/// How it is with a strand.
struct Life {
    stage: Stage,
    /// Who waits for its end.
    joiner: Option<Arc<Strand>>,
}

enum Stage {
    /// It has had no turn yet.
    New,
    Begun(Arc<Strand>),
    /// No code of its domain runs on it any more.
    Ended,
}

/// What a spindle's strand shall be like.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub priority: Priority,
    pub cores: CoreSet,
    pub package: Option<Arc<Package>>,
    pub code: Code,
    pub closure: *const (),
}

/// The code and the closure, on the way to their strand.
struct Body {
    code: Code,
    closure: *const (),
}

// SAFETY: by the contract of `spawn` the closure may be used on any strand, and it is used by one.
unsafe impl Send for Body {}

impl Ledger {
    /// Of a domain without strands.
    pub fn new(domain: Arc<DomainState>) -> Arc<Self> {
        let part = |_| Part(spin::Mutex::new(Places { entries: Vec::new(), free: Vec::new() }));
        Arc::new(Self {
            domain,
            count: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            parts: core::array::from_fn(part),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        // Acquire: pairs with the Release of `leave`, so that whoever reads zero sees all that they did.
        self.count.load(Ordering::SeqCst)
    }

    /// Makes a strand that runs `wanted.code`, and returns its name.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if there are [`MOST_STRANDS`], or the directory is full; [`Error::OutOfMemory`];
    /// [`Error::Closed`]; [`Error::BadArgument`] if none of the cores exists.
    ///
    /// # Safety
    ///
    /// The code is the domain's and callable with this closure, once, on any strand.
    pub unsafe fn spawn(self: &Arc<Self>, wanted: Wanted<'_>) -> Result<u64, Error> {
        let entry = self.enter()?;
        let builder = Builder::new(wanted.name)
            .priority(wanted.priority)
            .affinity(wanted.cores)
            .domain(self.domain.clone())
            .named()
            .attach(entry.clone());
        let (own, body) = (Own(entry.clone()), Body { code: wanted.code, closure: wanted.closure });
        let begin = move || run(&own, body);
        let spawned = match &wanted.package {
            Some(package) => strands::spawn_managed(package, builder, begin),
            None => strands::spawn(builder, begin),
        };
        match spawned {
            Ok(handle) => {
                // If it has lost its name it has ended, and had noted it before.
                let name = handle.strand().handle();
                Ok(name.unwrap_or_else(|| entry.name.load(Ordering::Relaxed)))
            }
            Err(SpawnError::Stack(_)) => Err(Error::OutOfMemory),
            Err(SpawnError::Scheduler(sched::SpawnError::NoSuchCore)) => Err(Error::BadArgument),
            Err(SpawnError::Scheduler(_)) => Err(Error::Limit),
        }
    }

    /// Counts and enters one more.
    fn enter(self: &Arc<Self>) -> Result<Arc<Entry>, Error> {
        // SeqCst, and so in `close` and `count`: either this finds it closed, or whoever waits after closing
        // it finds this one counted.
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let part = Cpu::masked(Cpu::core_id) % PARTS;
        let entered = match count {
            _ if self.is_closed.load(Ordering::SeqCst) => Err(Error::Closed),
            MOST_STRANDS.. => Err(Error::Limit),
            _ => Entry::new(self.clone(), part),
        };
        entered.inspect_err(|_| _ = self.count.fetch_sub(1, Ordering::SeqCst))
    }

    /// Lets no new strand in, ends the waits of those that there are, and wakes them: again each time.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        for part in &self.parts {
            let mut place = 0;
            // One at a time, since they are woken outside of the lock. Who comes after this finds it closed.
            while let Some(entry) = part.with(|places| places.entries.get(place).cloned()) {
                if let Some(entry) = entry {
                    entry.wake();
                }
                place += 1;
            }
        }
        // Whom a thread package keeps could wait there for ever.
        Cpu::scheduler().directory().for_each(|strand| {
            if Entry::of(strand).is_some_and(|entry| entry.is_of(self.domain.id())) {
                sched::package::release(strand);
            }
        });
    }
}

impl Part {
    fn with<T>(&self, body: impl FnOnce(&mut Places) -> T) -> T {
        Cpu::masked(|| body(&mut self.0.lock()))
    }

    /// Finds a place for `entry`, and makes room if there is none.
    fn put(&self, entry: &Arc<Entry>) -> Result<(), Error> {
        loop {
            let full = self.with(|places| {
                let Some(place) = places.free.pop() else { return Some(places.entries.len()) };
                entry.place.store(place, Ordering::Relaxed);
                places.entries[place] = Some(entry.clone());
                None
            });
            let Some(room) = full else { return Ok(()) };
            // Memory is taken outside of the lock, and what was before goes outside of it.
            let more = (2 * room).max(FIRST_ROOM);
            let mut wider = Places { entries: Vec::new(), free: Vec::new() };
            wider.entries.try_reserve_exact(more).map_err(|_| Error::OutOfMemory)?;
            wider.free.try_reserve_exact(more).map_err(|_| Error::OutOfMemory)?;
            self.with(|places| {
                if places.entries.len() == room {
                    wider.entries.append(&mut places.entries);
                    wider.entries.resize(more, None);
                    wider.free.append(&mut places.free);
                    wider.free.extend(room..more);
                    mem::swap(places, &mut wider);
                }
            });
        }
    }
}

impl Entry {
    fn new(ledger: Arc<Ledger>, part: usize) -> Result<Arc<Self>, Error> {
        let entry = Arc::new(Self {
            ledger,
            part,
            place: AtomicUsize::new(0),
            name: AtomicU64::new(0),
            is_terminated: AtomicBool::new(false),
            visited: AtomicU64::new(0),
            life: spin::Mutex::new(Life { stage: Stage::New, joiner: None }),
        });
        entry.ledger.parts[part].put(&entry).map(|()| entry)
    }

    /// That of a strand, if it is a spindle's.
    pub fn of(strand: &Strand) -> Option<&Self> {
        strand.attachment()?.downcast_ref()
    }

    /// Does it belong to that domain?
    pub fn is_of(&self, domain: u32) -> bool {
        self.ledger.domain.id() == domain
    }

    /// A domain whose code runs on the strand asks for its name.
    pub fn note_visit(&self, domain: u32) {
        self.visited.fetch_or(1 << (domain % 64), Ordering::Relaxed);
    }

    /// Has it been in that domain's code, and told its name there? Of 64 domains, one is taken for another.
    pub fn has_visited(&self, domain: u32) -> bool {
        self.visited.load(Ordering::Relaxed) >> (domain % 64) & 1 != 0
    }

    fn with<T>(&self, body: impl FnOnce(&mut Life) -> T) -> T {
        Cpu::masked(|| body(&mut self.life.lock()))
    }

    /// Are its waits over, since it was asked to end, or its domain is being retired?
    pub fn is_over(&self) -> bool {
        // Acquire, and in `wake` by way of the token: whoever is woken for this sees it.
        self.ledger.is_closed.load(Ordering::Acquire) || self.is_terminated.load(Ordering::Acquire)
    }

    /// Asks it to end: its waits are over, now and from now on. Unlike one that is terminated by
    /// [`sched::terminate()`], it begins nevertheless if it has not: its closure is dropped by its own code.
    pub fn terminate(&self) {
        self.is_terminated.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let strand = self.with(|life| match &life.stage {
            Stage::Begun(strand) => Some(strand.clone()),
            Stage::New | Stage::Ended => None,
        });
        if let Some(strand) = strand {
            sched::unblock(&strand);
        }
    }

    /// Whoever calls this wants to be woken when the strand has ended; true says that it has.
    ///
    /// # Errors
    ///
    /// [`Error::Context`] if somebody else waits for it.
    pub fn has_ended_or_calls(&self, joiner: &Arc<Strand>) -> Result<bool, Error> {
        let joiner = joiner.clone();
        self.with(|life| match (&life.stage, &life.joiner) {
            (Stage::Ended, _) => Ok((true, Some(joiner))),
            (_, Some(other)) if !Arc::ptr_eq(other, &joiner) => Err((Error::Context, joiner)),
            _ => Ok((false, life.joiner.replace(joiner))),
        })
        .map(|(has_ended, _old)| has_ended)
        .map_err(|(error, _own)| error)
    }

    /// Whoever waited does so no more.
    pub fn forget_joiner(&self, joiner: &Arc<Strand>) {
        let is_it = |own: &mut Arc<Strand>| Arc::ptr_eq(own, joiner);
        drop(self.with(|life| life.joiner.take_if(is_it)));
    }

    fn begin(&self, strand: Arc<Strand>) {
        // Relaxed: see `spawn`.
        self.name.store(strand.handle().unwrap_or_default(), Ordering::Relaxed);
        self.with(|life| life.stage = Stage::Begun(strand));
    }

    /// The strand runs no code of its domain any more, or was never made.
    fn leave(&self) {
        let places = &self.ledger.parts[self.part];
        let own = places.with(|places| {
            let place = self.place.load(Ordering::Relaxed);
            places.free.push(place);
            places.entries[place].take()
        });
        // Before anybody learns of it, who may want to make another.
        self.ledger.count.fetch_sub(1, Ordering::SeqCst);
        let (stage, joiner) =
            self.with(|life| (mem::replace(&mut life.stage, Stage::Ended), life.joiner.take()));
        if let Some(joiner) = joiner {
            sched::unblock(&joiner);
        }
        drop((own, stage));
    }
}

/// A strand's own hold on its entry: goes when it runs no code of its domain any more, or was never made, or
/// was terminated by hand before it began. What its closure kept goes with the domain then.
struct Own(Arc<Entry>);

impl Drop for Own {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// All that such a strand does.
fn run(own: &Own, body: Body) {
    let entry = &own.0;
    entry.begin(sched::current::<Cpu>());
    // SAFETY: by the contract of `spawn`; the ledger keeps the domain until `leave`.
    let entered = unsafe {
        dispatcher::enter::<Cpu>(
            Passage::Base,
            &entry.ledger.domain,
            body.code,
            body.closure,
            core::ptr::null(),
            core::ptr::null_mut(),
        )
    };
    // Cut, or closed before it began: the domain is being retired, and whoever retires it says why.
    let _ = entered;
}
