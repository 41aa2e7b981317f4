//! Asynchronous dispatch on threads: order, full queues, places, addressees that go, and no lost wake-up.

use std::{
    alloc::Layout,
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use dispatcher::{
    Processor,
    host::{self, Host, HostCore, World},
    post::{
        Addressee, BATCH, Counts, Full, MOST_ARGS, MOST_CAPACITY, Mailbox, MailboxError, OnFull, Place,
        Posted, Posting,
    },
};

/// So many, or fewer where each takes long.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 500 + 2 } else { count }
}

/// An addressee that takes `A` and calls a closure.
struct To<A, F> {
    handler: F,
    is_gone: AtomicBool,
    args: std::marker::PhantomData<fn(A)>,
}

impl<A: Copy + Send, F: Fn(A) + Send + Sync> Addressee for To<A, F> {
    unsafe fn deliver(&self, args: *mut ()) {
        // SAFETY: `mailbox` makes it for arguments of this type.
        (self.handler)(unsafe { args.cast::<A>().read() });
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

/// A mailbox, typed.
struct Box<A> {
    mailbox: Arc<Mailbox>,
    args: std::marker::PhantomData<fn(A)>,
}

impl<A> Clone for Box<A> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), args: self.args }
    }
}

impl<A: Copy + Send> Box<A> {
    fn post(&self, args: A) -> Result<Posted, Full> {
        // SAFETY: the mailbox was made for this type.
        unsafe { self.mailbox.post::<Host>(ptr::from_ref(&args).cast()) }
    }

    fn counts(&self) -> Counts {
        self.mailbox.counts()
    }
}

fn mailbox<A: Copy + Send + 'static, F: Fn(A) + Send + Sync + 'static>(
    posting: Posting,
    handler: F,
) -> (Arc<To<A, F>>, Box<A>) {
    let to = Arc::new(To { handler, is_gone: AtomicBool::new(false), args: Default::default() });
    let mailbox = Mailbox::new::<Host>(to.clone(), Layout::new::<A>(), posting).expect("there is memory");
    (to, Box { mailbox, args: Default::default() })
}

const fn here(capacity: usize) -> Posting {
    Posting { place: Place::Here, capacity, on_full: OnFull::Refuse }
}

const fn on(core: usize, capacity: usize) -> Posting {
    Posting { place: Place::Core(core), capacity, on_full: OnFull::Refuse }
}

/// A strand that is the worker of a core until it is told to stop.
struct Worker {
    core: usize,
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    fn start(core: HostCore) -> Self {
        let (id, is_over) = (core.id(), Arc::new(AtomicBool::new(false)));
        let flag = is_over.clone();
        let work = move || {
            let _core = core.attach();
            host::work_until(|| flag.load(Ordering::Acquire));
        };
        Self { core: id, is_over, thread: thread::spawn(work) }
    }

    /// By a thread that has a core.
    fn stop(self) {
        self.is_over.store(true, Ordering::Release);
        host::ring(self.core);
        self.thread.join().expect("the worker is well");
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 60, "waited in vain until {what}");
        thread::yield_now();
    }
}

#[test]
fn what_is_posted_is_delivered_later_and_in_order() {
    let _core = World::new().attach();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let (_, numbers) = mailbox(here(64), move |number: u32| log.lock().unwrap().push(number));
    assert_eq!(host::deliver_posts(), 0);
    for number in 0..50 {
        assert_eq!(numbers.post(number), Ok(Posted::Queued));
    }
    assert!(seen.lock().unwrap().is_empty() && !numbers.mailbox.is_quiet());
    assert_eq!(host::deliver_posts(), 50_usize.div_ceil(BATCH));
    assert_eq!(*seen.lock().unwrap(), (0..50).collect::<Vec<_>>());
    assert!(numbers.mailbox.is_quiet());
    assert_eq!(numbers.counts(), Counts { posted: 50, delivered: 50, ..Counts::default() });
}

