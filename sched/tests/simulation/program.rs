//! What is done to the scheduler: the strands of a run, and what each does.

use stress::dice::Dice;

/// One act of a strand. Strands are meant by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Computes for so many turns.
    Compute(u8),
    Yield,
    /// Waits to be called, no longer than so many microseconds.
    Block(u32),
    /// Sleeps for so many microseconds.
    Sleep(u32),
    Unblock(u8),
    SetPriority(u8, u8),
    /// To these cores, of the first eight; to all if none of them is there.
    SetAffinity(u8, u8),
    /// Lends, and takes back when so many turns were computed.
    Lend(u8, u8, u8),
    Terminate(u8),
}

/// A strand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub priority: u8,
    pub affinity: u8,
    pub ops: Vec<Op>,
}

/// All of a run that is not the order of turns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    pub cores: usize,
    pub plans: Vec<Plan>,
}

/// What hurts most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bent {
    /// A little of everything.
    Any,
    /// Strands that are changed all the time.
    Changes,
    /// Strands that compute for long, as many as share a core for several slices.
    Loads,
    /// Strands that wake each other.
    Calls,
    /// Strands that must stay, among those that need not.
    Pins,
}

const BENTS: [Bent; 5] = [Bent::Any, Bent::Changes, Bent::Loads, Bent::Calls, Bent::Pins];
const PRIORITIES: [u8; 8] = [8, 16, 16, 16, 16, 20, 24, 30];

fn op(dice: &mut Dice, bent: Bent, strands: usize) -> Op {
    let number = dice.below(strands) as u8;
    let kind = match bent {
        Bent::Any | Bent::Pins => dice.below(10),
        Bent::Changes => dice.of(&[0, 0, 5, 6, 6, 7, 1, 3]),
        Bent::Loads => dice.of(&[0, 0, 0, 0, 1, 9]),
        Bent::Calls => dice.of(&[0, 2, 2, 4, 4, 4, 1]),
    };
    match kind {
        0 if bent == Bent::Loads => Op::Compute(200),
        0 | 9 => Op::Compute(1 + dice.below(20) as u8),
        1 => Op::Yield,
        2 => Op::Block(1 + dice.below(20_000) as u32),
        3 => Op::Sleep(1 + dice.below(20_000) as u32),
        4 => Op::Unblock(number),
        5 => Op::SetPriority(number, dice.of(&PRIORITIES)),
        6 => Op::SetAffinity(number, dice.next() as u8),
        7 => Op::Lend(number, dice.of(&PRIORITIES), dice.below(10) as u8),
        _ if dice.one_in(4) => Op::Terminate(number),
        _ => Op::Unblock(number),
    }
}

/// The program of that seed.
pub fn generate(seed: u64) -> Program {
    let mut dice = Dice::new(seed);
    let bent = dice.of(&BENTS);
    let cores = dice.of(&[1, 2, 2, 3, 4, 8]);
    let strands = 1 + dice.below(12);
    let plan = |_| {
        let is_pinned = dice.one_in(if bent == Bent::Pins { 2 } else { 8 });
        let affinity = if is_pinned { 1 << dice.below(cores) } else { u8::MAX };
        let priority = if bent == Bent::Loads { 16 } else { dice.of(&PRIORITIES) };
        let length = 2 + dice.below(30);
        Plan { priority, affinity, ops: (0..length).map(|_| op(&mut dice, bent, strands)).collect() }
    };
    Program { cores, plans: (0..strands).map(plan).collect() }
}

/// The shortest that still fails, found by leaving things out.
pub fn shrink(program: Program, fails: &mut dyn FnMut(&Program) -> bool) -> Program {
    let mut best = program;
    loop {
        let before = best.clone();
        for number in (0..best.plans.len()).rev() {
            // Others mean strands by number, so one is emptied, and left out only if it is the last.
            let mut without = best.clone();
            if number + 1 == without.plans.len() && number > 0 {
                without.plans.pop();
                if fails(&without) {
                    best = without;
                    continue;
                }
            }
            let mut piece = best.plans[number].ops.len().max(1);
            while piece > 0 {
                let mut at = 0;
                while at < best.plans[number].ops.len() {
                    let mut without = best.clone();
                    let end = (at + piece).min(without.plans[number].ops.len());
                    without.plans[number].ops.drain(at..end);
                    if fails(&without) {
                        best = without;
                    } else {
                        at += piece;
                    }
                }
                piece /= 2;
            }
        }
        if best == before {
            return best;
        }
    }
}
