//! A bounded queue of copied arguments: many strands push without locks, one at a time pops.
//!
//! After D. Vyukov's bounded queue: each slot carries a *sequence* that says whose turn it is. A pusher
//! claims a place by one compare-and-swap on the tail, copies, and hands the slot over by one store.
//! Sequences count in twos (free for place *p*: 2*p*; full with it: 2*p* + 1), so a queue of one works.
//!
//! Nobody waits for anybody. A pusher that is interrupted between claiming and handing over keeps those
//! behind it from being popped until it goes on, and no pusher from pushing.

use alloc::alloc::{Layout, alloc, dealloc};
use core::{mem::MaybeUninit, ptr::NonNull};

use super::posting::{Full, MOST_ALIGN, MOST_ARGS, MOST_CAPACITY, MailboxError};
use crate::primitive::{AtomicUsize, Ordering, UnsafeCell};

/// What a slot starts with; the arguments follow.
#[repr(C, align(16))]
struct Slot {
    /// Whose turn it is.
    sequence: AtomicUsize,
    /// The core from which it was posted. It belongs to whoever the sequence says, and the arguments
    /// behind it go with it.
    origin: UnsafeCell<usize>,
}

const _: () = assert!(align_of::<Slot>() >= MOST_ALIGN && size_of::<Slot>().is_multiple_of(MOST_ALIGN));

/// On a cache line of its own (two: processors fetch them in pairs).
#[repr(align(128))]
struct Apart(AtomicUsize);

/// The queue.
pub struct Ring {
    slots: NonNull<u8>,
    /// From one slot to the next, in bytes.
    stride: usize,
    /// The number of slots, a power of two, less one.
    mask: usize,
    args_size: usize,
    /// The next place to claim: how many were pushed so far.
    tail: Apart,
    /// The next place to pop. Written by the one consumer.
    head: Apart,
}

