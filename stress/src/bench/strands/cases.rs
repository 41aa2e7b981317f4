//! What is measured of strands.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sched::{Builder, Handle, Machine, State, Strand, block, current, unblock, yield_now};

use super::{Weaver, here};
use crate::bench::{cases::Ready, stage::Mark};

/// One thing to measure.
pub struct Case<W: 'static> {
    /// What it is called in every table and file.
    pub name: &'static str,
    /// How many times make one sample.
    pub batch: u64,
    make: fn(&'static W) -> Ready,
}

/// How many times make one sample: so many that the partner, which is made and joined in each sample,
/// counts less than one instruction.
const BATCH: u64 = 2000;

impl<W: Weaver> Case<W> {
    const fn new(name: &'static str, make: fn(&'static W) -> Ready) -> Self {
        Self { name, batch: BATCH, make }
    }

    /// Readies the loop.
    #[must_use]
    pub fn make(&self, kernel: &'static W) -> Ready {
        (self.make)(kernel)
    }

    /// All that one core does by itself.
    #[must_use]
    pub fn all() -> [Self; 4] {
        [Self::fork(), Self::ping_pong(), Self::hand_off(), Self::yields()]
    }

    /// Those that many cores do at once.
    #[must_use]
    pub fn parallel() -> [Self; 2] {
        [Self::yields(), Self::fork()]
    }

    fn fork() -> Self {
        Self::new("fork and join", |kernel| {
            Box::new(move |times| {
                for _ in 0..times {
                    made(kernel.weave(here(kernel, "bench"), None, || ())).join();
                }
            })
        })
    }

    /// Two strands of one core; a round trip is a signal and a wait of each.
    fn ping_pong() -> Self {
        Self::new("ping-pong", |kernel| {
            Box::new(move |times| {
                let (ball, wall) = Flag::<W::Machine>::pair();
                let partner = beside(kernel, here(kernel, "bench"), {
                    let (ball, wall) = (ball.clone(), wall.clone());
                    move || play(times, &ball, &wall)
                });
                wall.belongs_to(partner.strand());
                ball.belongs_to(&current::<W::Machine>());
                for _ in 0..times {
                    wall.signal();
                    ball.wait();
                }
                partner.join();
            })
        })
    }

    /// Two strands of one core that hand it to each other; each time is one switch.
    fn hand_off() -> Self {
        Self::new("hand-off", |kernel| {
            Box::new(move |times| {
                let this = current::<W::Machine>();
                let partner = beside(kernel, here(kernel, "bench"), {
                    let this = this.clone();
                    move || {
                        block::<W::Machine>();
                        (1..times / 2).for_each(|_| sched::hand_off::<W::Machine>(&this));
                        unblock(&this);
                    }
                });
                while partner.strand().state() != State::Blocked {
                    yield_now::<W::Machine>();
                }
                // A call that is left over from before would be taken for the first hand-off.
                unblock(&this);
                block::<W::Machine>();
                (0..times / 2).for_each(|_| sched::hand_off::<W::Machine>(partner.strand()));
                partner.join();
            })
        })
    }

    /// Two strands of one core that give way to each other; each time is one switch. The record begins anew when both
    /// are there: making one takes memory, which cores share, and giving way must share nothing.
    fn yields() -> Self {
        Self::new("yield", |kernel| {
            Box::new(move |times| {
                let give_way = move || (0..times / 2).for_each(|_| yield_now::<W::Machine>());
                let partner = beside(kernel, here(kernel, "bench"), give_way);
                kernel.mark(Mark::Begin);
                give_way();
                kernel.mark(Mark::End);
                partner.join();
            })
        })
    }

    /// Two strands, each on a core that halts when it waits: each time is two wake-ups. Run on two cores
    /// at once.
    #[must_use]
    pub fn wake_up() -> Self {
        Self::new("wake-up", |_| {
            let flags = Flag::<W::Machine>::pair();
            let arrived = AtomicU32::new(0);
            Box::new(move |times| {
                // Relaxed: it only says who came first.
                let turn = arrived.fetch_add(1, Ordering::Relaxed);
                let (own, others) = if turn == 0 { (&flags.0, &flags.1) } else { (&flags.1, &flags.0) };
                own.belongs_to(&current::<W::Machine>());
                others.wait_for_owner();
                if turn == 0 {
                    others.signal();
                }
                for at in 1..=times {
                    own.wait();
                    if turn == 1 || at < times {
                        others.signal();
                    }
                }
            })
        })
    }
}

/// A benchmark without its strands is none.
fn made<M: Machine>(handle: Result<Handle<M>, alloc::string::String>) -> Handle<M> {
    handle.unwrap_or_else(|why| panic!("no strand to measure: {why}"))
}

/// A partner, which waits for its first turn.
fn beside<W: Weaver>(
    kernel: &W,
    builder: Builder,
    body: impl FnOnce() + Send + 'static,
) -> Handle<W::Machine> {
    made(kernel.weave(builder, None, body))
}

fn play<M: Machine>(times: u64, ball: &Flag<M>, wall: &Flag<M>) {
    for _ in 0..times {
        wall.wait();
        ball.signal();
    }
}

/// A semaphore of one unit, on which one strand waits. A line of its own, so that what cores share is
/// known by name.
#[repr(align(128))]
struct Flag<M: Machine> {
    is_set: AtomicBool,
    owner: spin::Once<Arc<Strand<M>>>,
}

impl<M: Machine> Flag<M> {
    fn pair() -> (Arc<Self>, Arc<Self>) {
        let flag = || Arc::new(Self { is_set: AtomicBool::new(false), owner: spin::Once::new() });
        (flag(), flag())
    }

    fn belongs_to(&self, strand: &Arc<Strand<M>>) {
        self.owner.call_once(|| strand.clone());
    }

    /// Another core's strand is about to say that it is the owner.
    fn wait_for_owner(&self) {
        while !self.owner.is_completed() {
            sched::sleep_ns::<M>(10_000);
        }
    }

    fn signal(&self) {
        // Release: pairs with the Acquire in `wait`.
        self.is_set.store(true, Ordering::Release);
        if let Some(owner) = self.owner.get() {
            unblock(owner);
        }
    }

    fn wait(&self) {
        while !self.is_set.swap(false, Ordering::Acquire) {
            block::<M>();
        }
    }
}
