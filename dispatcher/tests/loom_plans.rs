//! Exhaustive models, within the bounds that each names, of how plans are published, retired and drained, on
//! the real source files: `RUSTFLAGS="--cfg loom" cargo test -p dispatcher --release --test loom_plans`.
//!
//! What is destroyed is written to and kept: so loom finds whoever looks at it too late, or looked at it
//! without having been waited for.
#![cfg(loom)]
#![allow(dead_code, reason = "the models use parts of the files")]

extern crate alloc;

#[path = "../src/binding.rs"]
mod binding;
#[path = "models/clock.rs"]
mod clock;
#[path = "../src/primitive.rs"]
mod primitive;
#[path = "../src/published.rs"]
mod published;
#[path = "../src/slot.rs"]
mod slot;
/// What a binding holds besides; the models need none of it.
mod domain {
    pub(crate) struct DomainState;

    impl DomainState {
        pub(crate) fn id(&self) -> u32 {
            0
        }
    }
}
mod event {
    pub(crate) struct Overrun;
}
mod guard {
    pub(crate) struct RawGuard;
}
mod handler {
    use crate::domain::DomainState;
    use alloc::sync::Arc;

    pub(crate) struct BindingId(pub(crate) u64);
    pub(crate) struct Procedure;

    impl Procedure {
        pub(crate) fn domain(&self) -> Option<&Arc<DomainState>> {
            None
        }
    }
}
/// As `src/word.rs`, with loom's.
mod word {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
}

use core::ptr;

use binding::Binding;
use clock::{Epochs, Participant};
use handler::{BindingId, Procedure};
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};
use published::Published;
use slot::Owned;

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(body);
}

/// Of each iteration of a model a little is left behind: what is `'static` cannot be freed.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// What the intrinsic handler answers, and another one that takes its place; each plan answers with its own
/// number.
const INTRINSIC: usize = 0;
const ANOTHER_INTRINSIC: usize = 100;
/// What is left of a plan that was destroyed.
const DESTROYED: usize = usize::MAX;

struct Plan(UnsafeCell<usize>);

// SAFETY: what the models are about: it is written before it is published and after its grace period.
unsafe impl Sync for Plan {}

impl Plan {
    fn unwritten() -> Self {
        Self(UnsafeCell::new(DESTROYED))
    }

    fn write(&self, number: usize) {
        // SAFETY: loom looks whether anybody else is at it.
        self.0.with_mut(|place| unsafe { *place = number });
    }

    fn run(&self) -> usize {
        // SAFETY: as above.
        let answer = self.0.with(|place| unsafe { *place });
        assert_ne!(answer, DESTROYED, "run after it was destroyed");
        answer
    }

    fn address(&self) -> *mut Self {
        ptr::from_ref(self).cast_mut()
    }
}

/// An event of which the writer goes through a list of plans.
struct Event {
    published: Published<Plan>,
    home: Plan,
    /// As `BarePlan::intrinsic`: what it answers.
    intrinsic: AtomicUsize,
    plans: Vec<Plan>,
    /// How many changes have returned, or were seen.
    known: AtomicUsize,
    /// How many were begun. No part of the model, so it orders nothing.
    begun: std::sync::atomic::AtomicUsize,
    /// What each change in turn brings.
    answers: &'static [usize],
    epochs: &'static Epochs,
}

impl Event {
    /// One that starts with its intrinsic handler, and will answer so and so.
    fn new(answers: &'static [usize]) -> &'static Self {
        let home = Plan::unwritten();
        home.write(INTRINSIC);
        leak(Self {
            published: Published {
                is_planned: AtomicBool::new(false),
                plan: AtomicPtr::new(ptr::null_mut()),
            },
            home,
            intrinsic: AtomicUsize::new(INTRINSIC),
            plans: answers.iter().map(|_| Plan::unwritten()).collect(),
            known: AtomicUsize::new(0),
            begun: Default::default(),
            answers,
            epochs: Epochs::new(),
        })
    }

    /// A participant of the pool, when there is one that is not being tended.
    fn claim(&self) -> Owned<Participant> {
        loop {
            if let Some(participant) = self.epochs.claim() {
                return participant;
            }
            thread::yield_now();
        }
    }

    /// What a raise finds inside, if it does not just call the intrinsic handler. The core has a participant
    /// that is pinned, so it may be inside.
    fn enter(&self, _inside: &Owned<Participant>) -> Option<&'static Plan> {
        // Acquire: as in `landing::is_set`.
        let is_planned = self.published.is_planned.load(Ordering::Acquire);
        // SAFETY: null or one of ours, which are never freed.
        is_planned.then(|| unsafe { self.published.plan().as_ref() }.expect("there is a plan or the home"))
    }

    /// As `Event::raise`.
    fn raise(&self, inside: &Owned<Participant>) -> usize {
        match self.enter(inside) {
            Some(plan) if !ptr::eq(plan, &raw const self.home) => plan.run(),
            // Acquire: as in `Event::call_intrinsic` and `call_at_home`.
            _ => self.intrinsic.load(Ordering::Acquire),
        }
    }

