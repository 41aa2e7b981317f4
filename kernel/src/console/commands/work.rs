//! `work`: something to do for a strand, to watch how the cores are shared.

use dispatcher::Processor;
use shell::{Call, Command, CommandError};

use super::strands::unknown_option;
use crate::{console::Kernel, strands::Cpu};

/// How long it computes before it gives way, or sleeps, in nanoseconds.
const YIELD_NS: u64 = 100_000;
const NAP_NS: u64 = 1_000_000;
/// How often it looks whether it is to end, in nanoseconds.
const LOOK_NS: u64 = 20_000_000;

pub const WORK: Command<Kernel> = Command {
    name: "work",
    summary: "compute for a while, for others to watch",
    usage: "work MILLISECONDS [--yield | --sleep]",
    example: "background --count 4 --priority 8 work 5000 --yield",
    help: "Computes for so long, by the clock, and says nothing. With --yield it gives way to \
           its equals after each 0.1 ms; with --sleep it sleeps for a millisecond after each that it has computed. \
           In the background it makes load: see `help background`, and `top`. At the console q or Ctrl-C ends it.",
    run,
    complete: |hint| match hint.arguments.len() {
        1 => ["--yield", "--sleep"].map(Into::into).into(),
        _ => alloc::vec::Vec::new(),
    },
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Greedy,
    Yielding,
    Sleeping,
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let milliseconds: u32 = call.arguments.number("MILLISECONDS")?;
    let manner = match call.arguments.optional_word() {
        None => Manner::Greedy,
        Some("--yield") => Manner::Yielding,
        Some("--sleep") => Manner::Sleeping,
        Some(option) => return Err(unknown_option(option)),
    };
    call.arguments.end()?;
    let begun_ns = Cpu::now_ns();
    let end_ns = begun_ns + u64::from(milliseconds) * 1_000_000;
    let mut next_look_ns = begun_ns + LOOK_NS;
    let stretch_ns = match manner {
        Manner::Yielding => YIELD_NS,
        Manner::Greedy | Manner::Sleeping => NAP_NS,
    };
    loop {
        let now = Cpu::now_ns();
        if now >= end_ns {
            break;
        }
        compute((now + stretch_ns).min(end_ns));
        match manner {
            Manner::Greedy => {}
            Manner::Yielding => sched::yield_now::<Cpu>(),
            Manner::Sleeping => sched::sleep_ns::<Cpu>(NAP_NS),
        }
        if Cpu::now_ns() >= next_look_ns {
            next_look_ns += LOOK_NS;
            if call.out.wait(0) {
                break;
            }
        }
    }
    Ok(())
}

/// Computes until then.
fn compute(until_ns: u64) {
    let mut number = 1_u64;
    while Cpu::now_ns() < until_ns {
        for _ in 0..100 {
            number = core::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17));
        }
    }
}
