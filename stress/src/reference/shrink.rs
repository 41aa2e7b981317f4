//! Short programs from long ones.

use alloc::vec::Vec;

use super::program::Op;

/// Leaves out of a program that fails what does not matter to that. `fails` says at which operation it
/// fails, if it does.
pub fn shrink(mut program: Vec<Op>, fails: &mut dyn FnMut(&[Op]) -> Option<usize>) -> Vec<Op> {
    let Some(at) = fails(&program) else { return program };
    program.truncate(at + 1);
    let mut at = program.len();
    while at > 0 {
        at -= 1;
        let mut simpler: Vec<Vec<Op>> = alloc::vec![program.clone()];
        simpler[0].remove(at);
        if let Some(Op::Transaction(steps)) = program.get(at) {
            simpler.extend((0..steps.len()).map(|left_out| {
                let mut steps = steps.clone();
                steps.remove(left_out);
                let mut program = program.clone();
                program[at] = Op::Transaction(steps);
                program
            }));
        }
        let found = simpler.into_iter().find_map(|simpler| fails(&simpler).map(|end| (simpler, end)));
        if let Some((simpler, end)) = found {
            program = simpler;
            program.truncate(end + 1);
            // The same place again: it may be made simpler still.
            at = (at + 1).min(program.len());
        }
    }
    program
}
