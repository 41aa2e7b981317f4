//! `domains`, `load` and `unload`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use shell::{
    Call, Command, CommandError, Hint, no_completion,
    table::{Column, Table},
    units::{Bytes, Thousands},
};

use crate::{console::Kernel, domains};

pub const DOMAINS: Command<Kernel> = Command {
    name: "domains",
    summary: "show the spindles that are loaded",
    usage: "domains",
    example: "domains",
    help: "Shows every domain: where its image is mapped and how large it is, what its heap holds and has \
           claimed, how many imports link it, the lines that it wrote, and the strands that sleep in its \
           handlers.",
    run: show,
    complete: no_completion,
};

fn show(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let mut table = Table::new([
        Column::left("domain"),
        Column::left("version"),
        Column::left("state"),
        Column::left("image at"),
        Column::right("image"),
        Column::right("heap used"),
        Column::right("claimed"),
        Column::right("imports"),
        Column::right("lines"),
        Column::right("asleep"),
    ]);
    for domain in domains::all() {
        let (start, size) = domain.place();
        let heap = domain.heap();
        let state = if domain.is_open() { "running" } else { "retiring" };
        table.row(&[
            &domain.name(),
            &domain.version(),
            &state,
            &format_args!("{start:#x}"),
            &Bytes(size as u64),
            &Bytes(heap.bytes as u64),
            &Bytes(heap.frames as u64 * 4096),
            &domain.imports(),
            &Thousands(domain.lines()),
            &domain.sleepers(),
        ]);
    }
    if table.is_empty() {
        writeln!(call.out, "no domain is loaded; there are: {}", available().join(", "))?;
    } else {
        write!(call.out, "{table}")?;
    }
    Ok(())
}

pub const LOAD: Command<Kernel> = Command {
    name: "load",
    summary: "load a spindle from the boot archive",
    usage: "load NAME",
    example: "load greeter",
    help: "Checks the object NAME.spindle, links it against the kernel's interfaces, maps it, and runs its \
           start procedure. All or nothing: if any of it fails, nothing has changed.",
    run: load,
    complete: |hint| if hint.arguments.is_empty() { available() } else { Vec::new() },
};

fn load(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let name = call.arguments.word("NAME")?;
    call.arguments.end()?;
    let domain = domains::load(name).map_err(|error| CommandError::failed(error.to_string()))?;
    let (start, size) = domain.place();
    writeln!(call.out, "{name} {} is running: {} at {start:#x}", domain.version(), Bytes(size as u64))?;
    Ok(())
}

pub const UNLOAD: Command<Kernel> = Command {
    name: "unload",
    summary: "unload a spindle",
    usage: "unload NAME",
    example: "unload greeter",
    help: "Removes the domain's handlers, waits until every raise that may still be in one of them is over, \
           and gives all its memory back.",
    run: unload,
    complete: complete_loaded,
};

fn complete_loaded(hint: &Hint<Kernel>) -> Vec<String> {
    if hint.arguments.is_empty() {
        domains::all().iter().map(|domain| domain.name().to_string()).collect()
    } else {
        Vec::new()
    }
}

fn unload(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let name = call.arguments.word("NAME")?;
    call.arguments.end()?;
    domains::unload(name).map_err(|error| CommandError::failed(error.to_string()))?;
    writeln!(call.out, "{name} is gone")?;
    Ok(())
}

fn available() -> Vec<String> {
    domains::spindles().collect()
}
