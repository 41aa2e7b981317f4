//! The one way to wait: look, or else stand in line, block, and leave the line before the frame ends.

use alloc::boxed::Box;
use core::ptr::NonNull;

use crate::{
    error::Error,
    lock::Lock,
    queue::{Node, Queue},
    strands::Strands,
};

/// How long to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limit {
    deadline_ns: Option<u64>,
    is_interruptible: bool,
}

impl Limit {
    /// For ever, whatever happens.
    pub(crate) const NONE: Self = Self { deadline_ns: None, is_interruptible: false };
    /// Until the strand shall end.
    pub(crate) const INTERRUPTIBLE: Self = Self { deadline_ns: None, is_interruptible: true };

    /// Until then, or until the strand shall end.
    pub(crate) const fn until(deadline_ns: u64) -> Self {
        Self { deadline_ns: Some(deadline_ns), is_interruptible: true }
    }
}

/// Where to wait: the lock, the queue under it, and what else is to be done.
pub(crate) struct Line<'a, S: Strands, State, P, Select, Enrolled, Leave>
where
    Select: Fn(&mut State) -> &mut Queue<S, P>,
    Enrolled: FnOnce(),
    Leave: FnMut(&mut State, &mut P) -> bool,
{
    lock: &'a Lock<State, S>,
    /// The queue among what the lock guards.
    select: Select,
    /// After the strand stands in line, unshielded, before it blocks.
    enrolled: Enrolled,
    /// When the strand gives up, after it has left the line, under the lock: false says that it got what it
    /// waited for all the same.
    leave: Leave,
}

/// What comes of a wait.
pub(crate) enum Outcome<P> {
    /// There was no need to wait.
    Passed,
    /// It was granted; what was brought, or given instead.
    Granted(P),
    /// It was not; what was brought.
    GaveUp(Error, P),
}

impl<'a, S, State, P, Select, Enrolled, Leave> Line<'a, S, State, P, Select, Enrolled, Leave>
where
    S: Strands,
    Select: Fn(&mut State) -> &mut Queue<S, P>,
    Enrolled: FnOnce(),
    Leave: FnMut(&mut State, &mut P) -> bool,
{
    pub(crate) fn new(lock: &'a Lock<State, S>, select: Select, enrolled: Enrolled, leave: Leave) -> Self {
        Self { lock, select, enrolled, leave }
    }

    /// Asks `enter`, under the lock: `None` says that there is no need to wait; else what it says is what
    /// the strand brings. One round through the lock, unless the wait is cut short; no allocation, unless strands
    /// [can be cut](Strands::CAN_BE_CUT): then one, by those alone who must wait, whom it costs less than the switch.
    #[inline]
    #[track_caller]
    pub(crate) fn wait(self, limit: Limit, enter: impl FnOnce(&mut State) -> Option<P>) -> Outcome<P> {
        S::might_block();
        let frame = Node::new();
        let mut heap: Option<Box<Node<S, P>>> = None;
        let select = &self.select;
        let is_in_line = self.lock.with(|state| {
            let payload = enter(state);
            let is_in_line = payload.is_some();
            if let Some(payload) = payload {
                let node: &Node<S, P> =
                    if S::CAN_BE_CUT { heap.insert(Box::new(Node::new())) } else { &frame };
                // SAFETY: the node is new, and `Enrolment` sees to it that it is not moved or let go of
                // while it is linked. Where that can be cut out with its frame, the node is not in a frame, and stays.
                unsafe { select(state).push(node, S::current(), payload) };
            }
            is_in_line
        });
        if !is_in_line {
            return Outcome::Passed;
        }
        let mut enrolment = Enrolment {
            node: heap.as_deref().unwrap_or(&frame),
            lock: self.lock,
            select: &self.select,
            leave: self.leave,
            is_linked: true,
        };
        (self.enrolled)();
        let why = enrolment.block(limit);
        drop(enrolment);
        let node = heap.map_or(frame, |node| *node);
        let payload = node.into_payload().expect("it was in line");
        match why {
            None => Outcome::Granted(payload),
            Some(error) => Outcome::GaveUp(error, payload),
        }
    }
}

/// A node in line, which leaves it before it goes.
struct Enrolment<'a, S, State, P, Select, Leave>
where
    S: Strands,
    Select: Fn(&mut State) -> &mut Queue<S, P>,
    Leave: FnMut(&mut State, &mut P) -> bool,
{
    node: &'a Node<S, P>,
    lock: &'a Lock<State, S>,
    select: &'a Select,
    leave: Leave,
    is_linked: bool,
}

impl<S, State, P, Select, Leave> Enrolment<'_, S, State, P, Select, Leave>
where
    S: Strands,
    Select: Fn(&mut State) -> &mut Queue<S, P>,
    Leave: FnMut(&mut State, &mut P) -> bool,
{
    /// Blocks until it is granted, or until the limit.
    #[inline]
    #[track_caller]
    fn block(&mut self, limit: Limit) -> Option<Error> {
        loop {
            if limit.is_interruptible && S::is_terminated() {
                return self.give_up().then_some(Error::Terminated);
            }
            match limit.deadline_ns {
                None => S::block(),
                Some(deadline_ns) if S::now_ns() < deadline_ns => S::block_until(deadline_ns),
                Some(_) => return self.give_up().then_some(Error::TimedOut),
            }
            // Not granted, yet called: by somebody else, or by a granter who has not come to settling it, and
            // has the lock until then.
            if self.node.is_settled() || self.lock.with(|_| self.node.is_settled()) {
                self.is_linked = false;
                return None;
            }
        }
    }

    /// Leaves the line: false if it was granted before, or counts as such.
    #[cold]
    fn give_up(&mut self) -> bool {
        self.is_linked = false;
        let (node, select, leave) = (self.node, self.select, &mut self.leave);
        self.lock.with(|state| {
            // Under the lock, so nobody settles it meanwhile.
            if node.is_settled() {
                return false;
            }
            let place = NonNull::from(node);
            // SAFETY: linked, since it was and is not settled.
            unsafe { select(state).remove(place) };
            // SAFETY: nobody else can find it any more.
            leave(state, unsafe { Node::payload(place) })
        })
    }
}

impl<S, State, P, Select, Leave> Drop for Enrolment<'_, S, State, P, Select, Leave>
where
    S: Strands,
    Select: Fn(&mut State) -> &mut Queue<S, P>,
    Leave: FnMut(&mut State, &mut P) -> bool,
{
    fn drop(&mut self) {
        // Only where a block panicked.
        if self.is_linked {
            self.give_up();
        }
    }
}
