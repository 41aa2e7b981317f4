//! `strands`.

use sched::Machine;
use shell::{
    Call, Command, CommandError, no_completion,
    table::{Column, Table},
    units::Nanoseconds,
};

use crate::{console::Kernel, strands::Cpu};

pub const STRANDS: Command<Kernel> = Command {
    name: "strands",
    summary: "show the strands",
    usage: "strands",
    example: "strands",
    help: "Shows every strand but the idle ones: its state, its priority (31 is the most urgent), the core on \
           which it ran last, and for how long it has had a core, up to its last switch.",
    run,
    complete: no_completion,
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let mut table = Table::new([
        Column::right("strand"),
        Column::left("name"),
        Column::left("state"),
        Column::right("priority"),
        Column::right("core"),
        Column::right("ran for"),
    ]);
    for strand in Cpu::scheduler().strands() {
        table.row(&[
            &strand.id(),
            &strand.name(),
            &strand.state(),
            &strand.priority().number(),
            &strand.core(),
            &Nanoseconds(strand.run_ns()),
        ]);
    }
    write!(call.out, "{table}")?;
    Ok(())
}
