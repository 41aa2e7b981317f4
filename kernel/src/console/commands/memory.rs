//! `memory`.

use dispatcher::Processor;
use shell::{
    Call, Command, CommandError,
    table::{Column, Table},
    units::{Bytes, Thousands},
};

use crate::{
    console::Kernel,
    memory,
    strands::{self, Cpu, housekeeper},
};

pub const MEMORY: Command<Kernel> = Command {
    name: "memory",
    summary: "show frames and bytes, or audit the page tables",
    usage: "memory [audit]",
    example: "memory audit",
    help: "Waits until everything that was retired is gone, then shows how many frames of 4 KiB there are and \
           how many of them are free (those in the cores' caches are free, too), what the kernel's heap holds, \
           and the participants of the epoch. `memory audit` walks the live page tables and fails if any page is \
           both writable and executable, or any frame is executable here and writable there.",
    run,
    complete: |hint| if hint.arguments.is_empty() { ["audit".into()].into() } else { [].into() },
};

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    match call.arguments.optional_word() {
        None => show(call),
        Some("audit") => audit(call),
        Some(word) => Err(CommandError::Usage(alloc::format!("`{word}` is not `audit`"))),
    }
}

fn audit(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let report = memory::audit().map_err(|error| CommandError::failed(alloc::format!("{error}")))?;
    let pages = |count: usize| Thousands(count as u64);
    writeln!(
        call.out,
        "no page is writable and executable: {} pages can be written, {} executed, {} only read, by {} tables",
        pages(report.writable),
        pages(report.executable),
        pages(report.read_only),
        pages(report.tables)
    )?;
    Ok(())
}

fn show(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    housekeeper::settle();
    let stats = memory::stats();
    let (participants, free) = strands::participants();
    let mut table = Table::new([Column::left("memory"), Column::right("count"), Column::left("")]);
    let frames = |count: usize| Bytes(count as u64 * 4096);
    let thousands = |count: usize| Thousands(count as u64);
    table.row(&[&"frames", &thousands(stats.frames.total), &frames(stats.frames.total)]);
    table.row(&[&"  free", &thousands(stats.frames.free), &frames(stats.frames.free)]);
    table.row(&[&"  of them cached by cores", &thousands(stats.frames.cached), &frames(stats.frames.cached)]);
    table.row(&[&"  in blocks for code", &thousands(stats.text_frames), &frames(stats.text_frames)]);
    table.row(&[&"  of them unused", &thousands(stats.text_free), &frames(stats.text_free)]);
    table.row(&[&"heap bytes", &thousands(stats.heap.in_use), &Bytes(stats.heap.in_use as u64)]);
    table.row(&[&"heap bytes claimed", &thousands(stats.heap.claimed), &Bytes(stats.heap.claimed as u64)]);
    table.row(&[&"stacks", &thousands(stats.stacks), &""]);
    table.row(&[&"epoch participants", &thousands(participants), &format_args!("{free} in the pool")]);
    table.row(&[&"retired, not yet gone", &thousands(Cpu::retired().len()), &""]);
    write!(call.out, "{table}")?;
    Ok(())
}
