//! `log`, `sleep` and `halt`.

use shell::{Call, Command, CommandError, no_completion};

use crate::{console::Kernel, exit, log, strands::Cpu};

pub const LOG: Command<Kernel> = Command {
    name: "log",
    summary: "show the log, or change its level",
    usage: "log [LEVEL]",
    example: "log debug",
    help: "Shows the latest lines of the log, the oldest first. With LEVEL (error, warn, info, debug, trace or \
           off) it sets what is logged from now on.",
    run: show_log,
    complete: |hint| {
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        if hint.arguments.is_empty() { levels.map(Into::into).into() } else { alloc::vec::Vec::new() }
    },
};

fn show_log(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    if let Some(level) = call.arguments.optional_word() {
        call.arguments.end()?;
        let Ok(level) = level.parse::<::log::LevelFilter>() else {
            return Err(CommandError::failed(alloc::format!("there is no level '{level}': see `help log`")));
        };
        ::log::set_max_level(level);
    } else {
        for line in log::lines() {
            writeln!(call.out, "{}", line.as_str())?;
        }
        let dropped = log::dropped();
        if dropped > 0 {
            writeln!(call.out, "({dropped} older lines were overwritten)")?;
        }
    }
    Ok(())
}

pub const SLEEP: Command<Kernel> = Command {
    name: "sleep",
    summary: "wait a while",
    usage: "sleep MILLISECONDS",
    example: "sleep 100",
    help: "Waits so long, for scripts; everything else goes on.",
    run: sleep,
    complete: no_completion,
};

fn sleep(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let milliseconds: u32 = call.arguments.number("MILLISECONDS")?;
    call.arguments.end()?;
    sched::sleep_ns::<Cpu>(u64::from(milliseconds) * 1_000_000);
    Ok(())
}

pub const HALT: Command<Kernel> = Command {
    name: "halt",
    summary: "power the machine off",
    usage: "halt",
    example: "halt",
    help: "Powers off at once. What runs is not asked.",
    run: halt,
    complete: no_completion,
};

fn halt(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    writeln!(call.out, "halted")?;
    exit::exit(exit::Code::Success)
}
