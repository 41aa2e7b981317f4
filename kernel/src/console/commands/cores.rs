//! `cores`.

use shell::{
    Call, Command, CommandError, no_completion,
    table::{Column, Table},
    units::Thousands,
};

use super::strands::LOOK_MS;
use crate::{
    console::{Kernel, census::Look},
    cores, serial, trap,
};

pub const CORES: Command<Kernel> = Command {
    name: "cores",
    summary: "show the cores",
    usage: "cores",
    example: "cores",
    help: "Shows every core of the machine. Its state: idle; ticking, while a timer will end the running strand's \
           slice, because others wait; tickless, while none will; or offline, if it did not come up. What it runs; \
           how many strands wait for it; how often it went from one strand to another, took the core from one that \
           had no choice, and took a strand from another core's queue because it had nothing to do; its \
           interrupts by the timer, by other cores' kicks and calls; and for what part of the last 100 ms it was \
           idle.",
    run,
    complete: no_completion,
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let before = Look::take();
    if call.out.wait(LOOK_MS) {
        return Err(CommandError::Stopped);
    }
    let now = Look::take();
    let mut table = Table::new([
        Column::right("core"),
        Column::right("APIC id"),
        Column::left("state"),
        Column::left("runs"),
        Column::right("waiting"),
        Column::right("switches"),
        Column::right("preempted"),
        Column::right("steals"),
        Column::right("timer"),
        Column::right("kicks"),
        Column::right("calls"),
        Column::right("idle"),
    ]);
    let mut online = 0;
    for (id, apic_id) in cores::topology().cores.iter().enumerate() {
        let Some(core) = now.cores.iter().find(|core| core.id == id) else {
            table.row(&[&id, apic_id, &"offline"]);
            continue;
        };
        online += 1;
        let count = Thousands;
        table.row(&[
            &id,
            apic_id,
            &core.mode.name(),
            &core.runs.as_deref().unwrap_or("-"),
            &core.waiting,
            &count(core.counts.switches),
            &count(core.counts.preemptions),
            &count(core.counts.steals),
            &count(core.ticks),
            &count(core.kicks),
            &count(core.calls),
            &now.idle_share(core, &before),
        ]);
    }
    write!(call.out, "{table}")?;
    writeln!(call.out, "{online} core{} online", if online == 1 { "" } else { "s" })?;
    let (spurious, dropped) = (trap::spurious(), serial::dropped_input());
    if spurious > 0 || dropped > 0 {
        writeln!(call.out, "{spurious} interrupts without a cause, {dropped} bytes of input dropped")?;
    }
    Ok(())
}
