//! One core's dispatcher: its participant of the epoch, and what becomes of it when strands switch.
//!
//! | the strand is | switches because | the participant |
//! | --- | --- | --- |
//! | outside | of anything | stays and is repinned, if a round has begun since it last was |
//! | inside | it was preempted | travels with the strand; the core draws another from the pool |
//! | inside | it blocks | stays and is repinned likewise, after the borders took counted references |
//!
//! A strand that was preempted inside cannot be given a participant pinned *today* instead: what it
//! uses may have been unlinked an epoch ago.

use crate::{
    border::{self, Border},
    bound,
    epoch::{Epochs, Participant},
    processor::Processor,
    slot::{Lent, Owned},
};

/// Why a strand leaves its core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Departure {
    /// It could go on running, and will, here or elsewhere.
    Preempted,
    /// It waits for somebody.
    Blocked,
}

/// What the dispatcher keeps with a strand that does not run: saved like a register.
pub struct Crossing {
    top: *mut Border,
    /// When it left, if something in it has a time bound: that stands still meanwhile.
    paused_ns: Option<u64>,
    carried: Option<Owned<Participant>>,
}

// SAFETY: the border lies on the strand's own stack and is touched only where the strand runs or by
// whoever switches it; a participant may move, see its `Send`.
unsafe impl Send for Crossing {}

impl Crossing {
    /// Of a strand that has not run yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { top: core::ptr::null_mut(), paused_ns: None, carried: None }
    }

    /// Had the strand no border open? Then it can [arrive](Dispatcher::arrive) without further ado.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.top.is_null()
    }

    /// Was the strand preempted inside, so that it carries a participant?
    pub fn is_inside(&self) -> bool {
        self.carried.is_some()
    }

    /// Does the strand run anything with a time bound? Then the core on which it goes on must
    /// [keep ticking](Processor::keep_ticking).
    pub fn is_bounded(&self) -> bool {
        self.paused_ns.is_some()
    }

    /// The innermost border of the stopped strand.
    pub fn top(&self) -> *mut Border {
        self.top
    }
}

impl Default for Crossing {
    fn default() -> Self {
        Self::new()
    }
}

/// A core's dispatcher. All methods are for that core alone, with interrupts masked.
pub struct Dispatcher {
    core: usize,
    epochs: &'static Epochs,
    participant: Held,
}

enum Held {
    Running(Owned<Participant>),
    Halted(Lent<Participant>),
    /// Only within a method.
    Moving,
}

impl Dispatcher {
    /// The dispatcher of core `core`; `None` if the pool of participants is empty.
    pub fn new(core: usize, epochs: &'static Epochs) -> Option<Self> {
        let round = epochs.round();
        let participant = epochs.claim()?;
        epochs.note_repinned(core, round);
        Some(Self { core, epochs, participant: Held::Running(participant) })
    }

    fn running(&mut self) -> &mut Owned<Participant> {
        match &mut self.participant {
            Held::Running(participant) => participant,
            Held::Halted(_) | Held::Moving => panic!("a halted core runs no strand"),
        }
    }

    /// Moves to today's epoch, unless nobody has begun a round since this core last did.
    #[inline]
    fn catch_up(&mut self) {
        if !self.epochs.is_up_to_date(self.core) {
            self.repin();
        }
    }

    fn repin(&mut self) {
        // The round is read first: whoever sees it noted knows that the repin came after it began.
        let round = self.epochs.round();
        self.running().get().repin();
        self.epochs.note_repinned(self.core, round);
    }

    /// At a tick, a nudge, or on leaving a marked border: moves to today's epoch if the running strand
    /// is outside. Otherwise marks its outermost border, leaving which will call this again; `false`
    /// says so, and that the core should tick until it succeeds (a strand that was just about to note
    /// its plan overwrites the mark).
    pub fn nudged<P: Processor>(&mut self) -> bool {
        if matches!(self.participant, Held::Halted(_)) {
            // An interrupt found the core halted: its participant is in the housekeeper's care.
            return true;
        }
        if border::is_running_inside::<P>() {
            // SAFETY: the strand that this interrupt, or its own call, stopped on this core.
            unsafe { border::mark_outermost(P::top()) };
            return false;
        }
        self.repin();
        true
    }

