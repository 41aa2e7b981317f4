//! `cores`.

use core::sync::atomic::Ordering;

use sched::Machine;
use shell::{
    Call, Command, CommandError, no_completion,
    table::{Column, Table},
    units::Thousands,
};

use crate::{console::Kernel, cores, serial, strands::Cpu, trap};

pub const CORES: Command<Kernel> = Command {
    name: "cores",
    summary: "show the cores",
    usage: "cores",
    example: "cores",
    help: "Shows every core that is online: how many strands wait for it, how often it went from one strand \
           to another, and what interrupted it.",
    run,
    complete: no_completion,
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let mut table = Table::new([
        Column::right("core"),
        Column::right("APIC id"),
        Column::right("waiting"),
        Column::right("switches"),
        Column::right("timer"),
        Column::right("kicks"),
        Column::right("calls"),
    ]);
    let count = |counter: &core::sync::atomic::AtomicU64| Thousands(counter.load(Ordering::Relaxed));
    for core in Cpu::scheduler().cores() {
        let Some(area) = cores::area(core.id()) else { continue };
        table.row(&[
            &core.id(),
            &area.apic_id(),
            &core.waiting(),
            &Thousands(core.switches()),
            &count(&area.local.ticks),
            &count(&area.local.kicks),
            &count(&area.local.calls),
        ]);
    }
    write!(call.out, "{table}")?;
    writeln!(call.out, "{} cores online", table.len())?;
    let (spurious, dropped) = (trap::spurious(), serial::dropped_input());
    if spurious > 0 || dropped > 0 {
        writeln!(call.out, "{spurious} interrupts without a cause, {dropped} bytes of input dropped")?;
    }
    Ok(())
}