#[test]
fn arguments_of_every_size_arrive_whole() {
    fn try_size<const SIZE: usize>() {
        let sum = Arc::new(AtomicUsize::new(0));
        let total = sum.clone();
        let (_, bytes) = mailbox(here(3), move |bytes: [u8; SIZE]| {
            assert!(bytes.iter().enumerate().all(|(index, byte)| *byte == (index * 7 + SIZE) as u8));
            total.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..3 {
            for _ in 0..4 {
                bytes.post(std::array::from_fn(|index| (index * 7 + SIZE) as u8)).unwrap();
            }
            host::deliver_posts();
        }
        assert_eq!(sum.load(Ordering::Relaxed), 12);
    }
    let _core = World::new().attach();
    try_size::<0>();
    try_size::<1>();
    try_size::<4>();
    try_size::<7>();
    try_size::<8>();
    try_size::<16>();
    try_size::<17>();
    try_size::<24>();
    try_size::<32>();
    try_size::<100>();
    try_size::<MOST_ARGS>();
}

#[test]
fn padding_and_alignment_are_kept() {
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(align(16))]
    struct Odd(u8, u64);
    let _core = World::new().attach();
    let (_, odd) = mailbox(here(2), |odd: Odd| assert_eq!(odd, Odd(3, 1 << 40)));
    odd.post(Odd(3, 1 << 40)).unwrap();
    host::deliver_posts();
    assert_eq!(odd.counts().delivered, 1);
}

#[test]
fn what_cannot_be_is_refused() {
    struct Nobody;
    impl Addressee for Nobody {
        unsafe fn deliver(&self, _args: *mut ()) {}
        fn is_gone(&self) -> bool {
            true
        }
    }
    let _core = World::new().attach();
    let make = |size, align, posting| {
        let layout = Layout::from_size_align(size, align).unwrap();
        Mailbox::new::<Host>(Arc::new(Nobody), layout, posting).map(|mailbox| mailbox.capacity())
    };
    assert_eq!(make(MOST_ARGS + 1, 1, here(1)), Err(MailboxError::Arguments));
    assert_eq!(make(32, 32, here(1)), Err(MailboxError::Arguments));
    assert_eq!(make(8, 8, here(0)), Err(MailboxError::Capacity));
    assert_eq!(make(8, 8, here(MOST_CAPACITY + 1)), Err(MailboxError::Capacity));
    assert_eq!(make(8, 8, on(1, 1)), Err(MailboxError::NoSuchCore));
    assert_eq!(make(8, 8, on(1 << 40, 1)), Err(MailboxError::NoSuchCore));
    assert_eq!(make(8, 8, on(0, 1)), Ok(1));
    assert_eq!(make(8, 8, here(5)), Ok(8));
}

#[test]
fn a_full_queue_is_an_error_or_a_count() {
    let _core = World::new().attach();
    for capacity in [1, 2, 8] {
        let (_, strict) = mailbox(here(capacity), |_: u64| ());
        let lax = Posting { on_full: OnFull::Drop, ..here(capacity) };
        let (_, lax) = mailbox(lax, |_: u64| ());
        for round in 1..4 {
            for number in 0..capacity as u64 {
                assert_eq!((strict.post(number), lax.post(number)), (Ok(Posted::Queued), Ok(Posted::Queued)));
            }
            assert_eq!((strict.post(0), strict.post(0)), (Err(Full), Err(Full)));
            assert_eq!((lax.post(0), lax.post(0)), (Ok(Posted::Dropped), Ok(Posted::Dropped)));
            host::deliver_posts();
            let posted = round * capacity;
            let counts = Counts { posted, delivered: posted, ..Counts::default() };
            assert_eq!(strict.counts(), Counts { refused: 2 * round, ..counts });
            assert_eq!(lax.counts(), Counts { dropped: 2 * round, ..counts });
        }
    }
}

#[test]
fn a_handler_can_post_to_itself() {
    let _core = World::new().attach();
    let own: Arc<Mutex<Option<Box<u32>>>> = Arc::default();
    let again = own.clone();
    // Room for one: what is being delivered has left the queue.
    let (_, countdown) = mailbox(here(1), move |number: u32| {
        if number > 0 {
            let own = again.lock().unwrap();
            assert_eq!(own.as_ref().map(|own| own.post(number - 1)), Some(Ok(Posted::Queued)));
        }
    });
    *own.lock().unwrap() = Some(countdown.clone());
    countdown.post(100).unwrap();
    host::deliver_posts();
    assert_eq!(countdown.counts().delivered, 101);
    *own.lock().unwrap() = None;
}

#[test]
fn mailboxes_take_turns() {
    let _core = World::new().attach();
    let order = Arc::new(Mutex::new(Vec::new()));
    let [busy, calm] = ["busy", "calm"].map(|name| {
        let order = order.clone();
        mailbox(here(256), move |_: u64| order.lock().unwrap().push(name)).1
    });
    (0..200).for_each(|number| assert!(busy.post(number).is_ok()));
    calm.post(0).unwrap();
    host::deliver_posts();
    let order = order.lock().unwrap();
    assert_eq!(order.iter().position(|name| *name == "calm"), Some(BATCH), "after the first batch");
}

#[test]
fn what_waits_for_one_who_is_gone_is_discarded() {
    let _core = World::new().attach();
    let (to, numbers) = mailbox(here(64), |_: u64| ());
    (0..10).for_each(|number| assert!(numbers.post(number).is_ok()));
    host::deliver_posts();
    (0..30).for_each(|number| assert!(numbers.post(number).is_ok()));
    to.is_gone.store(true, Ordering::Relaxed);
    host::deliver_posts();
    assert!(numbers.mailbox.is_quiet());
    assert_eq!(numbers.counts(), Counts { posted: 40, delivered: 10, discarded: 30, ..Counts::default() });
}

#[test]
fn a_mailbox_with_something_in_it_outlives_its_owner() {
    let _core = World::new().attach();
    let (to, numbers) = mailbox(here(4), |_: u64| ());
    numbers.post(1).unwrap();
    drop(numbers);
    assert_eq!(Arc::strong_count(&to), 2, "it is on an agenda");
    to.is_gone.store(true, Ordering::Relaxed);
    host::deliver_posts();
    assert_eq!(Arc::strong_count(&to), 1, "freed when its turn was over");
}

#[test]
fn who_goes_while_others_post_is_not_called_afterwards() {
    for _ in 0..rounds(200) {
        let world = World::new();
        let worker = Worker::start(world.core());
        let _core = world.attach();
        let (is_gone, late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (flag, count) = (is_gone.clone(), late.clone());
        let (to, numbers) = mailbox(on(0, 256), move |_: u64| {
            count.fetch_add(usize::from(flag.load(Ordering::Acquire)), Ordering::Relaxed);
        });
        let sent = (0..100).filter(|number| {
            if *number == 50 {
                to.is_gone.store(true, Ordering::Release);
                // One delivery may be under way, and see the flag below.
                is_gone.store(true, Ordering::Release);
            }
            numbers.post(*number).is_ok()
        });
        let sent = sent.count();
        wait_until("it is quiet", || numbers.mailbox.is_quiet());
        let counts = numbers.counts();
        assert_eq!((counts.posted, counts.delivered + counts.discarded), (sent, sent));
        assert!(late.load(Ordering::Relaxed) <= 1);
        worker.stop();
    }
}

/// Four raisers on as many cores, and one binding: what each posts is delivered in the order in which it
/// posted, one at a time, on the core that was named.
#[test]
fn order_holds_per_binding_under_four_raisers() {
    let (raisers, each) = (4, rounds(25_000));
    let world = World::new();
    let target = world.core();
    let worker = Worker::start(target);
    let next = Arc::new([const { AtomicUsize::new(0) }; 4]);
    let expected = next.clone();
    let is_inside = AtomicBool::new(false);
    let _core = world.attach();
    let (_, numbers) = mailbox(on(0, 64), move |(raiser, number): (usize, usize)| {
        assert!(!is_inside.swap(true, Ordering::Acquire), "two deliveries of one binding at once");
        assert_eq!(Host::core_id(), 0);
        assert_eq!(expected[raiser].swap(number + 1, Ordering::Relaxed), number, "out of order");
        is_inside.store(false, Ordering::Release);
    });
    let threads: Vec<_> = (0..raisers)
        .map(|raiser| {
            let (core, numbers) = (world.core(), numbers.clone());
            thread::spawn(move || {
                let _core = core.attach();
                for number in 0..each {
                    while numbers.post((raiser, number)) == Err(Full) {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("the raiser is well"));
    wait_until("all is delivered", || numbers.mailbox.is_quiet());
    assert!(next.iter().all(|next| next.load(Ordering::Relaxed) == each));
    let counts = numbers.counts();
    assert_eq!((counts.posted, counts.delivered), (raisers * each, raisers * each));
    worker.stop();
}

/// Each core posts to a binding that wants to run where it was raised.
#[test]
fn what_is_raised_here_is_run_here() {
    let each = rounds(5_000);
    let world = World::new();
    // The workers are threads of their own, so a raiser posts in the name of a core by being its worker:
    // each delivery posts the next.
    let workers: Vec<_> = (0..3).map(|_| Worker::start(world.core())).collect();
    let _core = world.attach();
    let wrong = Arc::new(AtomicUsize::new(0));
    let count = wrong.clone();
    let (_, shared) = mailbox(here(16), move |core: usize| {
        count.fetch_add(usize::from(core != Host::core_id()), Ordering::Relaxed);
    });
    let posts: Vec<_> = (0..3)
        .map(|core| {
            let (shared, own) = (shared.clone(), Arc::new(Mutex::new(None::<Box<usize>>)));
            let next = own.clone();
            let (_, chain) = mailbox(on(core, 1), move |left: usize| {
                // If it is full, this worker must go on to make room, and comes back.
                let left = left - usize::from(shared.post(Host::core_id()).is_ok());
                if left > 0 {
                    let next = next.lock().unwrap();
                    next.as_ref().expect("it is there").post(left).unwrap();
                }
            });
            *own.lock().unwrap() = Some(chain.clone());
            chain.post(each).unwrap();
            own
        })
        .collect();
    wait_until("all is delivered", || shared.counts().delivered == 3 * each);
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "delivered on another core");
    workers.into_iter().for_each(Worker::stop);
    posts.into_iter().for_each(|own| *own.lock().unwrap() = None);
}

/// The worker falls asleep all the time, and is woken each time.
#[test]
fn no_wake_up_is_lost() {
    let count = rounds(100_000);
    let world = World::new();
    let worker = Worker::start(world.core());
    let _core = world.attach();
    let done = Arc::new(AtomicUsize::new(0));
    let boxes: Vec<_> = (0..3)
        .map(|_| {
            let done = done.clone();
            mailbox(on(0, 2), move |_: usize| {
                done.fetch_add(1, Ordering::Release);
            })
            .1
        })
        .collect();
    let start = std::time::Instant::now();
    for number in 0..count {
        while boxes[number % 3].post(number) == Err(Full) {
            std::hint::spin_loop();
        }
        // Now and then the raiser waits until the last one is delivered: if its wake-up is lost, for ever.
        while number % 16 == 0 && done.load(Ordering::Acquire) <= number {
            assert!(start.elapsed().as_secs() < 100, "a wake-up was lost after {number} posts");
            thread::yield_now();
        }
    }
    wait_until("all is delivered", || done.load(Ordering::Acquire) == count);
    // The rest of the last turn.
    wait_until("they are quiet", || boxes.iter().all(|own| own.mailbox.is_quiet()));
    worker.stop();
    assert!(world.worker_summons(0) > 0);
}

/// Only a sleeping worker is summoned, and once.
#[test]
fn who_is_awake_is_not_summoned() {
    let world = World::new();
    let _core = world.attach();
    let (_, first) = mailbox(here(8), |_: u64| ());
    let (_, second) = mailbox(here(8), |_: u64| ());
    first.post(1).unwrap();
    assert_eq!(world.worker_summons(0), 0, "nobody watches");
    host::deliver_posts();
    assert!(dispatcher::post::watch::<Host>(0));
    first.post(1).unwrap();
    first.post(2).unwrap();
    second.post(1).unwrap();
    assert_eq!(world.worker_summons(0), 1);
    assert!(!dispatcher::post::watch::<Host>(0), "there is something to do");
    host::deliver_posts();
}
