//! The serial line, as the shell wants it: bytes for which one strand sleeps.

use alloc::sync::Arc;

use shell::Terminal;
use spin::Once;

use crate::{
    print, serial,
    strands::{Cpu, Strand},
};

static READER: Once<Arc<Strand>> = Once::new();

/// The serial line.
pub struct Serial(());

impl Serial {
    /// The serial line, for the strand that calls; there is one reader.
    pub fn new() -> Self {
        READER.call_once(sched::current::<Cpu>);
        serial::set_on_input(|| {
            if let Some(reader) = READER.get() {
                sched::unblock(reader);
            }
        });
        Self(())
    }
}

impl Terminal for Serial {
    fn read_byte(&mut self) -> Option<u8> {
        loop {
            match serial::read() {
                Some(byte) => return Some(byte),
                None => sched::block::<Cpu>(),
            }
        }
    }

    fn read_byte_within(&mut self, timeout_ms: u32) -> Option<u8> {
        use dispatcher::Processor;

        let deadline = Cpu::now_ns() + u64::from(timeout_ms) * 1_000_000;
        loop {
            match serial::read() {
                Some(byte) => return Some(byte),
                None if Cpu::now_ns() >= deadline => return None,
                None => sched::block_until::<Cpu>(deadline),
            }
        }
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            // The line's driver adds the carriage returns by itself.
            for (index, piece) in chunk.valid().split("\r\n").enumerate() {
                print!("{}{piece}", if index > 0 { "\n" } else { "" });
            }
        }
    }
}
