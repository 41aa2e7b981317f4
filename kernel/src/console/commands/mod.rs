//! The console's commands, a file for each subject.

mod background;
mod bench;
mod cores;
mod domains;
pub mod event;
mod events;
mod machine;
mod memory;
mod packages;
mod raise;
mod storm;
mod strand;
mod strands;
mod top;
mod trace;
mod work;

use shell::Commands;

use super::Kernel;

/// All of them, with `help` and `echo`, which the shell brings.
pub fn all() -> Commands<Kernel> {
    let mut commands = Commands::new();
    commands
        .add(cores::CORES)
        .add(strands::STRANDS)
        .add(strand::PRIORITY)
        .add(strand::AFFINITY)
        .add(strand::TERMINATE)
        .add(top::TOP)
        .add(packages::PACKAGES)
        .add(events::EVENTS)
        .add(event::EVENT)
        .add(trace::TRACE)
        .add(raise::RAISE)
        .add(background::BACKGROUND)
        .add(background::WAIT)
        .add(work::WORK)
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
