//! What a raise costs on this host: the cases of `stress::bench` on threads that are cores, under
//! criterion; and what two threads that raise at once lose against two that do nothing.
//!
//! `cargo xtask bench dispatch` runs it and reads criterion's samples, and the lines of JSON that
//! stand for what needs a way of measuring of its own.

use std::{
    hint::black_box,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use criterion::Criterion;
use dispatcher::{
    BindingId, DomainState, InstallError,
    handler::RawHandler,
    host::{self, Host, World},
};
use stress::bench::{
    Args, Case, Events, Samples, Stage,
    cases::Ready,
    stage::{Meanwhile, Tried, add_one},
};

/// This host: threads that are cores of one world.
struct Threads {
    world: &'static World,
}

static EVENTS: Events<Host> = Events::new();

impl Stage for Threads {
    type Processor = Host;

    #[inline]
    fn events() -> &'static Events<Host> {
        &EVENTS
    }

    fn install_foreign(&self, event: &'static Tried<Host>) -> Result<BindingId, InstallError> {
        let domain = Arc::new(DomainState::new(1));
        // SAFETY: the code is this program's, and looks at no closure; it takes an `Args` and gives a
        // `u64`, as the event does.
        let handler = unsafe { RawHandler::foreign(add_one_as_code, std::ptr::null(), domain) };
        // SAFETY: as above.
        unsafe { event.install_raw(handler) }
    }

    fn meanwhile(&'static self, body: fn(&'static Self)) -> Meanwhile {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        // One: what measures has the other of the two cores that a small host has.
        let thread = thread::spawn(move || {
            let _core = self.world.attach();
            while !over.load(Ordering::Relaxed) {
                body(self);
                host::poll();
            }
        });
        Box::new(Other { thread: Some(thread), is_over })
    }

    fn rest(&self) {
        host::deliver_posts();
    }

    fn settle(&self) {
        self.world.drain();
    }
}

/// A thread that goes on until this is dropped.
struct Other {
    thread: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Other {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().expect("it is dropped once").join().expect("it does not panic");
    }
}

/// `add_one` as a domain's glue would have it.
///
/// # Safety
///
/// `args` points to an `Args`, `result` to room for a `u64`.
unsafe extern "C" fn add_one_as_code(_closure: *const (), args: *const (), result: *mut ()) {
    // SAFETY: by the contract.
    let args = unsafe { &*args.cast::<Args>() };
    // SAFETY: by the contract.
    unsafe { result.cast::<u64>().write(add_one(args)) }
}

fn main() {
    let threads: &'static Threads = Box::leak(Box::new(Threads { world: World::new() }));
    let _core = threads.world.attach();
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let is_measuring = std::env::args().any(|word| word == "--bench");
    let call = make(threads, "call");
    let mut group = criterion.benchmark_group("dispatch");
    for case in Case::<Threads>::all() {
        let ready = case.make(threads).expect("there is room for all handlers");
        // The call by which it is measured is timed beside each of its samples: what else this host
        // does meets both.
        let mut beside = Vec::new();
        group.bench_function(case.name, |bencher| {
            bencher.iter_custom(|times| {
                if case.is_short() {
                    beside.push(span(&call, times).as_nanos() as u64 * 1000 / times);
                }
                let mut time = Duration::ZERO;
                let mut left = times;
                while left > 0 {
                    let now = if case.leaves_posts { left.min(case.batch) } else { left };
                    time += span(&ready, now);
                    left -= now;
                    if case.leaves_posts {
                        threads.rest();
                    }
                }
                host::poll();
                threads.world.keep_trying(4);
                time
            });
        });
        if is_measuring && case.is_short() {
            // Those before the samples were for warming up.
            let thousandths = beside.split_off(beside.len().saturating_sub(SAMPLES));
            show(&Samples { case: leak(format!("call, beside {}", case.name)), cores: 1, thousandths });
        }
        drop(ready);
        threads.settle();
    }
    group.finish();
    criterion.final_summary();
    if is_measuring {
        side_by_side(threads);
    }
}

