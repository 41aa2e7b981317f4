//! How somebody wants to be posted to, and what may come of it.

use core::fmt;

/// The most bytes of arguments that a post can copy.
pub const MOST_ARGS: usize = 256;
/// The strictest alignment of arguments that a post can copy.
pub const MOST_ALIGN: usize = 16;
/// The most invocations that a mailbox can be made to hold.
pub const MOST_CAPACITY: usize = 1 << 16;

/// On which core the invocations are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On the core on which the raiser was when it posted: each invocation on that of its own raiser.
    Here,
    /// On that core, wherever it was raised.
    Core(usize),
}

/// What becomes of an invocation for which there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFull {
    /// The raiser gets [`Full`].
    Refuse,
    /// It is dropped and counted, and the raiser goes on.
    Drop,
}

/// How invocations wait, and where they run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// On which core they run.
    pub place: Place,
    /// How many may wait: 1 to [`MOST_CAPACITY`], rounded up to a power of two.
    pub capacity: usize,
    /// What becomes of one too many.
    pub on_full: OnFull,
}

/// What became of a post.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posted {
    /// It waits for its turn.
    Queued,
    /// There was no room, and the owner wants such invocations dropped.
    Dropped,
}

/// There is no room, and the owner wants the raiser to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("its queue is full: raise it again when it has caught up, or install it with more room")
    }
}

impl core::error::Error for Full {}

/// Why there is no mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailboxError {
    /// The capacity is zero, or more than [`MOST_CAPACITY`].
    Capacity,
    /// The arguments are larger than [`MOST_ARGS`], or aligned more strictly than [`MOST_ALIGN`].
    Arguments,
    /// The core that was named does not run strands.
    NoSuchCore,
    /// No memory for the queue.
    OutOfMemory,
}

impl fmt::Display for MailboxError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity => {
                write!(out, "a queue holds 1 to {MOST_CAPACITY} invocations: ask for that many")
            }
            Self::Arguments => write!(
                out,
                "arguments of more than {MOST_ARGS} bytes, or aligned to more than {MOST_ALIGN}, cannot be \
                 posted: pass an index or a capability instead"
            ),
            Self::NoSuchCore => {
                out.write_str("the core that was named does not exist: `cores` lists those that do")
            }
            Self::OutOfMemory => out.write_str("no memory for the queue: ask for less room"),
        }
    }
}

impl core::error::Error for MailboxError {}

/// Who is invoked.
///
/// [`deliver`](Self::deliver) is called by a strand that may block, for one invocation after the other
/// in the order in which they were posted: never for two at once, although not always by the same
/// strand. Both methods are trusted code; entering a domain is their business, landing included.
pub trait Addressee: Send + Sync {
    /// Runs the handler.
    ///
    /// # Safety
    ///
    /// `args` points to a copy of what was posted, aligned to [`MOST_ALIGN`], which is the callee's
    /// alone until it returns.
    unsafe fn deliver(&self, args: *mut ());

    /// Is it removed, or its domain closed? Then what still waits is discarded. Asked before each
    /// delivery; once true, it stays so.
    fn is_gone(&self) -> bool;
}

/// What happened to a mailbox's invocations so far, for people: each is exact by itself, but they are
/// not read in one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// They were given a place in the queue.
    pub posted: usize,
    /// There was no room, and the raiser was told.
    pub refused: usize,
    /// There was no room, and the raiser was not told.
    pub dropped: usize,
    /// They were run.
    pub delivered: usize,
    /// They waited for somebody who was gone when their turn came.
    pub discarded: usize,
}
