//! Tests of asynchronous deliveries in the booted kernel.

use alloc::{alloc::Layout, sync::Arc, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dispatcher::{
    Event, Handler, Processor,
    post::{Addressee, Full, Mailbox, OnFull, Place, Posted, Posting},
};
use sched::workers::{FEWEST_WORKERS, LINGER_NS, MOST_WORKERS};
use x86_64::instructions::interrupts::without_interrupts;

use super::{Cpu, Handle, workers};
use crate::ktest::{Random, core_count, everywhere, guarded, ktest, on, wait_until};

/// Calls a closure with the number that was posted.
struct To<F> {
    handler: F,
    is_gone: AtomicBool,
}

impl<F: Fn(usize) + Send + Sync> Addressee for To<F> {
    unsafe fn deliver(&self, args: *mut ()) {
        // SAFETY: the tests post numbers.
        (self.handler)(unsafe { args.cast::<usize>().read() });
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

fn mailbox<F: Fn(usize) + Send + Sync + 'static>(
    place: Place,
    capacity: usize,
    handler: F,
) -> (Arc<To<F>>, Arc<Mailbox>) {
    let to = Arc::new(To { handler, is_gone: AtomicBool::new(false) });
    let posting = Posting { place, capacity, on_full: OnFull::Refuse };
    let mailbox = Mailbox::new::<Cpu>(to.clone(), Layout::new::<usize>(), posting);
    (to, mailbox.expect("there is memory"))
}

fn post(mailbox: &Arc<Mailbox>, number: usize) -> Result<Posted, Full> {
    // SAFETY: the mailbox is for numbers.
    unsafe { mailbox.post::<Cpu>(ptr::from_ref(&number).cast()) }
}

/// Posts, and gives way while there is no room.
fn post_anyhow(mailbox: &Arc<Mailbox>, number: usize) {
    while post(mailbox, number) == Err(Full) {
        sched::sleep_ns::<Cpu>(10_000);
    }
}

#[ktest]
fn deliveries_are_on_the_core_that_was_named() {
    let cores = core_count();
    for target in 0..cores {
        let wrong = Arc::new(AtomicUsize::new(0));
        let count = wrong.clone();
        let (_, numbers) = mailbox(Place::Core(target), 64, move |_| {
            let is_wrong =
                without_interrupts(|| Cpu::core_id() != target || sched::current::<Cpu>().core() != target);
            count.fetch_add(usize::from(is_wrong), Ordering::Relaxed);
        });
        let shared = numbers.clone();
        everywhere(move |core| (0..100).for_each(|number| post_anyhow(&shared, 1000 * core + number)));
        wait_until("all is delivered", || numbers.is_quiet());
        let counts = numbers.counts();
        assert_eq!((counts.posted, counts.delivered), (100 * cores, 100 * cores));
        assert_eq!(wrong.load(Ordering::Relaxed), 0, "delivered elsewhere than on core {target}");
    }
}

#[ktest]
fn deliveries_are_where_they_were_raised() {
    let cores = core_count();
    let wrong = Arc::new(AtomicUsize::new(0));
    let count = wrong.clone();
    let (_, numbers) = mailbox(Place::Here, 64, move |core| {
        let is_wrong = without_interrupts(Cpu::core_id) != core;
        count.fetch_add(usize::from(is_wrong), Ordering::Relaxed);
    });
    let shared = numbers.clone();
    // Strands that stay where they are, so that the core from which they post is known.
    everywhere(move |core| (0..200).for_each(|_| post_anyhow(&shared, core)));
    wait_until("all is delivered", || numbers.is_quiet());
    assert_eq!(numbers.counts().delivered, 200 * cores);
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "delivered on another core than the raiser's");
}

#[ktest]
fn order_holds_per_binding() {
    let cores = core_count();
    let each = 500;
    let next: Arc<Vec<AtomicUsize>> = Arc::new((0..cores).map(|_| AtomicUsize::new(0)).collect());
    let disorder = Arc::new(AtomicUsize::new(0));
    for place in [Place::Core(cores - 1), Place::Here] {
        let (own, errors, is_inside) = (next.clone(), disorder.clone(), AtomicBool::new(false));
        next.iter().for_each(|next| next.store(0, Ordering::Relaxed));
        let mut random = Random::new(cores);
        let sleepy = random.next() as usize;
        let (_, numbers) = mailbox(place, 16, move |number| {
            let is_alone = !is_inside.swap(true, Ordering::Acquire);
            let (core, number) = (number / 10_000, number % 10_000);
            let is_next = own[core].swap(number + 1, Ordering::Relaxed) == number;
            if (number ^ sleepy).is_multiple_of(256) {
                // It blocks, and other workers have their chance to overtake.
                sched::sleep_ns::<Cpu>(50_000);
            }
            errors.fetch_add(usize::from(!is_alone || !is_next), Ordering::Relaxed);
            is_inside.store(false, Ordering::Release);
        });
        let shared = numbers.clone();
        everywhere(move |core| (0..each).for_each(|number| post_anyhow(&shared, 10_000 * core + number)));
        wait_until("all is delivered", || numbers.is_quiet());
        assert_eq!(disorder.load(Ordering::Relaxed), 0, "{place:?}");
        assert!(next.iter().all(|next| next.load(Ordering::Relaxed) == each), "{place:?}");
    }
}

#[ktest]
fn who_blocks_holds_up_only_itself() {
    workers::settle();
    let core = core_count() - 1;
    let may_leave = Arc::new(AtomicBool::new(false));
    let inside = Arc::new(AtomicUsize::new(0));
    let sleepers: Vec<_> = (0..MOST_WORKERS - 2)
        .map(|_| {
            let (may_leave, inside) = (may_leave.clone(), inside.clone());
            let (_, mailbox) = mailbox(Place::Core(core), 2, move |_| {
                inside.fetch_add(1, Ordering::Relaxed);
                wait_until("it may leave", || may_leave.load(Ordering::Acquire));
            });
            post(&mailbox, 0).expect("there is room");
            mailbox
        })
        .collect();
    wait_until("all are inside", || inside.load(Ordering::Relaxed) == MOST_WORKERS - 2);
    let (_, free) = mailbox(Place::Core(core), 2, |_| ());
    for round in 1..=20 {
        post(&free, 0).expect("there is room");
        wait_until("it is delivered all the same", || free.counts().delivered == round);
    }
    assert!(sleepers.iter().all(|sleeper| sleeper.counts().delivered == 0));
    assert!(workers::of(core).count() <= MOST_WORKERS);
    may_leave.store(true, Ordering::Release);
    wait_until("they leave", || sleepers.iter().all(|sleeper| sleeper.is_quiet()));
    // Those who were hired for it go again; the harness counts their stacks.
    workers::settle();
    assert_eq!(workers::of(core).count(), FEWEST_WORKERS);
}

#[ktest]
fn interrupts_can_post() {
    let done = Arc::new(AtomicUsize::new(0));
    let count = done.clone();
    let (_, numbers) = mailbox(Place::Here, 8, move |number| {
        count.fetch_add(number, Ordering::Relaxed);
    });
    for round in 1..=50 {
        // As an interrupt would: masked, and not to be preempted.
        let posted = without_interrupts(|| Cpu::unpreempted(|| post(&numbers, 1)));
        assert_eq!(posted, Ok(Posted::Queued));
        wait_until("it is delivered", || done.load(Ordering::Relaxed) == round);
    }
}

#[ktest]
fn sleeping_cores_hear_of_posts() {
    let cores = core_count();
    for round in 0..5 {
        for target in 0..cores {
            let (_, numbers) = mailbox(Place::Core(target), 1, |_| ());
            // Long enough for every other core to halt.
            sched::sleep_ns::<Cpu>(LINGER_NS / 10);
            post(&numbers, round).expect("there is room");
            wait_until("it is delivered", || numbers.counts().delivered == 1);
            wait_until("it is quiet", || numbers.is_quiet());
        }
    }
}

#[ktest]
fn a_busy_core_delivers_all_the_same() {
    everywhere(|core| {
        let (_, numbers) = mailbox(Place::Here, 1, |_| ());
        post(&numbers, core).expect("there is room");
        let deadline = Cpu::now_ns() + 20_000_000_000;
        // It gives the core to nobody of its own accord, so the worker's turn is the timer's doing.
        while numbers.counts().delivered == 0 {
            assert!(Cpu::now_ns() < deadline, "a post waits in vain for a busy core");
            core::hint::spin_loop();
        }
        wait_until("it is quiet", || numbers.is_quiet());
    });
}

static CHIME: Event<usize, usize, Cpu> = Event::new("Test.Chime", None).open();

/// A delivery raises, posts and blocks, as any strand does.
#[ktest]
fn deliveries_raise_and_post() {
    let id = CHIME.install(Handler::trusted(|number: &usize| number + 1)).expect("there is room");
    let sum = Arc::new(AtomicUsize::new(0));
    let total = sum.clone();
    let (_, last) = mailbox(Place::Core(0), 256, move |number| {
        total.fetch_add(number, Ordering::Relaxed);
    });
    let next = last.clone();
    let (_, first) = mailbox(Place::Core(core_count() - 1), 256, move |number| {
        let answer = CHIME.raise(&number).expect("a handler stands");
        sched::yield_now::<Cpu>();
        post_anyhow(&next, answer);
    });
    (0..200).for_each(|number| post_anyhow(&first, number));
    wait_until("all is delivered", || first.is_quiet() && last.is_quiet());
    assert_eq!(sum.load(Ordering::Relaxed), (1..=200).sum());
    CHIME.remove(id).expect("it was installed");
}

#[ktest]
fn what_waits_for_one_who_is_gone_is_discarded() {
    let core = core_count() - 1;
    let (is_inside, may_leave) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (inside, leave) = (is_inside.clone(), may_leave.clone());
    let (to, numbers) = mailbox(Place::Core(core), 16, move |_| {
        inside.store(true, Ordering::Release);
        wait_until("it may leave", || leave.load(Ordering::Acquire));
    });
    (0..10).for_each(|number| post_anyhow(&numbers, number));
    wait_until("it is inside", || is_inside.load(Ordering::Acquire));
    to.is_gone.store(true, Ordering::Release);
    may_leave.store(true, Ordering::Release);
    wait_until("it is quiet", || numbers.is_quiet());
    let counts = numbers.counts();
    assert_eq!((counts.delivered, counts.discarded), (1, 9));
}

/// Mailboxes come and go on every core while all cores post to them; each post is accounted for.
#[ktest]
fn mailboxes_come_and_go() {
    everywhere(|core| {
        let mut random = Random::new(core);
        for _ in 0..30 {
            let seen = Arc::new(AtomicUsize::new(0));
            let count = seen.clone();
            let place =
                if random.below(2) == 0 { Place::Here } else { Place::Core(random.below(core_count())) };
            let (to, numbers) = mailbox(place, 1 << random.below(5), move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            let posted = (0..64).filter(|number| post(&numbers, *number).is_ok()).count();
            if random.below(2) == 0 {
                to.is_gone.store(true, Ordering::Relaxed);
            }
            wait_until("it is quiet", || numbers.is_quiet());
            let counts = numbers.counts();
            assert_eq!(counts.posted, posted);
            assert_eq!((counts.refused, counts.delivered + counts.discarded), (64 - posted, posted));
            assert_eq!(seen.load(Ordering::Relaxed), counts.delivered);
        }
    });
}

/// A raiser ends while what it posted still waits.
#[ktest]
fn posts_outlive_their_raisers() {
    let (_, numbers) = mailbox(Place::Core(0), 64, |_| sched::yield_now::<Cpu>());
    let raiser = |core: usize| {
        let numbers = numbers.clone();
        guarded(on(core), move || (0..5).for_each(|number| post_anyhow(&numbers, number)))
    };
    let raisers: Vec<_> = (0..core_count()).map(raiser).collect();
    raisers.into_iter().for_each(Handle::join);
    wait_until("all is delivered", || numbers.is_quiet());
    assert_eq!(numbers.counts().delivered, 5 * core_count());
}