    /// Raises, and looks whether the answer can follow what was known before. Between the raises the
    /// core repins.
    fn raise_often(&'static self, times: usize) {
        let mut core = self.claim();
        for _ in 0..times {
            // Acquire: this raise comes after each change of which it knows.
            let known = self.known.load(Ordering::Acquire);
            let answer = self.raise(&core);
            let begun = self.begun.load(Ordering::Relaxed);
            let seen = (known..=begun).find(|change| self.after(*change) == answer);
            let seen = seen.unwrap_or_else(|| panic!("{answer} after change {known}"));
            // Release: whoever reads this comes after this raise.
            self.known.fetch_max(seen, Ordering::Release);
            core.get().repin();
        }
        // The core halts.
        core.park();
    }

    fn after(&self, change: usize) -> usize {
        if change == 0 { INTRINSIC } else { self.answers[change - 1] }
    }

    /// The writer's half of one change.
    fn publish(&self, change: usize) -> Option<&'static Plan> {
        let answer = self.after(change);
        self.begun.store(change, Ordering::Relaxed);
        let plan = if [INTRINSIC, ANOTHER_INTRINSIC].contains(&answer) {
            // Release: as in `AnyEvent::settle_intrinsic`.
            self.intrinsic.store(answer, Ordering::Release);
            &self.home
        } else {
            self.plans[change - 1].write(answer);
            &self.plans[change - 1]
        };
        let old = self.published.publish(plan.address(), self.home.address());
        // Release: pairs with the Acquire in `raise_often`.
        self.known.fetch_max(change, Ordering::Release);
        // SAFETY: null or one of ours.
        old.map(|old| unsafe { old.as_ref() }.expect("what was published was a plan"))
    }

    /// Goes through all, and destroys what was replaced, a grace period after every so many changes.
    fn change_all(&self, grace_after: usize) {
        let mut retired = Vec::new();
        for change in 1..=self.answers.len() {
            retired.extend(self.publish(change));
            if change % grace_after == 0 {
                self.destroy(&mut retired);
            }
        }
        self.destroy(&mut retired);
    }

    fn destroy(&self, retired: &mut Vec<&'static Plan>) {
        if retired.is_empty() {
            return;
        }
        self.epochs.pass_grace();
        for plan in retired.drain(..) {
            assert!(!ptr::eq(plan, &self.home), "the home stays");
            plan.write(DESTROYED);
        }
    }
}

fn a_writer_and_raisers(answers: &'static [usize], grace_after: usize, raisers: usize, raises: usize) {
    let event = Event::new(answers);
    let raisers: Vec<_> = (0..raisers).map(|_| thread::spawn(move || event.raise_often(raises))).collect();
    event.change_all(grace_after);
    raisers.into_iter().for_each(|raiser| raiser.join().unwrap());
    assert_eq!(event.plans.iter().filter(|plan| plan.0.with(|it| unsafe { *it }) != DESTROYED).count(), 0);
}

/// Intrinsic, plan, another plan, intrinsic: one set at a time, and never one that is gone.
#[test]
fn an_event_changes_at_one_instant_each_time() {
    model(3, || a_writer_and_raisers(&[1, 2, INTRINSIC], 4, 1, 2));
}

/// A raise that has seen the flag of long ago, and finds the plan of today.
#[test]
fn a_late_raise_does_not_run_ahead_of_the_next() {
    model(3, || a_writer_and_raisers(&[1, INTRINSIC, 2, INTRINSIC], 5, 1, 2));
}

/// The intrinsic handler is replaced while another handler stands on the event, which goes then.
#[test]
fn no_raise_runs_an_intrinsic_handler_of_another_time() {
    model(3, || {
        let event = Event::new(&[1, ANOTHER_INTRINSIC]);
        event.publish(1);
        let raiser = thread::spawn(move || event.raise_often(1));
        event.publish(2);
        raiser.join().unwrap();
    });
    model(3, || a_writer_and_raisers(&[1, ANOTHER_INTRINSIC], 3, 1, 1));
}

#[test]
fn raisers_agree_on_the_order_of_changes() {
    model(2, || a_writer_and_raisers(&[1, INTRINSIC, 2, INTRINSIC], 5, 2, 1));
}

/// A raise whose strand sees a plan, is preempted, and goes on on another core: its participant travels.
struct Traveller {
    plan: Option<&'static Plan>,
    carried: Owned<Participant>,
}

impl Event {
    /// A core whose strand is preempted inside: as `Dispatcher::depart`. Then it raises for itself and halts.
    fn depart(&self, carried: Owned<Participant>, queue: &Sender<Traveller>) {
        let plan = self.enter(&carried);
        // Until there is one the strand keeps the core.
        let fresh = self.claim();
        assert!(queue.send(Traveller { plan, carried }).is_ok());
        self.raise(&fresh);
        fresh.park();
    }

