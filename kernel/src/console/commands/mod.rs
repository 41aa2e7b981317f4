//! The console's commands, a file for each subject.

mod bench;
mod cores;
mod domains;
mod events;
mod machine;
mod memory;
mod storm;
mod strands;

use shell::Commands;

use super::Kernel;

/// All of them, with `help` and `echo`, which the shell brings.
pub fn all() -> Commands<Kernel> {
    let mut commands = Commands::new();
    commands
        .add(cores::CORES)
        .add(strands::STRANDS)
        .add(events::EVENTS)
        .add(events::RAISE)
        .add(domains::DOMAINS)
        .add(domains::LOAD)
        .add(domains::UNLOAD)
        .add(memory::MEMORY)
        .add(storm::STORM)
        .add(bench::BENCH)
        .add(machine::LOG)
        .add(machine::SLEEP)
        .add(machine::HALT);
    commands
}
