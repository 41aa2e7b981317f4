//! A terminal as a person has it: keys are typed beforehand, and what they would see can be asked for.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::collections::VecDeque;
use std::num::NonZero;

use shell::Terminal;

pub struct Screen {
    emulator: vt100::Parser,
    input: VecDeque<u8>,
    /// Does the terminal tell the place of its cursor when it is asked?
    pub answers: bool,
    /// How often it was asked, and how often the bell rang.
    pub asked: usize,
    pub bells: usize,
    /// Bytes that were shown.
    pub shown: usize,
}

impl Screen {
    pub fn new(rows: u16, columns: u16, keys: &str) -> Self {
        let emulator = vt100::Parser::new(size(rows), size(columns), 1000);
        let input = keys.bytes().collect();
        Self { emulator, input, answers: true, asked: 0, bells: 0, shown: 0 }
    }

    /// Lets somebody type more.
    pub fn type_keys(&mut self, keys: &str) {
        self.input.extend(keys.bytes());
    }

    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.emulator.screen_mut().set_size(size(rows), size(columns));
    }

    /// The rows from the top, without blanks at their ends and without empty rows at the bottom.
    pub fn rows(&self) -> Vec<String> {
        let screen = self.emulator.screen();
        let mut rows: Vec<_> =
            screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_string()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Row and column, from 0.
    pub fn cursor(&self) -> (u16, u16) {
        self.emulator.screen().cursor_position()
    }
}

fn size(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a screen shows something")
}

impl Terminal for Screen {
    fn read_byte(&mut self) -> Option<u8> {
        self.input.pop_front()
    }

    fn read_byte_within(&mut self, _timeout_ms: u32) -> Option<u8> {
        self.input.pop_front()
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.shown += bytes.len();
        for &byte in bytes {
            self.bells += usize::from(byte == 7);
        }
        // The question is answered from where the cursor stands when it comes.
        let question = b"\x1b[6n";
        let end = bytes.windows(4).position(|part| part == question).map_or(0, |start| start + 4);
        self.emulator.process(&bytes[..end]);
        if end > 0 {
            self.asked += 1;
            if self.answers {
                let (row, column) = self.cursor();
                self.type_keys(&format!("\x1b[{};{}R", row + 1, column + 1));
            }
        }
        self.emulator.process(&bytes[end..]);
    }
}
