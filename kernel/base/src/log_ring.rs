//! The last lines of the log, in memory, written without locks.
//!
//! A writer claims the next slot, so writers meet only where one of them was
//! overtaken by a whole ring; then the later line is dropped and counted. Any
//! context may write: a writer never waits. Readers check a sequence number
//! before and after (a seqlock whose data are atomics, so a torn read is
//! noticed and is no undefined behaviour).

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use crate::line::Line;

/// Bytes kept of a line; longer ones are cut.
pub const LINE_SIZE: usize = 240;
const WORDS: usize = LINE_SIZE / 8;

/// The last `LINES` lines.
#[derive(Debug)]
pub struct LogRing<const LINES: usize> {
    slots: [Slot; LINES],
    /// Lines ever begun: the number of the next.
    next: AtomicU64,
    /// Lines dropped because their slot was still being written.
    lost: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    /// 0: never used. 2n + 1: line n is being written. 2n + 2: line n stands here.
    state: AtomicU64,
    len: AtomicUsize,
    words: [AtomicU64; WORDS],
}

impl Slot {
    const fn new() -> Self {
        let words = [const { AtomicU64::new(0) }; WORDS];
        Self { state: AtomicU64::new(0), len: AtomicUsize::new(0), words }
    }
}

impl<const LINES: usize> LogRing<LINES> {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [const { Slot::new() }; LINES], next: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    /// Keeps a line, in place of the oldest.
    pub fn push(&self, line: &Line<LINE_SIZE>) {
        // Relaxed: it only hands out numbers.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.slot(number);
        let writing = 2 * number + 1;
        // Relaxed: the exchange below checks it.
        let state = slot.state.load(Ordering::Relaxed);
        let is_free = state.is_multiple_of(2) && state < writing;
        // Acquire: synchronizes with the release of the slot's last writer, so
        // that its words come before ours.
        let claim = || slot.state.compare_exchange(state, writing, Ordering::Acquire, Ordering::Relaxed);
        if !is_free || claim().is_err() {
            // Relaxed: a counter for humans.
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Release: pairs with the fence in `read`: who sees a word of ours sees
        // the claim too.
        fence(Ordering::Release);
        let text = line.as_str().as_bytes();
        // Relaxed, here and for the words: published by the store to `state`.
        slot.len.store(text.len(), Ordering::Relaxed);
        for (word, chunk) in slot.words.iter().zip(text.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        // Release: synchronizes with the first load in `read`.
        slot.state.store(writing + 1, Ordering::Release);
    }

    /// The lines that are there, oldest first; at most those begun before the call.
    /// Lines overwritten meanwhile are left out.
    pub fn lines(&self) -> impl Iterator<Item = Line<LINE_SIZE>> {
        // Relaxed: `read` checks each line for itself.
        let end = self.next.load(Ordering::Relaxed);
        (end.saturating_sub(LINES as u64)..end).filter_map(|number| self.read(number))
    }

    /// Lines that are no longer there, overwritten or lost.
    pub fn dropped(&self) -> u64 {
        // Relaxed: counters for humans.
        let overwritten = self.next.load(Ordering::Relaxed).saturating_sub(LINES as u64);
        overwritten + self.lost.load(Ordering::Relaxed)
    }

    fn read(&self, number: u64) -> Option<Line<LINE_SIZE>> {
        let slot = self.slot(number);
        let complete = 2 * number + 2;
        // Acquire: synchronizes with the last store in `push`.
        if slot.state.load(Ordering::Acquire) != complete {
            return None;
        }
        // Relaxed, here and for the words: the check below throws torn ones away.
        let len = slot.len.load(Ordering::Relaxed).min(LINE_SIZE);
        let mut bytes = [0; LINE_SIZE];
        for (chunk, word) in bytes.chunks_mut(8).zip(&slot.words).take(len.div_ceil(8)) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        // Acquire: pairs with the fence in `push`.
        fence(Ordering::Acquire);
        if slot.state.load(Ordering::Relaxed) != complete {
            return None;
        }
        let mut line = Line::new();
        line.push_str(str::from_utf8(&bytes[..len]).ok()?);
        Some(line)
    }

    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number % LINES as u64) as usize]
    }
}

impl<const LINES: usize> Default for LogRing<LINES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write;
    use std::string::{String, ToString};
    use std::vec::Vec;
    use std::{format, thread};

    use super::*;

    fn line(text: &str) -> Line<LINE_SIZE> {
        let mut line = Line::new();
        line.write_str(text).unwrap();
        line
    }

    fn texts<const N: usize>(ring: &LogRing<N>) -> Vec<String> {
        ring.lines().map(|line| line.as_str().to_string()).collect()
    }

    #[test]
    fn keeps_the_last_lines_and_counts_the_others() {
        let ring = LogRing::<3>::new();
        assert!(texts(&ring).is_empty());
        for number in 0..5 {
            ring.push(&line(&format!("line number {number}")));
        }
        assert_eq!(texts(&ring), ["line number 2", "line number 3", "line number 4"]);
        assert_eq!(ring.dropped(), 2);
        ring.push(&line(""));
        assert_eq!(texts(&ring)[2], "");
    }

    #[test]
    fn long_lines_are_cut() {
        let ring = LogRing::<2>::new();
        ring.push(&line(&"€".repeat(LINE_SIZE)));
        assert_eq!(texts(&ring), ["€".repeat(LINE_SIZE / 3)]);
    }

    #[test]
    fn a_writer_that_never_ends_costs_its_slot_only() {
        let ring = LogRing::<2>::new();
        ring.slots[0].state.store(1, Ordering::Relaxed);
        ring.next.store(1, Ordering::Relaxed);
        for number in 1..6 {
            ring.push(&line(&format!("{number}")));
        }
        assert_eq!(texts(&ring), ["5"]);
        assert_eq!(ring.dropped(), 6 - 2 + 2);
    }

    #[test]
    fn readers_see_whole_lines_while_others_write() {
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        let ring = LogRing::<4>::new();
        thread::scope(|scope| {
            for writer in 0..3_u8 {
                let ring = &ring;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let letter = char::from(b'a' + (writer * 8 + (round % 8) as u8));
                        ring.push(&line(&String::from(letter).repeat(round % LINE_SIZE)));
                    }
                });
            }
            for _ in 0..rounds {
                for text in texts(&ring) {
                    let first = text.chars().next().unwrap_or('a');
                    assert!(text.chars().all(|letter| letter == first), "torn: {text}");
                }
            }
        });
    }
}
