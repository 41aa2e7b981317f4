//! Strands that are threads, for tests: blocked and called as `sched` does it, with loans that are counted.

use std::{
    cell::RefCell,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use waiting::{Lending, Strands};

/// A thread's strand.
pub struct Strand {
    word: Mutex<Word>,
    changed: Condvar,
    is_terminated: AtomicBool,
    pub lending: Lending<Threads>,
    own: u8,
    loans: Mutex<Vec<u8>>,
    /// How often it was called, and how often it blocked.
    pub calls: AtomicUsize,
    pub blocks: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    None,
    Called,
    Parked,
    /// Was parked, and called; not resumed yet.
    Granted,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Strand {
    pub fn new(own: u8) -> Arc<Self> {
        Arc::new(Self {
            word: Mutex::new(Word::None),
            changed: Condvar::new(),
            is_terminated: AtomicBool::new(false),
            lending: Lending::new(),
            own,
            loans: Mutex::default(),
            calls: AtomicUsize::new(0),
            blocks: AtomicUsize::new(0),
        })
    }

    /// Is it blocked?
    pub fn is_parked(&self) -> bool {
        *lock(&self.word) == Word::Parked
    }

    /// What counts: its own urgency, or the highest that is lent.
    pub fn urgency(&self) -> u8 {
        lock(&self.loans).iter().copied().fold(self.own, u8::max)
    }

    /// How much is lent to it.
    pub fn loans(&self) -> usize {
        lock(&self.loans).len()
    }

    /// It shall end.
    pub fn terminate(self: &Arc<Self>) {
        self.is_terminated.store(true, Ordering::Release);
        call_up(self);
    }
}

/// Calls a strand for no reason that a primitive knows.
pub fn call_up(strand: &Arc<Strand>) {
    if Threads::call(strand) {
        Threads::resume(strand.clone());
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Strand>>> = const { RefCell::new(None) };
}

/// Runs a thread as a new strand of that urgency.
pub fn spawn<T: Send + 'static>(
    urgency: u8,
    body: impl FnOnce() -> T + Send + 'static,
) -> (Arc<Strand>, thread::JoinHandle<T>) {
    let strand = Strand::new(urgency);
    let own = strand.clone();
    let thread = thread::spawn(move || {
        CURRENT.set(Some(own));
        body()
    });
    (strand, thread)
}

/// What a strand of [`run_all`] does.
pub type Body<T> = Box<dyn FnOnce() -> T + Send>;

pub fn body<T>(body: impl FnOnce() -> T + Send + 'static) -> Body<T> {
    Box::new(body)
}

/// Runs all as strands, and waits for them.
pub fn run_all<T: Send + 'static>(bodies: impl IntoIterator<Item = Body<T>>) -> Vec<T> {
    let threads: Vec<_> = bodies.into_iter().map(|body| spawn(0, body).1).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Waits until `holds`, which must come to pass.
#[track_caller]
pub fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(120), "it never happened");
        thread::yield_now();
    }
}

/// Threads as strands.
pub struct Threads;

// SAFETY: what a strand lends is part of it, and an `Arc` keeps it where it is.
unsafe impl Strands for Threads {
    type Strand = Arc<Strand>;

    fn shielded<T>(body: impl FnOnce() -> T) -> T {
        body()
    }

    fn relax(_tries: u32) {
        thread::yield_now();
    }

    fn current() -> Arc<Strand> {
        CURRENT.with_borrow_mut(|current| current.get_or_insert_with(|| Strand::new(0)).clone())
    }

    fn is_same(one: &Arc<Strand>, other: &Arc<Strand>) -> bool {
        Arc::ptr_eq(one, other)
    }

    fn block() {
        Self::block_until(u64::MAX);
    }

    fn block_until(deadline_ns: u64) {
        let this = Self::current();
        this.blocks.fetch_add(1, Ordering::Relaxed);
        let mut word = lock(&this.word);
        if *word == Word::Called {
            *word = Word::None;
            return;
        }
        *word = Word::Parked;
        while *word != Word::None {
            let left = deadline_ns.saturating_sub(Self::now_ns());
            if deadline_ns == u64::MAX || *word == Word::Granted {
                word = this.changed.wait(word).unwrap_or_else(PoisonError::into_inner);
            } else if left == 0 {
                *word = Word::None;
            } else {
                let waited = this.changed.wait_timeout(word, Duration::from_nanos(left));
                word = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn call(strand: &Arc<Strand>) -> bool {
        strand.calls.fetch_add(1, Ordering::Relaxed);
        let mut word = lock(&strand.word);
        let is_parked = *word == Word::Parked;
        *word = match *word {
            Word::Parked | Word::Granted => Word::Granted,
            Word::None | Word::Called => Word::Called,
        };
        is_parked
    }

    fn resume(strand: Arc<Strand>) {
        *lock(&strand.word) = Word::None;
        strand.changed.notify_one();
    }

    fn now_ns() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos().try_into().unwrap()
    }

    fn is_terminated() -> bool {
        Self::current().is_terminated.load(Ordering::Acquire)
    }

    fn lending(strand: &Arc<Strand>) -> Option<&Lending<Self>> {
        Some(&strand.lending)
    }

    fn urgency(strand: &Arc<Strand>) -> u8 {
        strand.urgency()
    }

    fn own_urgency(strand: &Arc<Strand>) -> u8 {
        strand.own
    }

    fn lend(strand: &Arc<Strand>, urgency: u8) {
        lock(&strand.loans).push(urgency);
    }

    fn take_back(strand: &Arc<Strand>, urgency: u8) {
        let mut loans = lock(&strand.loans);
        let place = loans.iter().position(|lent| *lent == urgency);
        loans.remove(place.expect("what is taken back was lent"));
    }
}
