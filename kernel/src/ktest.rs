//! The harness for tests inside the booted kernel.
//!
//! A test is a function with the attribute `#[ktest]`. Each runs on a strand of its own, behind a
//! landing: a panic in it is cut there, fails this test, and the next one runs. A panic anywhere else
//! is the kernel's own and ends the machine. A test that leaves a frame or a byte of the heap behind
//! fails, too.

use alloc::{sync::Arc, vec::Vec};
use core::{
    panic::PanicInfo,
    ptr, slice,
    sync::atomic::{AtomicBool, Ordering},
};

use ::memory::PAGE_SIZE;
use dispatcher::{Border, DomainState, Passage, Processor, landing};
use sched::{Builder, CoreSet, Machine, State};
use spin::LazyLock;

pub use ::ktest::ktest;

use crate::{
    exit, memory, println,
    strands::{self, Cpu, Handle, housekeeper},
};

/// A test, as the attribute leaves it in the section `ktests`.
pub struct Test {
    /// Where it stands: `kernel::memory::tests::frames_return`.
    pub name: &'static str,
    /// The test: panics if it fails.
    pub run: fn(),
}

/// What makes a panic a test's own: borders of this domain are left by a cut.
static TESTS: LazyLock<Arc<DomainState>> = LazyLock::new(|| Arc::new(DomainState::new(u32::MAX)));

/// Something in the present test has panicked.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// How long a test waits for what must happen soon: virtual cores may wait long for a real one.
const LONGEST_WAIT_NS: u64 = 20_000_000_000;

/// How many strands can be named on each core before the directory grows, which it does for good.
const NAMES: usize = 2_048;

/// What the names of tests contain that measure time, and mean something only where an instruction takes a
/// nanosecond: run if the filter names them, on a machine that counts instructions.
const VIRTUAL: &str = "in_virtual_time";

/// Runs every test whose name contains `filter`, or each of its parts between `+`, one after the other, and
/// ends the machine.
pub fn run(filter: &str) -> ! {
    crate::panic::set_interceptor(intercept);
    // Made now, or the first test would be blamed for its memory.
    LazyLock::force(&TESTS);
    for core in 0..core_count() {
        Cpu::scheduler().directory().reserve(core, NAMES);
    }
    let is_virtual = filter.contains(VIRTUAL);
    let is_wanted = |test: &&Test| {
        let name = short(test.name);
        filter.split('+').all(|part| name.contains(part)) && name.contains(VIRTUAL) == is_virtual
    };
    let mut tests: Vec<&Test> = all().iter().filter(is_wanted).collect();
    tests.sort_unstable_by_key(|test| test.name);
    let (mut passed, mut failed) = (0, 0);
    for test in tests {
        let name = short(test.name);
        HAS_FAILED.store(false, Ordering::Relaxed);
        let before = Level::settled();
        let (runner, body) = (sched::current::<Cpu>(), test.run);
        let begin_and_run = move || {
            // Once it waits for the test it takes and frees no memory any more, so that the test can count.
            wait_until("the harness waits", || runner.state() == State::Blocked);
            drop(runner);
            body();
        };
        guarded(Builder::new("test"), begin_and_run).join();
        let after = Level::settled();
        // What a test held when it was cut is lost, so only one that went well can be asked for it.
        if before != after && !HAS_FAILED.swap(true, Ordering::Acquire) {
            println!("something did not come back: {before:?} before, {after:?} after");
        }
        if HAS_FAILED.load(Ordering::Acquire) {
            println!("test {name} ... FAILED");
            failed += 1;
        } else {
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    let is_good = failed == 0 && passed > 0;
    exit::exit(if is_good { exit::Code::Success } else { exit::Code::Failure })
}

/// What is in use; equal before and after whatever came and went.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// Frames that are free.
    pub free_frames: usize,
    /// Bytes of the kernel's heap that are in use.
    pub heap_bytes: usize,
    /// Stacks that exist.
    pub stacks: usize,
    /// Participants of the epoch that are not in the pool.
    pub participants: usize,
    /// How many there are at all.
    pub pool: usize,
    /// The bytes of the directory of strands.
    pub directory: usize,
}

/// More than a participant takes of the heap.
const PARTICIPANT_BYTES: usize = 4_096;

/// The pool and the directory keep what they grow by, on purpose: so much more may be in use.
impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        let pool = self.pool.abs_diff(other.pool) * PARTICIPANT_BYTES;
        let kept = pool + self.directory.abs_diff(other.directory) * 2;
        self.free_frames.abs_diff(other.free_frames) <= kept.div_ceil(PAGE_SIZE)
            && self.heap_bytes.abs_diff(other.heap_bytes) <= kept
            && (self.stacks, self.participants) == (other.stacks, other.participants)
    }
}

