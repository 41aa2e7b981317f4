//! Workers on a machine of threads: where they run, how their number grows and shrinks, and that no post is
//! forgotten.

use std::{
    alloc::Layout,
    ptr,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dispatcher::{
    Processor,
    post::{Addressee, Full, Mailbox, OnFull, Place, Posting},
};
use sched::{
    Builder, block,
    host::{HostMachine, HostStack, poll, run, spawn, spawn_as, stacks, workers},
    sleep_ns, unblock,
    workers::{FEWEST_WORKERS, MOST_WORKERS},
    yield_now,
};

/// So many, or fewer where each takes long.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { count / 200 + 2 } else { count }
}

/// Waits until `holds`, letting others run.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        yield_now::<HostMachine>();
        poll();
        std::thread::yield_now();
    }
}

struct To<F>(F);

impl<F: Fn(usize) + Send + Sync> Addressee for To<F> {
    unsafe fn deliver(&self, args: *mut ()) {
        // SAFETY: the tests post numbers.
        self.0(unsafe { args.cast::<usize>().read() });
    }

    fn is_gone(&self) -> bool {
        false
    }
}

fn mailbox(core: usize, capacity: usize, handler: impl Fn(usize) + Send + Sync + 'static) -> Arc<Mailbox> {
    let posting = Posting { place: Place::Core(core), capacity, on_full: OnFull::Refuse };
    let layout = Layout::new::<usize>();
    Mailbox::new::<HostMachine>(Arc::new(To(handler)), layout, posting).expect("there is memory")
}

fn post(mailbox: &Arc<Mailbox>, number: usize) {
    // SAFETY: the mailbox is for numbers.
    while unsafe { mailbox.post::<HostMachine>(ptr::from_ref(&number).cast()) } == Err(Full) {
        yield_now::<HostMachine>();
        poll();
    }
}

fn start(cores: usize) {
    for core in 0..cores {
        assert_eq!(workers(core).start(core, HostStack::make), FEWEST_WORKERS);
    }
}

fn settle(cores: usize) {
    wait_until("the workers rest", || (0..cores).all(|core| workers(core).is_at_rest()));
}

#[test]
fn a_strand_on_a_core_stays_there_and_is_not_stolen() {
    run(3, || {
        let strands: Vec<_> = (0..3)
            .flat_map(|core| {
                // Three for each core, so that some wait while other cores are idle.
                (0..3).map(move |_| {
                    spawn_as(Builder::new("pinned").on_core(core), move || {
                        for round in 0..rounds(500) {
                            assert_eq!(HostMachine::core_id(), core);
                            match round % 3 {
                                0 => sleep_ns::<HostMachine>(1000),
                                _ => yield_now::<HostMachine>(),
                            }
                            poll();
                        }
                    })
                })
            })
            .collect();
        strands.into_iter().for_each(|strand| strand.join());
    });
}

#[test]
fn a_pinned_strand_is_woken_where_it_belongs() {
    run(2, || {
        let may_end = Arc::new(AtomicBool::new(false));
        let flag = may_end.clone();
        let sleeper = spawn_as(Builder::new("pinned").on_core(1), move || {
            while !flag.load(Ordering::Acquire) {
                block::<HostMachine>();
                assert_eq!(HostMachine::core_id(), 1);
            }
        });
        // Woken from the other core, and from its own.
        for core in [0, 1].into_iter().cycle().take(rounds(400)) {
            let strand = sleeper.strand().clone();
            spawn_as(Builder::new("waker").on_core(core), move || unblock(&strand)).join();
        }
        may_end.store(true, Ordering::Release);
        unblock(sleeper.strand());
        sleeper.join();
    });
}

#[test]
#[should_panic(expected = "more than the dispatcher takes")]
fn there_is_no_core_64() {
    let _ = Builder::new("nowhere").on_core(64);
}

#[test]
fn posts_are_delivered_where_they_should_be() {
    run(3, || {
        start(3);
        for target in 0..3 {
            let (seen, sum) = (Arc::new(AtomicUsize::new(0)), rounds(2000));
            let count = seen.clone();
            let mailbox = mailbox(target, 16, move |_| {
                assert_eq!(HostMachine::core_id(), target);
                count.fetch_add(1, Ordering::Relaxed);
            });
            (0..sum).for_each(|number| post(&mailbox, number));
            wait_until("all is delivered", || mailbox.is_quiet());
            assert_eq!(seen.load(Ordering::Relaxed), sum);
        }
        settle(3);
    });
}