// SAFETY: a slot is written by the pusher that claimed it and read by the one consumer, as its
// sequence says. What is copied comes from `push`, whose caller vouches that it may be sent.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// An empty queue for at least `capacity` copies of arguments of that layout.
    ///
    /// # Errors
    ///
    /// [`MailboxError`], except `NoSuchCore`.
    pub fn new(args: Layout, capacity: usize) -> Result<Self, MailboxError> {
        if args.size() > MOST_ARGS || args.align() > MOST_ALIGN {
            return Err(MailboxError::Arguments);
        }
        if !(1..=MOST_CAPACITY).contains(&capacity) {
            return Err(MailboxError::Capacity);
        }
        let capacity = capacity.next_power_of_two();
        let stride = size_of::<Slot>() + args.size().next_multiple_of(MOST_ALIGN);
        let layout = Self::layout(stride, capacity);
        // SAFETY: the layout has a size, since a slot has one.
        let slots = NonNull::new(unsafe { alloc(layout) }).ok_or(MailboxError::OutOfMemory)?;
        let ring = Self {
            slots,
            stride,
            mask: capacity - 1,
            args_size: args.size(),
            tail: Apart(AtomicUsize::new(0)),
            head: Apart(AtomicUsize::new(0)),
        };
        for place in 0..capacity {
            let slot = Slot { sequence: AtomicUsize::new(2 * place), origin: UnsafeCell::new(0) };
            // SAFETY: memory of ours that nobody looks at yet; aligned, since the stride is.
            unsafe { ring.at(place).write(slot) };
        }
        Ok(ring)
    }

    fn layout(stride: usize, capacity: usize) -> Layout {
        Layout::from_size_align(stride * capacity, align_of::<Slot>()).expect("both are bounded")
    }

    /// How many it holds.
    pub fn capacity(&self) -> usize {
        self.mask + 1
    }

    /// How many were ever pushed.
    pub fn pushed(&self) -> usize {
        self.tail.0.load(Ordering::Relaxed)
    }

    fn at(&self, place: usize) -> *mut Slot {
        // SAFETY: inside the allocation, by the mask.
        unsafe { self.slots.add((place & self.mask) * self.stride) }.cast().as_ptr()
    }

    fn slot(&self, place: usize) -> &Slot {
        // SAFETY: `new` made one there, and only `drop` ends it.
        unsafe { &*self.at(place) }
    }

    /// Where the arguments of a slot are. To be used by whom the slot's sequence gives it to.
    fn args(&self, place: usize) -> *mut u8 {
        // SAFETY: the arguments follow the slot, in its stride.
        unsafe { self.at(place).add(1) }.cast()
    }

    /// Copies the arguments into the queue. From anywhere, interrupts included; two locked
    /// instructions less one.
    ///
    /// # Errors
    ///
    /// [`Full`].
    ///
    /// # Safety
    ///
    /// `args` points to arguments of the layout that the queue was made for, which may be copied and
    /// sent to another strand.
    #[inline]
    pub unsafe fn push(&self, args: *const u8, origin: usize) -> Result<(), Full> {
        let mut tail = self.tail.0.load(Ordering::Relaxed);
        loop {
            // Acquire: pairs with the Release in `pop`; the slot was read before it is written again.
            let sequence = self.slot(tail).sequence.load(Ordering::Acquire);
            match sequence.wrapping_sub(tail.wrapping_mul(2)).cast_signed() {
                // Relaxed: the slot's sequence, not the tail, says what was done to the slot.
                0 => match self.tail.0.compare_exchange_weak(
                    tail,
                    tail.wrapping_add(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => break,
                    Err(now) => tail = now,
                },
                // Still taken by one that was pushed a whole round ago.
                ..0 => return Err(Full),
                // Somebody claimed it meanwhile.
                _ => tail = self.tail.0.load(Ordering::Relaxed),
            }
        }
        let slot = self.slot(tail);
        slot.origin.with_mut(|own| {
            // SAFETY: this place is ours, by the exchange above, until the sequence is stored.
            unsafe { own.write(origin) };
            // SAFETY: as above; by the contract the arguments are of the size for which there is room.
            unsafe { copy(args, self.args(tail), self.args_size) };
        });
        // Release: the consumer (Acquire in `is_ready`) sees the copy.
        slot.sequence.store(tail.wrapping_mul(2).wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Is there one to pop? A hint, unless asked by the one consumer.
    #[inline]
    pub fn is_ready(&self) -> bool {
        let head = self.head.0.load(Ordering::Relaxed);
        self.slot(head).sequence.load(Ordering::Acquire) == head.wrapping_mul(2).wrapping_add(1)
    }

    /// The core from which the first in line was posted.
    ///
    /// # Safety
    ///
    /// The caller is the one consumer.
    pub unsafe fn origin(&self) -> Option<usize> {
        let head = self.head.0.load(Ordering::Relaxed);
        self.is_ready().then(|| {
            self.slot(head).origin.with_mut(|own| {
                // SAFETY: a full slot is the consumer's.
                unsafe { own.read() }
            })
        })
    }

    /// Takes the first in line: copies its arguments to `into`. False if there is none.
    ///
    /// # Safety
    ///
    /// The caller is the one consumer, and `into` has room for the arguments.
    pub unsafe fn pop(&self, into: *mut u8) -> bool {
        if !self.is_ready() {
            return false;
        }
        // Relaxed: written by the consumer alone; who is consumer is passed on by the mailbox's flag.
        let head = self.head.0.load(Ordering::Relaxed);
        let slot = self.slot(head);
        // SAFETY: a full slot is the consumer's, and `into` has room.
        slot.origin.with_mut(|_| unsafe { copy(self.args(head), into, self.args_size) });
        let next_round = head.wrapping_add(self.capacity()).wrapping_mul(2);
        // Release: whoever takes the slot again (Acquire in `push`) does so after it was read.
        slot.sequence.store(next_round, Ordering::Release);
        self.head.0.store(head.wrapping_add(1), Ordering::Relaxed);
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for place in 0..self.capacity() {
            // SAFETY: `new` made it, and nobody uses it any more. What waits is plain data.
            unsafe { self.at(place).drop_in_place() };
        }
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.slots.as_ptr(), Self::layout(self.stride, self.capacity())) };
    }
}

/// Copies `size` bytes, whatever they are: padding and pointers too. The sizes that are common are
/// moves; in a kernel, the general procedure begins with string instructions, which take longer.
///
/// # Safety
///
/// As [`core::ptr::copy_nonoverlapping`].
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, size: usize) {
    /// # Safety
    ///
    /// As above, for `N` bytes.
    #[inline(always)]
    unsafe fn exactly<const N: usize>(from: *const u8, to: *mut u8) {
        // SAFETY: by the contract; bytes have no alignment.
        let bytes = unsafe { from.cast::<[MaybeUninit<u8>; N]>().read() };
        // SAFETY: by the contract.
        unsafe { to.cast::<[MaybeUninit<u8>; N]>().write(bytes) };
    }
    match size {
        0 => {}
        // SAFETY: by the contract, here and below.
        4 => unsafe { exactly::<4>(from, to) },
        // SAFETY: as above.
        8 => unsafe { exactly::<8>(from, to) },
        // SAFETY: as above.
        16 => unsafe { exactly::<16>(from, to) },
        // SAFETY: as above.
        24 => unsafe { exactly::<24>(from, to) },
        // SAFETY: as above.
        32 => unsafe { exactly::<32>(from, to) },
        // SAFETY: as above.
        _ => unsafe { core::ptr::copy_nonoverlapping(from, to, size) },
    }
}
