//! Exhaustive models of how a watched event's raises are remembered, on the real source file:
//! `RUSTFLAGS="--cfg loom" cargo test -p dispatcher --release --test loom_observe`.
#![cfg(loom)]
#![allow(dead_code, reason = "the models use parts of the files")]

#[path = "../src/primitive.rs"]
mod primitive;
#[path = "../src/trace.rs"]
mod trace;

use loom::{sync::Arc, thread};
use trace::{Remembered, Trace};

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(body);
}

/// Raises that come to the same room, one time round after the other.
const ROUNDS: [u64; 3] = [0, 64, 128];

/// Each part of it tells which raise it is of.
fn trace(number: u64) -> Trace {
    Trace { number, began_ns: number + 1, took_ns: number + 2, is_answered: number != 64 }
}

fn read_whole_or_not(room: &Remembered, number: u64) -> bool {
    let read = room.read(number);
    assert!(read.is_none_or(|read| read == trace(number)), "torn: {read:?}");
    read.is_some()
}

/// One strand that writes round after round.
#[test]
fn a_reader_gets_a_record_whole_or_not_at_all() {
    model(3, || {
        let room = Arc::new(Remembered::new());
        let writer = {
            let room = room.clone();
            thread::spawn(move || ROUNDS.map(|number| room.write(trace(number))))
        };
        read_whole_or_not(&room, 64);
        read_whole_or_not(&room, 0);
        writer.join().unwrap();
        assert_eq!(ROUNDS.map(|number| read_whole_or_not(&room, number)), [false, false, true]);
    });
}

/// Two strands whose turns come to the same room, since one of them was preempted in it.
#[test]
fn two_who_write_at_once_leave_one_record_whole() {
    model(2, || {
        let room = Arc::new(Remembered::new());
        let writers = [0, 64].map(|number| {
            let room = room.clone();
            thread::spawn(move || room.write(trace(number)))
        });
        read_whole_or_not(&room, 64);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let left = [0, 64].map(|number| read_whole_or_not(&room, number));
        assert!(left[0] != left[1], "one of them was written: {left:?}");
    });
}

/// A later raise is not overwritten by one that was held up.
#[test]
fn a_late_writer_does_not_bring_back_the_past() {
    model(4, || {
        let room = Arc::new(Remembered::new());
        room.write(trace(64));
        let late = {
            let room = room.clone();
            thread::spawn(move || room.write(trace(0)))
        };
        assert!(read_whole_or_not(&room, 64));
        late.join().unwrap();
        assert!(read_whole_or_not(&room, 64));
    });
}