#[test]
fn a_delivery_that_blocks_holds_up_only_itself() {
    run(2, || {
        start(2);
        settle(2);
        let before = stacks();
        let may_leave = Arc::new(AtomicBool::new(false));
        let inside = Arc::new(AtomicUsize::new(0));
        let asleep = MOST_WORKERS - 2;
        let boxes: Vec<_> = (0..asleep)
            .map(|_| {
                let (may_leave, inside) = (may_leave.clone(), inside.clone());
                let mailbox = mailbox(1, 2, move |_| {
                    inside.fetch_add(1, Ordering::Relaxed);
                    while !may_leave.load(Ordering::Acquire) {
                        sleep_ns::<HostMachine>(100_000);
                    }
                });
                post(&mailbox, 0);
                mailbox
            })
            .collect();
        wait_until("all are inside", || inside.load(Ordering::Relaxed) == asleep);
        let free = mailbox(1, 2, |_| ());
        for number in 1..=rounds(200) {
            post(&free, number);
            wait_until("it is delivered all the same", || free.counts().delivered == number);
        }
        assert!(boxes.iter().all(|mailbox| mailbox.counts().delivered == 0));
        assert!((asleep + 1..=MOST_WORKERS).contains(&workers(1).count()));
        may_leave.store(true, Ordering::Release);
        wait_until("they leave", || boxes.iter().all(|mailbox| mailbox.is_quiet()));
        settle(2);
        assert_eq!(workers(1).count(), FEWEST_WORKERS);
        wait_until("their stacks are freed", || stacks() == before);
    });
}

/// More deliveries sleep than there can be workers: the rest wait, are counted as a shortage, and come when
/// somebody wakes.
#[test]
fn too_many_sleepers_make_others_wait() {
    run(1, || {
        start(1);
        let may_leave = Arc::new(AtomicBool::new(false));
        let boxes: Vec<_> = (0..MOST_WORKERS + 3)
            .map(|_| {
                let may_leave = may_leave.clone();
                let mailbox = mailbox(0, 2, move |_| {
                    while !may_leave.load(Ordering::Acquire) {
                        sleep_ns::<HostMachine>(100_000);
                    }
                });
                post(&mailbox, 0);
                mailbox
            })
            .collect();
        wait_until("nobody is left", || workers(0).shortages() > 0);
        assert_eq!(workers(0).count(), MOST_WORKERS);
        may_leave.store(true, Ordering::Release);
        wait_until("all are delivered", || boxes.iter().all(|mailbox| mailbox.counts().delivered == 1));
        settle(1);
    });
}

/// Strands on several cores post to several mailboxes on several cores, whose handlers sometimes block: all
/// that was posted is delivered, in each poster's order.
#[test]
fn no_post_is_forgotten() {
    let (cores, each) = (3, rounds(4000));
    run(cores, move || {
        start(cores);
        let order: Arc<StdMutex<Vec<Vec<usize>>>> = Arc::new(StdMutex::new(vec![vec![0; cores]; 6]));
        let boxes: Vec<_> = (0..6)
            .map(|own: usize| {
                let order = order.clone();
                mailbox(own % cores, 1 << (own % 4), move |number| {
                    let (poster, number) = (number % cores, number / cores);
                    {
                        let next = &mut order.lock().unwrap()[own][poster];
                        assert_eq!(*next, number, "out of order");
                        *next += 1;
                    }
                    if number % 64 == 0 {
                        sleep_ns::<HostMachine>(10_000);
                    }
                })
            })
            .collect();
        let boxes = Arc::new(boxes);
        let posters: Vec<_> = (0..cores)
            .map(|poster| {
                let boxes = boxes.clone();
                spawn(move || {
                    for number in 0..each {
                        let sent = number / boxes.len();
                        post(&boxes[number % boxes.len()], sent * cores + poster);
                    }
                })
            })
            .collect();
        posters.into_iter().for_each(|poster| poster.join());
        wait_until("all is delivered", || boxes.iter().all(|mailbox| mailbox.is_quiet()));
        let posted: usize = boxes.iter().map(|mailbox| mailbox.counts().delivered).sum();
        assert_eq!(posted, cores * each);
        settle(cores);
    });
}
