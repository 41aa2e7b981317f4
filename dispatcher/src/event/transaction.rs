//! Several changes of several events, all or nothing.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, marker::PhantomData, ptr};

use super::{
    AnyEvent, Event, InstallError, Operation,
    change::{Change, Incoming, Replaced},
};
use crate::{
    binding::Binding,
    handler::{BindingId, Handler, RawHandler},
    processor::Processor,
};

/// Changes that are made together: if one cannot be made, none is. Each event changes at one instant;
/// raises of different events may see different sides of it.
///
/// ```
/// use dispatcher::{Event, Handler, Transaction, host::{Host, World}};
///
/// static OPENED: Event<u32, (), Host> = Event::new("Door.Opened", None).open();
/// static CLOSED: Event<u32, (), Host> = Event::new("Door.Closed", None).open();
///
/// let world = World::new();
/// let _core = world.attach();
/// let ids = Transaction::new()
///     .install(&OPENED, Handler::trusted(|_| ()))
///     .install(&CLOSED, Handler::trusted(|_| ()))
///     .commit()
///     .unwrap();
/// assert_eq!(ids.len(), 2);
/// # Transaction::new().remove(&OPENED, ids[0]).remove(&CLOSED, ids[1]).commit().unwrap();
/// # world.drain();
/// ```
#[must_use = "nothing is changed before it is committed"]
pub struct Transaction<'a, P> {
    steps: Vec<Step<'a>>,
    _processor: PhantomData<fn() -> P>,
}

struct Step<'a> {
    event: &'a AnyEvent,
    what: What<'a>,
}

enum What<'a> {
    Install(Ask<'a>),
    Remove(BindingId),
    Replace(BindingId, Ask<'a>),
}

/// Asks the event's owner.
type Ask<'a> = Box<dyn FnOnce() -> Result<(BindingId, Incoming), InstallError> + 'a>;

/// A step that cannot be made, and why; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which one, from 0.
    pub step: usize,
    /// Why.
    pub why: InstallError,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "step {}: {}", self.step + 1, self.why)
    }
}

impl core::error::Error for Failure {}

/// A step after its owner was asked.
enum Ready {
    Install(BindingId, Option<Incoming>),
    Remove(BindingId),
    Replace(BindingId, BindingId, Option<Incoming>),
}

impl<P: Processor> Default for Transaction<'_, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, P: Processor> Transaction<'a, P> {
    /// One without steps.
    pub const fn new() -> Self {
        Self { steps: Vec::new(), _processor: PhantomData }
    }

    /// Installs a handler.
    pub fn install<A: 'static, R: Copy + 'static>(
        self,
        event: &'a Event<A, R, P>,
        handler: Handler<A, R>,
    ) -> Self {
        // SAFETY: the handler has the event's types.
        unsafe { self.install_raw(event, handler.raw) }
    }

    /// [`install`](Self::install) for a handler without types.
    ///
    /// # Safety
    ///
    /// As for [`Event::install_raw`].
    pub unsafe fn install_raw<A: 'static, R: Copy + 'static>(
        self,
        event: &'a Event<A, R, P>,
        handler: RawHandler,
    ) -> Self {
        let ask = Box::new(move || event.ask(Operation::Install, handler));
        self.step(&event.any, What::Install(ask))
    }

    /// Removes a binding, *now*.
    pub fn remove<A: 'static, R: Copy + 'static>(self, event: &'a Event<A, R, P>, id: BindingId) -> Self {
        self.step(&event.any, What::Remove(id))
    }

    /// Puts a handler in the place of another.
    pub fn replace<A: 'static, R: Copy + 'static>(
        self,
        event: &'a Event<A, R, P>,
        old: BindingId,
        handler: Handler<A, R>,
    ) -> Self {
        let ask = Box::new(move || event.ask(Operation::Replace(old), handler.raw));
        self.step(&event.any, What::Replace(old, ask))
    }

    fn step(mut self, event: &'a AnyEvent, what: What<'a>) -> Self {
        self.steps.push(Step { event, what });
        self
    }

    /// Makes the changes. Says the ids of the handlers that came in, in the order of the steps.
    ///
    /// Cost: a new plan for each event. The events' locks are taken in the order of their addresses.
    ///
    /// # Errors
    ///
    /// Which step cannot be made; nothing has changed then.
    pub fn commit(self) -> Result<Vec<BindingId>, Failure> {
        let mut events: Vec<&AnyEvent> = self.steps.iter().map(|step| step.event).collect();
        events.sort_by_key(|event| ptr::from_ref(*event).addr());
        events.dedup_by(|one, other| ptr::eq(*one, *other));
        let mut ready = Vec::with_capacity(self.steps.len());
        // Whatever comes of it, the last to let go of a handler is out here, under no lock.
        let mut kept: Vec<Arc<Binding>> = Vec::new();
        for (number, Step { event, what }) in self.steps.into_iter().enumerate() {
            let fail = |why| Failure { step: number, why };
            let mut admit = |ask: Ask<'_>| -> Result<(BindingId, Option<Incoming>), Failure> {
                let (id, incoming) = ask().map_err(fail)?;
                kept.push(incoming.binding.clone());
                Ok((id, Some(incoming)))
            };
            let step = match what {
                What::Remove(id) => Ready::Remove(id),
                What::Install(ask) => admit(ask).map(|(id, incoming)| Ready::Install(id, incoming))?,
                What::Replace(old, ask) => {
                    admit(ask).map(|(id, incoming)| Ready::Replace(old, id, incoming))?
                }
            };
            let at = events.iter().position(|other| ptr::eq(*other, event)).expect("it was collected");
            ready.push((at, step));
        }
        let ids = ready.iter().filter_map(|(_, step)| match step {
            Ready::Install(id, _) | Ready::Replace(_, id, _) => Some(*id),
            Ready::Remove(_) => None,
        });
        let ids = ids.collect();
        let mut replaced = Vec::with_capacity(events.len());
        P::unpreempted(|| change_all::<P>(&events, &mut ready, &mut replaced))?;
        replaced.into_iter().for_each(Replaced::retire::<P>);
        Ok(ids)
    }
}

fn change_all<P: Processor>(
    events: &[&AnyEvent],
    ready: &mut [(usize, Ready)],
    replaced: &mut Vec<Replaced>,
) -> Result<(), Failure> {
    let last_of = |at: usize| ready_step(ready, at);
    let lasts: Vec<usize> = (0..events.len()).map(last_of).collect();
    let mut changes: Vec<Change<'_>> = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        changes.push(event.begin().map_err(|why| Failure { step: lasts[at], why })?);
    }
    for (number, (at, step)) in ready.iter_mut().enumerate() {
        let edit = &mut changes[*at].edit;
        let done = match step {
            Ready::Install(id, incoming) => edit.install(*id, incoming),
            Ready::Remove(id) => edit.remove(|binding| binding.id == *id).map(drop),
            Ready::Replace(old, id, incoming) => edit.replace(*old, *id, incoming),
        };
        done.map_err(|why| Failure { step: number, why })?;
    }
    for (at, change) in changes.iter_mut().enumerate() {
        change.compile(P::retired()).map_err(|why| Failure { step: lasts[at], why })?;
    }
    replaced.extend(changes.into_iter().map(Change::publish));
    Ok(())
}

/// The last step that touches the event.
fn ready_step(ready: &[(usize, Ready)], event: usize) -> usize {
    ready.iter().rposition(|(at, _)| *at == event).unwrap_or_default()
}
