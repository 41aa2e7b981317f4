//! What can go wrong with events.

use core::fmt;

use crate::{handler::BindingId, post::MailboxError};

/// Why a raise brought no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RaiseError {
    /// No handler is installed whose guards hold, and the event has no intrinsic and no default one.
    NoHandler,
    /// The only handlers there were did not run to their end: their domain failed.
    Cut,
    /// The raiser had too little stack left to enter anybody's code: raises nest too deeply.
    OutOfStack,
    /// An asynchronous handler's queue is full, or the event's, and whoever made it wants that told. The
    /// other handlers have run.
    QueueFull,
    /// All that fired is asynchronous: it will answer nobody, and the event has no default.
    Posted,
    /// The event takes no asynchronous raises.
    NoQueue,
}

impl fmt::Display for RaiseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoHandler => "no handler is installed for it, and the event has none of its own",
            Self::Cut => "its handler failed and was cut",
            Self::OutOfStack => "too little stack is left to enter a handler: raise from less deep",
            Self::QueueFull => "a queue is full: raise it again when its handler has caught up",
            Self::Posted => "its handlers are asynchronous and answer nobody, and the event has no default",
            Self::NoQueue => "it takes no asynchronous raises: its owner has made no room for them",
        })
    }
}

impl core::error::Error for RaiseError {}

/// Why nothing was changed on an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstallError {
    /// The event has as many handlers as its owner allows.
    TooMany,
    /// The handler's domain has as many handlers as it may.
    Quota,
    /// No memory for the new plan; the old one stands.
    OutOfMemory,
    /// The handler's domain is being retired.
    Closed,
    /// No such binding on this event: it was never there, or somebody removed it first.
    Unknown,
    /// Before or after that one it cannot be: no such binding is on this event.
    NoNeighbour(BindingId),
    /// What the handlers asked of their order cannot all be had: it goes in a circle, or two wishes
    /// contradict each other.
    Cycle,
    /// A key lies outside of the event's arguments.
    BadKey,
    /// The event's owner forbids it.
    Denied(Denial),
    /// It would be waited for itself: the caller runs in the very handler that is to be drained.
    WouldWaitForItself,
    /// The caller must not block here, and this waits: see [`crate::context`].
    MustNotBlock,
    /// There is no such mailbox for an asynchronous handler.
    Mailbox(MailboxError),
    /// A filter cannot be asynchronous: those after it would not see what it does.
    PostedFilter,
    /// The event takes asynchronous raises already.
    TakesPosts,
}

/// By what rule an owner forbids a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// He has said nothing: without an authorizer nobody else may install.
    Unasked,
    /// By the authorizer's rule of this name.
    Rule(&'static str),
}

impl fmt::Display for InstallError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => out.write_str("the event has all the handlers that it takes: remove one first"),
            Self::Quota => out.write_str("the domain has all the handlers that it may: remove one first"),
            Self::OutOfMemory => out.write_str("no memory for a new plan: nothing was changed"),
            Self::Closed => out.write_str("the handler's domain is being retired"),
            Self::Unknown => out.write_str("no such binding on this event: it may have been removed already"),
            Self::NoNeighbour(id) => {
                write!(out, "cannot be ordered by binding {id}: it is not on this event")
            }
            Self::Cycle => out.write_str("the wishes for an order contradict each other: drop one"),
            Self::BadKey => out.write_str("the key lies outside of the event's arguments"),
            Self::Denied(Denial::Unasked) => {
                out.write_str("denied: the event's owner lets nobody else install (it has no authorizer)")
            }
            Self::Denied(Denial::Rule(rule)) => {
                write!(out, "denied by the rule '{rule}' of the event's owner")
            }
            Self::WouldWaitForItself => {
                out.write_str("the caller runs in this handler: remove it now instead, or from elsewhere")
            }
            Self::Mailbox(why) => write!(out, "cannot be asynchronous: {why}"),
            Self::PostedFilter => {
                out.write_str("a filter cannot be asynchronous: nobody would see what it does")
            }
            Self::TakesPosts => out.write_str("the event takes asynchronous raises already"),
            Self::MustNotBlock => out.write_str("what may not block cannot wait: remove it now instead"),
        }
    }
}

impl core::error::Error for InstallError {}