impl Level {
    /// The level when all that was retired is gone. On a strand, outside of borders.
    pub fn settled() -> Self {
        housekeeper::settle();
        memory::drain();
        let stats = memory::stats();
        let (pool, free) = strands::participants();
        Self {
            free_frames: stats.frames.free,
            heap_bytes: stats.heap.in_use,
            stacks: stats.stacks,
            participants: pool - free,
            pool,
            directory: Cpu::scheduler().directory().bytes(),
        }
    }
}

/// Runs `body`, given the core's number, at once on every core, and waits for all.
pub fn everywhere(body: impl Fn(usize) + Send + Sync + 'static) {
    let body = Arc::new(body);
    let on_core = |core: usize| {
        let body = body.clone();
        guarded(on(core), move || body(core))
    };
    let strands: Vec<_> = (0..core_count()).map(on_core).collect();
    strands.into_iter().for_each(Handle::join);
}

/// How many cores there are; their numbers begin with 0.
pub fn core_count() -> usize {
    Cpu::scheduler().core_count()
}

/// A test's strand that stays on core `core`.
pub fn on(core: usize) -> Builder {
    Builder::new("test").affinity(CoreSet::only(core))
}

/// Sleeps until `holds`, which must come within a time that even a crowded machine keeps.
#[track_caller]
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Cpu::now_ns() + LONGEST_WAIT_NS;
    while !holds() {
        assert!(Cpu::now_ns() < deadline, "waited in vain until {what}");
        sched::sleep_ns::<Cpu>(100_000);
    }
}

/// Numbers that look random, the same for each seed (Marsaglia's xorshift).
pub struct Random(u64);

impl Random {
    /// The numbers of that seed.
    pub fn new(seed: usize) -> Self {
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed as u64 + 1))
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next one below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }
}

/// A strand whose panics fail the present test and nothing else.
pub fn guarded(builder: Builder, body: impl FnOnce() + Send + 'static) -> Handle {
    strands::spawn(builder, move || {
        let mut body = Some(body);
        // SAFETY: `call_once` takes a pointer to an optional closure of this type. The code is the
        // kernel's own, which never goes.
        let entered = unsafe {
            dispatcher::enter::<Cpu>(
                Passage::Base,
                &TESTS,
                call_once(&body),
                ptr::from_mut(&mut body).cast_const().cast(),
                ptr::null(),
                ptr::null_mut(),
            )
        };
        if entered.is_err() {
            HAS_FAILED.store(true, Ordering::Release);
        }
    })
    .expect("there is memory for a test's strand")
}

/// The code that takes the closure out of `body` and calls it.
fn call_once<F: FnOnce()>(_: &Option<F>) -> dispatcher::Code {
    /// # Safety
    ///
    /// `body` points to an `Option<F>` that nobody else uses.
    unsafe extern "C" fn call<F: FnOnce()>(body: *const (), _: *const (), _: *mut ()) {
        // SAFETY: by the contract.
        let body = unsafe { &mut *body.cast_mut().cast::<Option<F>>() };
        body.take().expect("called once")();
    }
    call::<F>
}

/// Cuts a panicking test at its landing. What it held is lost, as with every cut.
fn intercept(info: &PanicInfo<'_>) {
    // SAFETY: the running strand's own borders.
    let borders = unsafe { dispatcher::border::outwards(Cpu::top()) };
    let own = |border: &&Border| {
        border.landing_stack().is_some() && border.domain().is_some_and(|domain| domain.id() == TESTS.id())
    };
    let Some(border) = borders.filter(own).last() else { return };
    println!("{info}");
    crate::backtrace::print_here();
    // A test may panic where it must not be preempted, or where interrupts are masked; the next strand
    // on this core must not inherit that.
    crate::cores::words::forget_preemption_holds();
    x86_64::instructions::interrupts::enable();
    Cpu::set_top(ptr::from_ref(border).cast_mut());
    // SAFETY: its landing is in progress, and by the line above it is the innermost border. What the
    // frames above hold is lost, which a failed test is allowed to do.
    unsafe { landing::cut(ptr::from_ref(border).cast_mut()) }
}

/// Without the crate's name.
fn short(name: &'static str) -> &'static str {
    name.split_once("::").map_or(name, |(_, rest)| rest)
}

fn all() -> &'static [Test] {
    // Set by the linker script around the section.
    unsafe extern "C" {
        static __ktests_start: u8;
        static __ktests_end: u8;
    }
    let start = (&raw const __ktests_start).cast::<Test>();
    let end = (&raw const __ktests_end).cast::<Test>();
    // SAFETY: both lie at the ends of the section, which holds nothing but `Test`s.
    let count = unsafe { end.offset_from(start) };
    // SAFETY: as above, and nobody writes there.
    unsafe { slice::from_raw_parts(start, count as usize) }
}