fn make(threads: &'static Threads, name: &str) -> Ready {
    let case = Case::<Threads>::all().into_iter().find(|case| case.name == name);
    case.expect("it is in the list").make(threads).expect("there is room")
}

fn span(ready: &Ready, times: u64) -> Duration {
    let begun = Instant::now();
    ready(black_box(times));
    begun.elapsed()
}

fn show(samples: &Samples) {
    println!("{samples}");
}

/// For the few names that are made up while this runs.
fn leak(name: String) -> &'static str {
    Box::leak(name.into_boxed_str())
}

/// Samples that criterion takes of each case.
const SAMPLES: usize = 100;
/// Rounds of the comparison of one thread with two.
const ROUNDS: usize = 151;
/// How long each of a round's four parts takes, about.
const PART: Duration = Duration::from_millis(2);

/// One thread and two, an empty loop and raises, in turn, so that what else the host does meets all
/// four.
fn side_by_side(threads: &'static Threads) {
    let workers = [Worker::start(threads), Worker::start(threads)];
    let empty = Arc::new(make(threads, "loop"));
    let empty_times = calibrate(&empty);
    for name in ["intrinsic", "trusted", "foreign"] {
        let ready = Arc::new(make(threads, name));
        let times = calibrate(&ready);
        let mut parts = [
            (format!("loop, beside {name}"), 1, empty_times, &empty, Vec::new()),
            (format!("loop, beside {name}"), 2, empty_times, &empty, Vec::new()),
            (format!("{name}, side by side"), 1, times, &ready, Vec::new()),
            (format!("{name}, side by side"), 2, times, &ready, Vec::new()),
        ];
        for _ in 0..ROUNDS {
            for (_, cores, times, ready, samples) in &mut parts {
                samples.push(at_once(&workers[..*cores], *times, ready));
            }
        }
        for (case, cores, _, _, thousandths) in parts {
            show(&Samples { case: leak(case), cores: cores as u32, thousandths });
        }
    }
}

/// How many times fill a part of a round.
fn calibrate(ready: &Ready) -> u64 {
    let mut times = 1000;
    loop {
        let time = span(ready, times);
        if time >= PART / 4 {
            return times * (PART.as_nanos() as u64) / (time.as_nanos() as u64).max(1);
        }
        times *= 2;
    }
}

/// A thread that is a core and does what it is sent.
struct Worker {
    orders: Sender<Order>,
    spans: Receiver<(Instant, Instant)>,
}

/// So many times this, once all that wait at the barrier are there.
type Order = (Arc<Ready>, u64, Arc<Barrier>);

impl Worker {
    fn start(threads: &'static Threads) -> Self {
        let (orders, received) = mpsc::channel::<Order>();
        let (done, spans) = mpsc::channel();
        thread::spawn(move || {
            let _core = threads.world.attach();
            for (ready, times, barrier) in received {
                barrier.wait();
                let begun = Instant::now();
                ready(times);
                // Nobody who sends an order leaves before it is done.
                let _ = done.send((begun, Instant::now()));
            }
        });
        Self { orders, spans }
    }
}

/// All of them do it so many times each: picoseconds for one time, from when the first begins until
/// the last is done.
fn at_once(workers: &[Worker], times: u64, ready: &Arc<Ready>) -> u64 {
    let barrier = Arc::new(Barrier::new(workers.len()));
    for worker in workers {
        worker.orders.send((ready.clone(), times, barrier.clone())).expect("the worker waits for orders");
    }
    let spans: Vec<_> =
        workers.iter().map(|worker| worker.spans.recv().expect("it does not panic")).collect();
    let begun = spans.iter().map(|(begun, _)| *begun).min().expect("there is one worker at least");
    let ended = spans.iter().map(|(_, ended)| *ended).max().expect("there is one worker at least");
    (ended - begun).as_nanos() as u64 * 1000 / times
}