    /// A core that takes the strand up: as `Dispatcher::arrive`.
    fn arrive(&self, queue: &Receiver<Traveller>) {
        let Traveller { plan, mut carried } = queue.recv().expect("it comes");
        plan.map(Plan::run);
        // It leaves its outermost border, which was marked.
        carried.get().repin();
        self.raise(&carried);
        carried.park();
    }
}

/// One core, whose raises are apart by nothing but a repin, against two changes and two grace periods.
#[test]
fn nothing_goes_while_a_core_that_repins_is_inside() {
    model(3, || {
        let event = Event::new(&[1, 2, INTRINSIC]);
        event.publish(1);
        let core = thread::spawn(move || event.raise_often(2));
        let mut retired = vec![event.publish(2).expect("there was one")];
        event.destroy(&mut retired);
        retired.extend(event.publish(3));
        event.destroy(&mut retired);
        core.join().unwrap();
    });
}

/// A strand that is preempted inside and goes on elsewhere: what it runs is there still, and what the core
/// runs that it left.
#[test]
fn nothing_goes_while_a_strand_travels() {
    model(2, || {
        let event = Event::new(&[1, INTRINSIC]);
        event.publish(1);
        let (queue, taken) = mpsc::channel();
        let core = event.claim();
        let leaves = thread::spawn(move || event.depart(core, &queue));
        let takes = thread::spawn(move || event.arrive(&taken));
        let mut retired = vec![event.publish(2).expect("there was one")];
        event.destroy(&mut retired);
        leaves.join().unwrap();
        takes.join().unwrap();
    });
}

/// A handler's binding and its code, which is destroyed once it is drained.
struct Handler {
    binding: Binding,
    code: Plan,
}

/// An event with two handlers, of which one is removed and drained.
struct Draining {
    published: Published<Vec<usize>>,
    home: Vec<usize>,
    handlers: [Handler; 2],
    epochs: &'static Epochs,
}

impl Draining {
    fn new() -> &'static Self {
        let event = leak(Self {
            published: Published {
                is_planned: AtomicBool::new(false),
                plan: AtomicPtr::new(ptr::null_mut()),
            },
            home: Vec::new(),
            handlers: [0, 1].map(|number| {
                let binding = Binding::new(BindingId(number), Procedure, Vec::new(), None, false);
                let code = Plan::unwritten();
                code.write(number as usize);
                Handler { binding, code }
            }),
            epochs: Epochs::new(),
        });
        event.publish(vec![0, 1]);
        event
    }

    fn publish(&self, handlers: Vec<usize>) {
        // That plans themselves are kept while they are slept in is modelled in `loom.rs`; here they stay.
        let plan = ptr::from_ref(leak(handlers)).cast_mut();
        self.published.publish(plan, ptr::from_ref(&self.home).cast_mut());
    }

    /// A raise that sleeps in handler `bed`: as `border::hold_all` and `Dispatcher::depart` there, and as
    /// the steps of a plan after that.
    fn raise(&self, mut core: Owned<Participant>, bed: usize) {
        assert!(self.published.is_planned.load(Ordering::Acquire));
        // SAFETY: it was published, and stays.
        let plan = unsafe { &*self.published.plan() };
        let mut has_slept = false;
        for number in plan {
            let Handler { binding, code } = &self.handlers[*number];
            if has_slept && binding.is_removed() {
                continue;
            }
            code.run();
            if *number == bed {
                binding.fell_asleep();
                core.get().repin();
                has_slept = true;
                // It wakes, and runs on in the handler.
                code.run();
                binding.woke();
            }
        }
        core.get().repin();
        core.park();
    }

    /// As `Event::drain`.
    fn drain(&self, number: usize) {
        let Handler { binding, code } = &self.handlers[number];
        binding.mark_removed();
        self.publish(vec![1 - number]);
        self.epochs.pass_grace();
        while binding.sleepers() != 0 {
            thread::yield_now();
        }
        code.write(DESTROYED);
    }
}

fn a_drainer_and_sleepers(drained: usize, beds: &'static [usize]) {
    let event = Draining::new();
    let raisers: Vec<_> = beds
        .iter()
        .map(|bed| {
            let core = event.epochs.claim().expect("one for each core");
            thread::spawn(move || event.raise(core, *bed))
        })
        .collect();
    event.drain(drained);
    raisers.into_iter().for_each(|raiser| raiser.join().unwrap());
}

#[test]
fn a_handler_is_drained_of_those_who_sleep_in_it() {
    model(4, || a_drainer_and_sleepers(0, &[0]));
    model(4, || a_drainer_and_sleepers(1, &[1]));
}

#[test]
fn who_slept_elsewhere_skips_what_was_removed() {
    model(4, || a_drainer_and_sleepers(1, &[0]));
}

#[test]
fn two_sleepers_are_drained() {
    model(2, || a_drainer_and_sleepers(1, &[0, 1]));
}