    /// Should the [housekeeper](crate::Keeper) fill the pool of participants before it is dry?
    pub fn is_pool_low(&self) -> bool {
        self.epochs.is_low()
    }

    /// Could the running strand be preempted now? Not if it is inside and the pool has run dry; it
    /// then keeps the core until the next tick.
    pub fn may_preempt<P: Processor>(&self) -> bool {
        !border::is_running_inside::<P>() || self.epochs.participants().1 > 0
    }

    /// The short way of [`depart`](Self::depart), for a strand without any border: nothing of it is to be
    /// saved. False says that it has one.
    #[inline]
    pub fn depart_bare<P: Processor>(&mut self) -> bool {
        let is_bare = P::top().is_null();
        if is_bare {
            self.catch_up();
        }
        is_bare
    }

    /// The running strand leaves this core. `None` says that it must stay: it is preempted inside a
    /// border and there is no participant for the core to go on with.
    pub fn depart<P: Processor>(&mut self, why: Departure) -> Option<Crossing> {
        let top = P::top();
        let mut carried = None;
        if border::is_running_inside::<P>() && why == Departure::Preempted {
            let round = self.epochs.round();
            let fresh = self.epochs.claim()?;
            // What it carries falls behind while it waits, and a nudge reaches only whoever runs: so it
            // catches up by itself, as soon as it has left its outermost border.
            // SAFETY: the running strand's own borders; methods are called with interrupts masked.
            unsafe { border::mark_outermost(top) };
            match core::mem::replace(&mut self.participant, Held::Running(fresh)) {
                Held::Running(participant) => carried = Some(participant),
                Held::Halted(_) | Held::Moving => unreachable!("a strand runs here"),
            }
            self.epochs.note_repinned(self.core, round);
        } else {
            // SAFETY: the running strand's own borders; methods are called with interrupts masked.
            unsafe { border::hold_all(top) };
            self.catch_up();
        }
        let paused_ns = bound::is_bounded::<P>().then(P::now_ns);
        P::set_top(core::ptr::null_mut());
        Some(Crossing { top, paused_ns, carried })
    }

    /// A strand begins or goes on on this core.
    pub fn arrive<P: Processor>(&mut self, crossing: Crossing) {
        if let Some(participant) = crossing.carried {
            match core::mem::replace(&mut self.participant, Held::Running(participant)) {
                Held::Running(own) => own.park(),
                Held::Halted(_) | Held::Moving => unreachable!("the core has woken"),
            }
            self.epochs.note_behind(self.core);
        }
        P::set_top(crossing.top);
        if let Some(paused_ns) = crossing.paused_ns {
            bound::extend::<P>(P::now_ns().saturating_sub(paused_ns));
        }
    }

    /// The core is about to halt: nobody is inside here, and its epoch is the housekeeper's business.
    pub fn halt(&mut self) {
        self.participant = match core::mem::replace(&mut self.participant, Held::Moving) {
            Held::Running(participant) => {
                let lent = participant.lend();
                self.epochs.note_halted(self.core);
                Held::Halted(lent)
            }
            other => other,
        };
    }

    /// The core has woken. Must come before anything that may raise.
    pub fn wake(&mut self) {
        self.participant = match core::mem::replace(&mut self.participant, Held::Moving) {
            Held::Halted(lent) => {
                // From here on the core counts as one that can lag. Noted before it is taken back, so
                // that at no time it is owned and yet passed over.
                self.epochs.note_behind(self.core);
                Held::Running(lent.take_back())
            }
            other => other,
        };
        self.repin();
    }
}
