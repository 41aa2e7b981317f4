//! The commands that every console has.

use alloc::vec::Vec;
use core::fmt;

use crate::table::{Column, Table};
use crate::{Call, Command, CommandError};

pub(crate) fn help<C>() -> Command<C> {
    Command {
        name: "help",
        summary: "list all commands, or explain one",
        usage: "help [COMMAND]",
        example: "help echo",
        help: "COMMAND --help does the same. Tab completes commands and what they work on.",
        run: |call| match call.arguments.optional_word() {
            None => list(call),
            Some(name) => {
                call.arguments.end()?;
                let command = call.commands.find(name).ok_or_else(|| unknown(call, name))?;
                Ok(explain(command, call.out)?)
            }
        },
        complete: |hint| match hint.arguments {
            [] => hint.commands.iter().map(|command| command.name.into()).collect(),
            _ => Vec::new(),
        },
    }
}

pub(crate) fn echo<C>() -> Command<C> {
    Command {
        name: "echo",
        summary: "show its arguments",
        usage: "echo [WORD]...",
        example: "echo \"Hello; world\"",
        help: "Shows its arguments with a blank between them. Quotes keep blanks and semicolons together.",
        run: |call| Ok(writeln!(call.out, "{}", call.arguments.rest().join(" "))?),
        complete: crate::no_completion,
    }
}

fn list<C>(call: &mut Call<C>) -> Result<(), CommandError> {
    let mut table = Table::new([Column::left("command"), Column::left("what it does")]);
    for command in call.commands.iter() {
        table.row(&[&command.usage, &command.summary]);
    }
    write!(call.out, "{table}")?;
    writeln!(call.out, "\n`help COMMAND` explains one; `;` separates commands; Tab completes.")?;
    Ok(())
}

fn unknown<C>(call: &Call<C>, name: &str) -> CommandError {
    let near = match call.commands.nearest(name).first() {
        Some(near) => alloc::format!("did you mean `{near}`?"),
        None => "`help` lists all".into(),
    };
    CommandError::failed(format_args!("there is no command `{}`; {near}", name.escape_debug()))
}

/// All that there is to know of a command.
pub(crate) fn explain<C>(command: &Command<C>, out: &mut dyn fmt::Write) -> fmt::Result {
    let Command { name, summary, usage, example, help, .. } = command;
    writeln!(out, "{name}: {summary}\n\n  usage:   {usage}\n  example: {example}\n\n{help}")
}
