//! Bytes on their way from an interrupt to a reader.

use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// A queue of `N` bytes, without locks: one producer at a time, any number of consumers.
///
/// A full queue drops what comes, and counts it: old input is worth more than
/// new, since the start of a command is in it.
#[derive(Debug)]
pub struct ByteRing<const N: usize> {
    bytes: [AtomicU8; N],
    /// Bytes ever taken out; the next one lies at `head % N`.
    head: AtomicUsize,
    /// Bytes ever put in.
    tail: AtomicUsize,
    dropped: AtomicU64,
}

impl<const N: usize> ByteRing<N> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        // With another N the indices would jump when the counters wrap.
        const { assert!(N.is_power_of_two()) };
        Self {
            bytes: [const { AtomicU8::new(0) }; N],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Puts a byte in, or drops it where there is no room. Two producers at
    /// once may overwrite each other's bytes: the caller keeps them apart.
    pub fn push(&self, byte: u8) {
        // Relaxed: only the producer moves `tail`.
        let tail = self.tail.load(Ordering::Relaxed);
        // Acquire: synchronizes with the exchange in `pop`, whose read of the
        // place that is about to be used again is then over.
        if tail.wrapping_sub(self.head.load(Ordering::Acquire)) == N {
            // Relaxed: a counter for humans.
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Relaxed: published by the store to `tail`.
        self.bytes[tail % N].store(byte, Ordering::Relaxed);
        // Release: synchronizes with the load in `pop`.
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
    }

    /// Takes the oldest byte.
    pub fn pop(&self) -> Option<u8> {
        // Relaxed: the exchange below checks it.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // Acquire: synchronizes with the store in `push`; the byte is visible.
            if self.tail.load(Ordering::Acquire) == head {
                return None;
            }
            // Relaxed: a byte that another consumer took, and that may have been
            // overwritten since, is discarded when the exchange fails.
            let byte = self.bytes[head % N].load(Ordering::Relaxed);
            // Release: synchronizes with the load of `head` in `push`.
            match self.head.compare_exchange(head, head.wrapping_add(1), Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return Some(byte),
                Err(moved) => head = moved,
            }
        }
    }

    /// Bytes that found no room.
    pub fn dropped(&self) -> u64 {
        // Relaxed: a counter for humans.
        self.dropped.load(Ordering::Relaxed)
    }
}

impl<const N: usize> Default for ByteRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn keeps_order_and_drops_the_newest() {
        let ring = ByteRing::<4>::new();
        (0..6).for_each(|byte| ring.push(byte));
        assert_eq!(ring.dropped(), 2);
        assert_eq!([ring.pop(), ring.pop()], [Some(0), Some(1)]);
        ring.push(9);
        let rest: std::vec::Vec<_> = core::iter::from_fn(|| ring.pop()).collect();
        assert_eq!(rest, [2, 3, 9]);
    }

    #[test]
    fn nothing_is_lost_or_doubled_between_threads() {
        let rounds = if cfg!(miri) { 200_u32 } else { 200_000 };
        let ring = ByteRing::<64>::new();
        let total = thread::scope(|scope| {
            let consumer = || {
                let (mut sum, mut count) = (0_u64, 0_u64);
                loop {
                    match ring.pop() {
                        Some(255) => return (sum, count),
                        Some(byte) => {
                            sum += u64::from(byte);
                            count += 1;
                        }
                        None => thread::yield_now(),
                    }
                }
            };
            let consumers = [scope.spawn(consumer), scope.spawn(consumer)];
            let push = |byte| {
                loop {
                    let before = ring.dropped();
                    ring.push(byte);
                    if ring.dropped() == before {
                        return;
                    }
                    thread::yield_now();
                }
            };
            for round in 0..rounds {
                push((round % 250) as u8);
            }
            push(255);
            push(255);
            consumers.map(|consumer| consumer.join().unwrap())
        });
        let expected: u64 = (0..rounds).map(|round| u64::from(round % 250)).sum();
        assert_eq!(total[0].0 + total[1].0, expected);
        assert_eq!(total[0].1 + total[1].1, u64::from(rounds));
    }
}
