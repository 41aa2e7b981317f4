//! `packages`.

use alloc::{format, string::String, vec::Vec};

use dispatcher::Processor;
use sched::Machine;
use shell::{
    Call, Command, CommandError, no_completion,
    numbers::NumberSet,
    table::{Column, Table},
    units::{Nanoseconds, Share},
};

use super::strands::LOOK_MS;
use crate::{
    console::{Kernel, census::domain_name},
    strands::Cpu,
};

pub const PACKAGES: Command<Kernel> = Command {
    name: "packages",
    summary: "show the thread packages, and how former ones ended",
    usage: "packages",
    example: "packages",
    help: "Shows every thread package: whose it is; the cores on which it has a virtual processor, and how urgent \
           those are; what part of each core it has reserved, in which period; how many strands it has; and what \
           part of a core they had in the last 100 ms, all together: 200 % are two whole cores. Below that it \
           shows how former packages ended, the latest last: why, on which core, and for which strand it was \
           found out.",
    run,
    complete: no_completion,
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let packages = Cpu::scheduler().packages();
    let all = packages.all();
    // What is carried is the carrier's time, too.
    let used = || -> Vec<u64> {
        let sum = |package: &alloc::sync::Arc<sched::package::Package<Cpu>>| {
            package.seats().filter_map(|seat| seat.carrier()).map(|carrier| carrier.run_ns()).sum()
        };
        all.iter().map(sum).collect()
    };
    let (begun_ns, before) = (Cpu::now_ns(), used());
    if !all.is_empty() && call.out.wait(LOOK_MS) {
        return Err(CommandError::Stopped);
    }
    let (passed_ns, after) = (Cpu::now_ns() - begun_ns, used());
    let mut table = Table::new([
        Column::right("package"),
        Column::left("name"),
        Column::left("domain"),
        Column::left("cores"),
        Column::right("priority"),
        Column::left("reserved"),
        Column::right("strands"),
        Column::right("share"),
    ]);
    for (package, (before, after)) in all.iter().zip(before.iter().zip(&after)) {
        let grant = package.grant();
        let ran_ns = u128::from(after.saturating_sub(*before));
        let share = Share((ran_ns * 1000 / u128::from(passed_ns.max(1))) as u64);
        let reserved = grant.reservation.map_or("nothing".into(), |reservation| {
            format!("{} of {}", Share(reservation.share()), Nanoseconds(reservation.period_ns))
        });
        table.row(&[
            &package.number(),
            &package.name(),
            &domain_name(package.domain()),
            &NumberSet(grant.cores.0),
            &grant.priority.number(),
            &if package.is_ejected() { String::from("ejected") } else { reserved },
            &package.strands(),
            &share,
        ]);
    }
    if table.is_empty() {
        writeln!(call.out, "there is no thread package: load a spindle that is one")?;
    } else {
        write!(call.out, "{table}")?;
    }
    let exits = packages.exits();
    if exits.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        Column::right("package"),
        Column::left("name"),
        Column::right("ended at"),
        Column::right("core"),
        Column::left("why"),
    ]);
    for exit in &exits {
        let strand = if exit.strand == 0 { String::new() } else { format!(" ({:#x})", exit.strand) };
        table.row(&[
            &exit.number,
            &exit.name,
            &Nanoseconds(exit.at_ns),
            &exit.core,
            &format_args!("{}{strand}", exit.reason),
        ]);
    }
    write!(call.out, "{table}")?;
    Ok(())
}
